//! Where a file lies: its directory, held open, and its name there.
//!
//! A path may lead through directories of a user who can exchange them for links at any moment. So it is
//! walked name by name, and all that follows happens in the directory that was reached. A link is followed
//! only where nobody but root, or whoever runs this, could have made it.

use std::{
    ffi::{OsStr, OsString},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, fsync, mkdirat, openat, readlinkat},
    io::Errno,
    process::geteuid,
};

use super::Attributes;
use crate::system::accounts;

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;
/// Only to go on from there. With DIRECTORY, so that what is mounted on demand is mounted.
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// To change a directory itself.
pub(super) const OPEN: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that stays the same whatever becomes of its path, and a name in it.
pub(super) struct Place {
    pub directory: OwnedFd,
    pub name: OsString,
}

impl Place {
    /// Where `path` is; none where its directory is missing.
    pub(super) fn find(path: &Path) -> Result<Option<Self>> {
        Self::reach(path, false)
    }

    /// Where `path` is.
    pub(super) fn of(path: &Path) -> Result<Self> {
        Self::find(path)?.ok_or(Errno::NOENT).with_context(|| {
            format!("cannot open the directory {}", split(path).map_or(path, |it| it.0).display())
        })
    }

    /// Where `path` is, in directories that are made where they are missing.
    pub(super) fn make(path: &Path) -> Result<Self> {
        Self::reach(path, true)?.context("it was removed by another program just now; run again")
    }

    fn reach(path: &Path, make: bool) -> Result<Option<Self>> {
        let (directory, name) = split(path)?;
        let reached = walk(directory, make)
            .with_context(|| format!("cannot open the directory {}", directory.display()))?;
        Ok(reached.map(|directory| Self { directory, name: name.into() }))
    }

    /// Where what is here leads, if it is a link.
    fn target(&self, path: &Path) -> Result<Option<PathBuf>> {
        let link = match openat(&self.directory, &self.name, LOOK, Mode::empty()) {
            Ok(link) => link,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if FileType::from_raw_mode(fstat(&link)?.st_mode) == FileType::Symlink {
            return follow(&link, &self.directory, path).map(Some);
        }
        Ok(None)
    }

    /// Opens a directory that is here; `.` is this one.
    pub(super) fn open(&self, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
        openat(&self.directory, name, OPEN, Mode::empty())
    }

    /// Makes names made, renamed or removed here survive a loss of power.
    pub(super) fn sync(&self) -> Result<()> {
        sync(&self.directory)
    }
}

/// The directory of `path` and the name in it.
fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or_else(|| anyhow!("{} names no file", path.display()))?;
    if path.as_os_str().as_bytes().contains(&0) {
        bail!("{} contains a null character", path.display());
    }
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((directory, name))
}

/// The path of the file that a link at `path` leads to, over further links; `path` itself where there is none.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Some(place) = Place::find(&path)? else { return Ok(path) };
        let Some(target) = place.target(&path)? else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(Errno::LOOP).with_context(|| format!("cannot find {}", path.display()))
}

/// Makes names made, renamed or removed in a directory survive a loss of power.
pub fn sync_directory(path: &Path) -> Result<()> {
    let reached = walk(path, false).and_then(|it| sync(&it.ok_or(Errno::NOENT)?));
    reached.with_context(|| format!("cannot sync {}", path.display()))
}

fn sync(directory: &OwnedFd) -> Result<()> {
    match fsync(openat(directory, ".", OPEN, Mode::empty())?) {
        // A file system without this call.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory; none where it is missing and shall not be made.
fn walk(path: &Path, make: bool) -> Result<Option<OwnedFd>> {
    let mut left = names(path);
    // Not `.` for both: a user with whose rights this is done may have none in the current directory.
    let start = if path.is_absolute() { "/" } else { "." };
    let mut at = openat(CWD, start, STEP, Mode::empty())?;
    let mut walked = PathBuf::new();
    let mut links = 0;
    while let Some(name) = left.pop() {
        walked.push(&name);
        match openat(&at, &name, STEP, Mode::empty()) {
            Ok(next) => at = next,
            Err(Errno::NOENT) if make => at = make_directory(&at, &name)?,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let link = openat(&at, &name, LOOK, Mode::empty())?;
                if FileType::from_raw_mode(fstat(&link)?.st_mode) != FileType::Symlink {
                    bail!(Errno::NOTDIR);
                }
                links += 1;
                if links > MOST_LINKS {
                    bail!(Errno::LOOP);
                }
                let target = follow(&link, &at, &walked)?;
                walked.pop();
                left.extend(names(&target));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(at))
}

/// Where an open link leads that is at `path` in `directory`.
fn follow(link: &OwnedFd, directory: &OwnedFd, path: &Path) -> Result<PathBuf> {
    let target = PathBuf::from(OsStr::from_bytes(readlinkat(link, "", Vec::new())?.as_bytes()));
    if let Some(reason) = distrust(&fstat(link)?, &fstat(directory)?) {
        bail!(
            "{} is a link to {}, and {reason}: give the path without the link, or make link and directory root's alone",
            path.display(),
            target.display()
        );
    }
    Ok(target)
}

/// The names of a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        path.components().filter(|it| *it != Component::CurDir).map(|it| it.as_os_str().to_owned()).collect();
    names.reverse();
    names
}

/// Closed to others until it has its mode.
fn make_directory(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let made = openat(parent, name, OPEN, Mode::empty())?;
    Attributes::mode(0o755).give(&made, None)?;
    sync(parent)?;
    Ok(made)
}

/// Why somebody else may have made a link, or put it in the place of another; nothing: nobody could.
fn distrust(link: &Stat, directory: &Stat) -> Option<String> {
    let own = |it: u32| it == 0 || it == geteuid().as_raw();
    let name = |it: u32| accounts::user(&it.to_string()).ok().flatten().map_or(it.to_string(), |it| it.name);
    if !own(link.st_uid) {
        return Some(format!("it belongs to user '{}'", name(link.st_uid)));
    }
    if !own(directory.st_uid) {
        return Some(format!("its directory belongs to user '{}'", name(directory.st_uid)));
    }
    // A group with the number of the user is this user's alone, as Debian makes them.
    let group = if directory.st_gid == directory.st_uid { 0 } else { 0o020 };
    let mode = directory.st_mode & 0o7777;
    (mode & (0o002 | group) != 0).then(|| format!("others can write in its directory (mode {mode:04o})"))
}
