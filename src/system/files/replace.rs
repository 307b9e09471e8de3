//! Replacing a file in one step: a temporary file beside it, then a rename.

use std::{io::Write as _, os::fd::OwnedFd};

use anyhow::{Result, bail};
use rustix::{
    fs::{AtFlags, Dir, FallocateFlags, FlockOperation, Mode, OFlags},
    fs::{fallocate, flock, fstat, fsync, ftruncate, openat, renameat, unlinkat},
    io::Errno,
};

use super::{Attributes, attributes::Found, place::Place};
use crate::{
    system::{fault, random},
    text::hex,
};

const PREFIX: &str = ".minicluster-";
const SUFFIX: &str = ".tmp";

/// Puts a file with this content and these attributes where another is, or none. A mount point cannot be
/// replaced: it is written in place.
pub(super) fn replace(
    place: &Place,
    content: &[u8],
    attributes: &Attributes,
    kept: Option<Found>,
) -> Result<()> {
    let directory = &place.directory;
    sweep(place);
    let mut temporary = Temporary::create(directory)?;
    fault::point("files:created");
    attributes.give(&temporary.file, kept)?;
    temporary.file.write_all(content)?;
    fsync(&temporary.file)?;
    fault::point("files:written");
    match renameat(directory, &temporary.name, directory, &place.name) {
        Ok(()) => temporary.renamed = true,
        Err(Errno::BUSY) => {
            drop(temporary);
            return write_in_place(place, content, attributes);
        }
        Err(error) => return Err(error.into()),
    }
    fault::point("files:renamed");
    place.sync()
}

/// Writes into the file that is there. The space is taken first, so that a full disk leaves what was there.
fn write_in_place(place: &Place, content: &[u8], attributes: &Attributes) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(openat(&place.directory, &place.name, flags, Mode::empty())?);
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
            let name = format!("{PREFIX}{}{SUFFIX}", hex::encode(&random::bytes::<8>()?));
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
fn sweep(place: &Place) {
    let directory = &place.directory;
    let Ok(entries) = place.open(".").and_then(Dir::new) else { return };
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
