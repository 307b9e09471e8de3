//! The state directory: one process at a time, each state whole and on the disk when the call returns, and no
//! going on with a state that cannot be read.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::io::{FdFlags, fcntl_setfd};

use super::{ElectionState, NodeId, Stage};
use crate::{
    system::{
        fault,
        files::{Attributes, Directory, LockGuard, Persisted, lock, try_lock},
        random,
    },
    text::hex,
};

/// What this node keeps, below the state directory.
pub(super) struct Disk {
    path: PathBuf,
    _lock: LockGuard,
}

impl Persisted for ElectionState {
    const REMEDY: &'static str =
        "it holds this node's votes; restore it, or remove it if this machine is to be a new member";
}

/// The directory of the election below `--state-dir`.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("election")
}

impl Disk {
    /// Makes the directory if need be, and keeps every other process out.
    pub(super) fn open(state_dir: &Path) -> Result<Self> {
        let path = directory(state_dir);
        Directory { path: path.clone(), attributes: Attributes::mode(0o700) }.plan()?.apply()?;
        let lock = try_lock(&path.join("lock"))?;
        let Some(lock) = lock else {
            bail!("another election is running with {}; wait for it, or end it", path.display())
        };
        Ok(Self { path, _lock: lock })
    }

    /// Replaces the state, and waits for the disk.
    pub(super) fn write(&self, state: &ElectionState) -> Result<()> {
        let (before, after) = points(state);
        fault::point(before);
        state.file(self.path.join("state.json"), 0o600)?.plan()?.apply()?;
        fault::point(after);
        Ok(())
    }

    /// What keeps two actions from running at once.
    pub(super) fn action_lock(&self) -> ActionLock {
        ActionLock(self.path.join("action.lock"))
    }
}

/// Held by the action itself, also when this program is killed under it.
pub(super) struct ActionLock(PathBuf);

impl ActionLock {
    /// Takes it for a program that is started next; `None`: an action of a process before this one still has it.
    pub(super) fn take(&self, wait: bool) -> Result<Option<LockGuard>> {
        let taken = if wait { Some(lock(&self.0)?) } else { try_lock(&self.0)? };
        if let Some(taken) = &taken {
            fcntl_setfd(taken, FdFlags::empty())?;
        }
        Ok(taken)
    }
}

/// Where a test kills this program: before and after each kind of write.
const fn points(state: &ElectionState) -> (&'static str, &'static str) {
    match (state.stage, state.ballot.is_some()) {
        (Stage::Free, false) => ("election:identity", "election:identity-written"),
        (Stage::Free, true) => ("election:promise", "election:promise-written"),
        (Stage::Locked, _) => ("election:lock", "election:lock-written"),
        (Stage::Started, _) => ("election:start", "election:start-written"),
        (Stage::Ran, _) => ("election:ran", "election:ran-written"),
        (Stage::Done, _) => ("election:done", "election:done-written"),
    }
}

/// What a node has persisted; `None`: nothing yet. Writes nothing.
pub(super) fn read(state_dir: &Path) -> Result<Option<ElectionState>> {
    ElectionState::read(&directory(state_dir).join("state.json"))
}

/// The state to go on with: what is on the disk, or a new node's. `chosen` is the operator's id for it.
pub(super) fn state(
    disk: &Disk,
    state_dir: &Path,
    machine_id: &[u8],
    chosen: Option<&NodeId>,
) -> Result<ElectionState> {
    let found = read(state_dir)?;
    let seed =
        if let Some(state) = &found { state.seed.clone() } else { hex::encode(&random::bytes::<16>()?) };
    let id = chosen.cloned().unwrap_or_else(|| NodeId::derive(machine_id, seed.as_bytes()));
    match found {
        Some(state) if state.id == id => return Ok(state),
        Some(state) if !state.is_new() => bail!(
            "{} holds the votes of node {}, but this is node {id}; it was copied from another machine, or the machine \
             id has changed: remove it if this machine is to be a new member",
            directory(state_dir).display(),
            state.id
        ),
        _ => {}
    }
    let state = ElectionState::new(id, seed);
    disk.write(&state)?;
    Ok(state)
}
