//! One run at a time: a file that is locked as long as its handle is open.
//!
//! Whoever can open a file can lock it. So a lock is a file of its own that only its owner can open, never
//! one that others read, and waiting for it ends.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat, openat},
    io::Errno,
};

use super::place::Place;

/// How long another run may hold a lock.
const PATIENCE: Duration = Duration::from_secs(120);

/// A lock that others wait for until this is dropped.
#[derive(Debug)]
pub struct LockGuard(OwnedFd);

impl AsFd for LockGuard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until nobody else holds the lock, whose file (0600) is made where it is missing.
pub fn lock(path: &Path) -> Result<LockGuard> {
    let file = open(path).with_context(|| format!("cannot lock {}", path.display()))?;
    wait(file, path, PATIENCE)
}

/// The lock, unless somebody else holds it.
pub fn try_lock(path: &Path) -> Result<Option<LockGuard>> {
    let cannot = || format!("cannot lock {}", path.display());
    let file = open(path).with_context(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        locked => locked.map(|()| Some(LockGuard(file))).with_context(cannot),
    }
}

/// Waits until nobody else holds the lock of a directory, for which no file can be made in it.
pub fn lock_directory(path: &Path) -> Result<LockGuard> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())
        .with_context(|| format!("cannot open the directory {}", path.display()))?;
    wait(directory, path, PATIENCE)
}

fn open(path: &Path) -> Result<OwnedFd> {
    let place = Place::of(path)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&place.directory, &place.name, flags, Mode::RUSR | Mode::WUSR)?;
    let mode = Mode::from_raw_mode(fstat(&file)?.st_mode);
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
    }
    Ok(file)
}

/// The kernel wakes a thread that waits; this one gives up.
fn wait(file: OwnedFd, path: &Path, patience: Duration) -> Result<LockGuard> {
    let cannot = || format!("cannot lock {}", path.display());
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(LockGuard(file)),
        Err(Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error).with_context(cannot),
    }
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let locked = flock(file.as_fd(), FlockOperation::LockExclusive).map(|()| file);
        // Nobody waits any more: the file is closed, and so given free.
        let _ = sender.send(locked);
    });
    match receiver.recv_timeout(patience) {
        Ok(locked) => locked.map(LockGuard).with_context(cannot),
        Err(_) => bail!(
            "{} is still locked after {} s: another run works here; let it end, or see who it is with \
             `fuser -v {0}`",
            path.display(),
            patience.as_secs()
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn one_holds_it_the_next_one_waits_and_then_gives_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path).unwrap();
        let error = wait(open(&path).unwrap(), &path, Duration::from_millis(20)).unwrap_err().to_string();
        assert!(error.contains("/lock is still locked after 0 s: another run works here"), "{error}");
        let next = thread::spawn({
            let path = path.clone();
            move || lock(&path).map(drop)
        });
        drop(held);
        next.join().unwrap().unwrap();
    }

    #[test]
    fn nobody_else_can_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        lock(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(lock(&link).is_err());
    }
}
