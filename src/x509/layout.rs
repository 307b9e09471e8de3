//! Where a host's credentials lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::service::Side;
use crate::system::files::{self, Attributes, Directory, LockGuard};

/// Paths below the credentials directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// `directory` is `/etc/credentials` on a host.
    pub fn new(directory: &Path) -> Self {
        Self { root: directory.join("x509") }
    }

    /// All of it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The trust anchors.
    pub fn anchors(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The revocation lists.
    pub fn crl(&self) -> PathBuf {
        self.root.join("crl.pem")
    }

    /// Directories beside this one with copies of trust anchors and revocation lists: what is mounted into the containers of
    /// a service. They are made where such a container starts.
    pub fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.with_file_name("containers"));
        let folders = entries.into_iter().flatten().flatten().map(|it| it.path());
        let mut folders: Vec<_> = folders.filter(|it| it.join("ca.pem").exists()).collect();
        folders.sort();
        folders
    }

    /// A credential.
    pub fn credential(&self, credential: &str) -> PathBuf {
        self.root.join(credential)
    }

    /// The key and certificate that are in use.
    pub fn live(&self, credential: &str, side: Side) -> PathBuf {
        self.credential(credential).join(side.to_string())
    }

    /// What is not in use yet. No credential's name begins with a dot.
    pub fn pending(&self) -> PathBuf {
        self.root.join(".pending")
    }

    /// A key, and later its certificate, before they replace what is in use.
    pub fn staged(&self, credential: &str, side: Side) -> PathBuf {
        self.pending().join(credential).join(side.to_string())
    }

    /// Waits until no other run works on this host's credentials, and keeps others waiting until it is dropped.
    pub fn lock(&self) -> Result<LockGuard> {
        make(&self.root, 0o755)?;
        files::lock(&self.root.join(".lock"))
    }

    /// Makes a folder below [`pending`](Self::pending), which root alone can enter.
    pub fn make_pending(&self, folder: &Path) -> Result<()> {
        make(&self.root, 0o755)?;
        make(&self.pending(), 0o700)?;
        make(folder, 0o755)
    }

    /// Makes a credential's folder.
    pub fn make_credential(&self, credential: &str) -> Result<()> {
        make(&self.root, 0o755)?;
        make(&self.credential(credential), 0o755)
    }

    /// Brings what is staged into use in one step: key and certificate change together, and a reader
    /// finds a pair at every moment. What was in use is then staged.
    pub fn exchange(&self, credential: &str, side: Side) -> Result<()> {
        files::exchange(&self.staged(credential, side), &self.live(credential, side))
    }
}

fn make(path: &Path, mode: u32) -> Result<()> {
    Directory { path: path.into(), attributes: Attributes::mode(mode) }.plan()?.apply()
}
