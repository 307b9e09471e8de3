//! Writing `services.lock`: one writer at a time, in one step.

use std::fs::File as Handle;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::ansible::files::{Attributes, File, FilePlan};
use crate::placement::Lock;

/// Keeps other writers of the same lock file waiting until it is dropped.
pub struct Turn(#[allow(dead_code, reason = "closing it ends the turn")] Handle);

/// Waits until no other run of minicluster writes the lock file at `path`.
///
/// # Errors
/// Its directory does not exist.
pub fn take_turn(path: &Path) -> Result<Turn> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let handle = Handle::open(directory)
        .with_context(|| format!("cannot open the directory {}", directory.display()))?;
    flock(&handle, FlockOperation::LockExclusive)
        .with_context(|| format!("cannot wait for other writers in {}", directory.display()))?;
    Ok(Turn(handle))
}

/// What is to be written; a file that is there keeps its mode.
///
/// # Errors
/// What is there cannot be read, or is not a file.
pub fn plan(path: &Path, lock: &Lock) -> Result<FilePlan> {
    let mode = path.metadata().map_or(0o644, |it| it.permissions().mode() & 0o7777);
    File::public(path, lock.to_string(), Attributes::mode(mode)).plan()
}
