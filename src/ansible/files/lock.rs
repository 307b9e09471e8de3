//! One run at a time: a file that is locked as long as its handle is open.

use std::{os::fd::OwnedFd, path::Path};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
};

/// Waits until nobody else holds the lock, whose file (0600) is made where it is missing.
///
/// # Errors
/// It cannot be made or locked.
pub fn lock(path: &Path) -> Result<OwnedFd> {
    take(path, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))
}

/// The lock, unless somebody else holds it.
///
/// # Errors
/// It cannot be made or locked.
pub fn try_lock(path: &Path) -> Result<Option<OwnedFd>> {
    match take(path, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        taken => taken.map(Some).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn take(path: &Path, kind: FlockOperation) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::RUSR | Mode::WUSR)?;
    flock(&file, kind).map(|()| file)
}
