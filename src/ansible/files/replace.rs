//! Replacing a file in one step: a temporary file beside it, then a rename.

use std::{
    ffi::OsStr,
    io::Write as _,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    fs::{AtFlags, Dir, FallocateFlags, FlockOperation, Mode, OFlags},
    fs::{fallocate, flock, fstat, fsync, ftruncate, open, openat, renameat, unlinkat},
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

use super::{Attributes, attributes::Found};
use crate::ansible::fault;

const PREFIX: &str = ".minicluster-";
const SUFFIX: &str = ".tmp";

/// Replaces `path`, or makes it, by a file with this content and these attributes. A mount point
/// cannot be replaced: it is written in place.
pub(super) fn replace(
    path: &Path,
    content: &[u8],
    attributes: &Attributes,
    kept: Option<Found>,
) -> Result<()> {
    let (directory, name) = split(path)?;
    let directory = open_directory(directory)?;
    sweep(&directory);
    let mut temporary = Temporary::create(&directory)?;
    fault::point("files:created");
    attributes.give(&temporary.file, kept)?;
    temporary.file.write_all(content)?;
    fsync(&temporary.file)?;
    fault::point("files:written");
    match renameat(&directory, &temporary.name, &directory, name) {
        Ok(()) => temporary.renamed = true,
        Err(Errno::BUSY) => {
            drop(temporary);
            return write_in_place(path, content, attributes);
        }
        Err(error) => return Err(error.into()),
    }
    fault::point("files:renamed");
    sync(&directory)
}

/// Writes into the file that is there. The space is taken first, so that a full disk leaves what was there.
fn write_in_place(path: &Path, content: &[u8], attributes: &Attributes) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(open(path, flags, Mode::empty())?);
    let length = u64::try_from(content.len())?;
    if length > file.metadata()?.len()
        && fallocate(&file, FallocateFlags::empty(), 0, length) == Err(Errno::NOSPC)
    {
        bail!(Errno::NOSPC);
    }
    attributes.give(&file, None)?;
    file.write_all(content)?;
    ftruncate(&file, length)?;
    Ok(fsync(&file)?)
}

/// A file that only its owner can open, and that is gone unless it was renamed.
struct Temporary<'directory> {
    directory: &'directory OwnedFd,
    name: String,
    file: std::fs::File,
    renamed: bool,
}

impl<'directory> Temporary<'directory> {
    fn create(directory: &'directory OwnedFd) -> Result<Self> {
        loop {
            let mut random = [0; 8];
            getrandom(&mut random, GetRandomFlags::empty())?;
            let name = format!("{PREFIX}{:016x}{SUFFIX}", u64::from_ne_bytes(random));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match openat(directory, &name, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                other => other?,
            };
            let temporary = Self { directory, name, file: file.into(), renamed: false };
            // The lock says that its writer lives. A sweep may have come before it: then begin anew.
            flock(&temporary.file, FlockOperation::LockExclusive)?;
            if fstat(&temporary.file)?.st_nlink > 0 {
                return Ok(temporary);
            }
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // What is left is what the next sweep takes.
            let _ = unlinkat(self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Removes what writers that were killed have left. Best effort: it must not stop the writer.
fn sweep(directory: &OwnedFd) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_bytes();
        if !name.starts_with(PREFIX.as_bytes()) || !name.ends_with(SUFFIX.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(file) = openat(directory, entry.file_name(), flags, Mode::empty())
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = unlinkat(directory, entry.file_name(), AtFlags::empty());
        }
    }
}

/// The directory of `path` and the name in it.
pub(super) fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or_else(|| anyhow!("{} names no file", path.display()))?;
    if path.as_os_str().as_bytes().contains(&0) {
        bail!("{} contains a null character", path.display());
    }
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((directory, name))
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open the directory {}", path.display()))
}

/// Makes names made, renamed or removed in a directory survive a loss of power.
///
/// # Errors
/// The directory cannot be opened or written to the disk.
pub fn sync_directory(path: &Path) -> Result<()> {
    sync(&open_directory(path)?).with_context(|| format!("cannot sync {}", path.display()))
}

fn sync(directory: &OwnedFd) -> Result<()> {
    match fsync(directory) {
        // A file system without this call.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
