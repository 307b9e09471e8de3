//! What the control node keeps below `private_dir/ssh`: the state, and during a rotation the private
//! halves (`rotation/next`, `rotation/previous`, `rotation/recovery`), each there before it is needed
//! and until no host needs it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::state::ControlState;
use crate::{
    ssh::{key::PublicKey, pair},
    system::{
        Secret, fault,
        files::{self, Attributes, Directory, File, LockGuard, Persisted as _, check_private_directory},
    },
};

/// The folder.
pub struct Store {
    directory: PathBuf,
    /// What is known.
    pub state: ControlState,
}

impl Store {
    /// Reads it.
    pub fn read(private_dir: &Path) -> Result<Self> {
        let directory = private_dir.join("ssh");
        let state = ControlState::read(&directory.join("control.json"))?.unwrap_or_default();
        Ok(Self { directory, state })
    }

    /// Makes the folder where it is missing, and waits until no other run works on it.
    pub fn lock(private_dir: &Path) -> Result<LockGuard> {
        let directory = private_dir.join("ssh");
        check_private_directory(private_dir)?;
        for path in [private_dir, &directory].into_iter().filter(|it| !it.exists()) {
            Directory { path: path.into(), attributes: Attributes::mode(0o700) }.plan()?.apply()?;
        }
        files::lock(&directory.join("lock"))
    }

    /// Saves the state: the moment at which a step counts.
    pub fn save(&mut self, state: ControlState) -> Result<()> {
        state.file(self.directory.join("control.json"), 0o600)?.plan()?.apply()?;
        self.state = state;
        Ok(())
    }

    /// Where a rotation's private key lies: `next`, `previous` or `recovery`.
    pub fn key(&self, name: &str) -> PathBuf {
        self.directory.join("rotation").join(name)
    }

    /// Keeps a key pair for the rotation.
    pub fn keep(&self, name: &str, private: Secret, public: &PublicKey) -> Result<()> {
        let path = self.key(name);
        let folder = self.directory.join("rotation");
        Directory { path: folder, attributes: Attributes::mode(0o700) }.plan()?.apply()?;
        put(&path, private, public)
    }

    /// Removes the private halves that no host needs any more, and whatever a killed run has left.
    pub fn forget_keys(&self) -> Result<()> {
        files::remove(&std::path::absolute(self.directory.join("rotation"))?).map(drop)
    }

    /// Whether there are private halves of a rotation.
    pub fn has_keys(&self) -> bool {
        self.directory.join("rotation").exists()
    }
}

/// Writes both halves of a pair, the private one first.
pub fn put(path: &Path, private: Secret, public: &PublicKey) -> Result<()> {
    File::secret(path, private, Attributes::mode(0o600)).plan()?.apply()?;
    fault::point("ssh_control_key:private");
    File::public(pair::public_path(path), format!("{public}\n"), Attributes::mode(0o644)).plan()?.apply()
}
