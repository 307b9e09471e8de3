//! Where a host's credentials lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::{
    fd::OwnedFd,
    fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, open, renameat_with},
    io::Errno,
};

use super::service::Side;
use crate::ansible::files::{Attributes, Directory, sync_directory};

/// Paths below the credentials directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// `directory` is `/etc/credentials` on a host.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { root: directory.join("x509") }
    }

    /// All of it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The trust anchors.
    #[must_use]
    pub fn anchors(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The revocation lists.
    #[must_use]
    pub fn crl(&self) -> PathBuf {
        self.root.join("crl.pem")
    }

    /// A credential.
    #[must_use]
    pub fn credential(&self, credential: &str) -> PathBuf {
        self.root.join(credential)
    }

    /// The key and certificate that are in use.
    #[must_use]
    pub fn live(&self, credential: &str, side: Side) -> PathBuf {
        self.credential(credential).join(side.to_string())
    }

    /// What is not in use yet. No credential's name begins with a dot.
    #[must_use]
    pub fn pending(&self) -> PathBuf {
        self.root.join(".pending")
    }

    /// A key, and later its certificate, before they replace what is in use.
    #[must_use]
    pub fn staged(&self, credential: &str, side: Side) -> PathBuf {
        self.pending().join(credential).join(side.to_string())
    }

    /// Waits until no other run works on this host's credentials, and keeps others waiting until it is dropped.
    ///
    /// # Errors
    /// The folder of all credentials cannot be made or locked.
    pub fn lock(&self) -> Result<OwnedFd> {
        make(&self.root, 0o755)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(&self.root, flags, Mode::empty());
        folder
            .and_then(|folder| flock(&folder, FlockOperation::LockExclusive).map(|()| folder))
            .with_context(|| format!("cannot lock {}", self.root.display()))
    }

    /// Makes a folder below [`pending`](Self::pending), which root alone can enter.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_pending(&self, folder: &Path) -> Result<()> {
        make(&self.root, 0o755)?;
        make(&self.pending(), 0o700)?;
        make(folder, 0o755)
    }

    /// Makes a credential's folder.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_credential(&self, credential: &str) -> Result<()> {
        make(&self.root, 0o755)?;
        make(&self.credential(credential), 0o755)
    }

    /// Brings what is staged into use in one step: key and certificate change together, and a reader
    /// finds a pair at every moment. What was in use is then staged.
    ///
    /// # Errors
    /// The file system cannot exchange directories, or refuses to.
    pub fn exchange(&self, credential: &str, side: Side) -> Result<()> {
        let (staged, live) = (self.staged(credential, side), self.live(credential, side));
        let rename = |flags| renameat_with(CWD, &staged, CWD, &live, flags);
        let renamed = match rename(RenameFlags::EXCHANGE) {
            // Nothing was in use yet.
            Err(Errno::NOENT) => rename(RenameFlags::NOREPLACE),
            other => other,
        };
        renamed.with_context(|| format!("cannot exchange {} and {}", staged.display(), live.display()))?;
        sync_directory(&self.credential(credential))?;
        sync_directory(&self.pending().join(credential))
    }
}

fn make(path: &Path, mode: u32) -> Result<()> {
    Directory { path: path.into(), attributes: Attributes::mode(mode) }.plan()?.apply()
}
