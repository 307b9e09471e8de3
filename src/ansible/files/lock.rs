//! One run at a time: a file that is locked as long as its handle is open.

use std::{os::fd::OwnedFd, path::Path};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

/// Waits until nobody else holds the lock, whose file (0600) is made where it is missing.
///
/// # Errors
/// It cannot be made or locked.
pub fn lock(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(std::io::Error::from)
        .and_then(|lock| flock(&lock, FlockOperation::LockExclusive).map(|()| lock).map_err(Into::into))
        .with_context(|| format!("cannot lock {}", path.display()))
}
