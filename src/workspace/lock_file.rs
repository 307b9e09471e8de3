//! Writing `services.lock`: one writer at a time, in one step.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;

use crate::placement::Lock;
use crate::system::files::{Attributes, File, FilePlan, LockGuard, lock_directory};

/// Waits until no other run of minicluster writes the lock file at `path`.
pub fn take_turn(path: &Path) -> Result<LockGuard> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    lock_directory(directory)
}

/// What is to be written; a file that is there keeps its mode.
pub fn plan(path: &Path, lock: &Lock) -> Result<FilePlan> {
    let mode = path.metadata().map_or(0o644, |it| it.permissions().mode() & 0o7777);
    File::public(path, lock.to_string(), Attributes::mode(mode)).plan()
}
