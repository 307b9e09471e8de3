//! Removing a file or a whole directory.

use std::{
    os::fd::OwnedFd,
    path::{Component, Path},
};

use anyhow::{Context, Result, bail};
use rustix::{
    fs::{AtFlags, Dir, Mode, openat, unlinkat},
    io::Errno,
};

use super::place::{OPEN, Place};

/// Removes what is at `path`, a directory with everything in it; links are removed, not followed.
/// Says whether something was there.
pub fn remove(path: &Path) -> Result<bool> {
    let depth = path.components().filter(|it| matches!(it, Component::Normal(_))).count();
    if !path.is_absolute() || depth < 2 || path.components().any(|it| it == Component::ParentDir) {
        bail!("refusing to remove {}: not an absolute path below a directory of the system", path.display());
    }
    take_away(path, true).with_context(|| format!("cannot remove {}", path.display()))
}

/// Removes a directory, unless there is something in it.
pub fn remove_empty(path: &Path) -> Result<bool> {
    match take_away(path, false) {
        Err(error) if error.downcast_ref() == Some(&Errno::NOTEMPTY) => Ok(false),
        done => done.with_context(|| format!("cannot remove {}", path.display())),
    }
}

fn take_away(path: &Path, with_content: bool) -> Result<bool> {
    let place = match Place::find(path) {
        Err(error) if error.downcast_ref() == Some(&Errno::NOTDIR) => return Ok(false),
        place => place?,
    };
    let Some(place) = place else { return Ok(false) };
    let name = place.name.as_os_str();
    let removed = match unlinkat(&place.directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {
            if with_content {
                empty(&openat(&place.directory, name, OPEN, Mode::empty())?)?;
            }
            unlinkat(&place.directory, name, AtFlags::REMOVEDIR)
        }
        removed => removed,
    };
    match removed {
        Ok(()) => place.sync().map(|()| true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes everything in an open directory.
fn empty(directory: &OwnedFd) -> Result<()> {
    let entries: Vec<_> = Dir::read_from(directory)?.collect::<Result<_, _>>()?;
    for entry in entries.iter().map(rustix::fs::DirEntry::file_name).filter(|it| *it != c"." && *it != c"..")
    {
        match unlinkat(directory, entry, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => {
                empty(&openat(directory, entry, OPEN, Mode::empty())?)?;
                unlinkat(directory, entry, AtFlags::REMOVEDIR)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
