//! What the control node keeps of the CAs, below `private_dir/ssh`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    ssh::{certificate::Certificate, control::store::put, known_hosts, krl::RevocationList, pair::Pair},
    system::files::{Attributes, Directory, File, read, read_private, read_text},
};

/// `private_dir/ssh`.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Below `private_dir`.
    pub(super) fn of(private_dir: &Path) -> Self {
        Self(private_dir.join("ssh"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("ca").join(name)
    }

    /// Where every certificate that was issued is recorded.
    pub(super) fn index(&self) -> PathBuf {
        self.path("issued.jsonl")
    }

    /// Makes the folder.
    pub(super) fn make(&self) -> Result<()> {
        Directory { path: self.0.join("ca"), attributes: Attributes::mode(0o700) }.plan()?.apply()
    }

    /// Where the list of what must not be believed lies.
    pub(super) fn list(&self) -> PathBuf {
        self.path("revoked.krl")
    }

    /// Every user's certificate that can be read.
    pub(super) fn users(&self) -> Result<Vec<Certificate>> {
        let folder = self.0.join("ca");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
        };
        let names = entries.filter_map(|it| it.ok()?.file_name().into_string().ok());
        let names: Vec<_> = names.filter_map(|it| Some(it.strip_suffix("-cert.pub")?.to_owned())).collect();
        names.iter().filter_map(|it| self.user(it).transpose()).collect()
    }

    /// The CA for `host`s or `user`s, where there is one.
    pub(super) fn authority(&self, name: &str) -> Result<Option<Pair>> {
        let path = self.path(name);
        let pair = read_private(&path)?.map(|it| Pair::read(&it)).transpose();
        pair.with_context(|| format!("cannot use the CA's key {}", path.display()))
    }

    /// The same, made where it is missing.
    pub(super) fn make_authority(&self, name: &str) -> Result<Pair> {
        if let Some(pair) = self.authority(name)? {
            return Ok(pair);
        }
        let pair = Pair::generate(&format!("minicluster {name} ca"))?;
        put(&self.path(name), pair.private_file()?, pair.public())?;
        Ok(pair)
    }

    /// What must not be believed; empty where nothing was ever revoked.
    pub(super) fn revoked(&self) -> Result<RevocationList> {
        Ok(RevocationList::read(&self.list())?.unwrap_or_default())
    }

    /// Replaces that list.
    pub(super) fn revoke(&self, list: &RevocationList) -> Result<()> {
        write(self.list(), list.to_bytes())
    }

    /// A user's certificate. One that is damaged is none.
    pub(super) fn user(&self, name: &str) -> Result<Option<Certificate>> {
        let text = read(&self.path(&format!("{name}-cert.pub")))?;
        Ok(text.and_then(|it| Certificate::read(&String::from_utf8_lossy(&it)).ok()))
    }

    /// Keeps a user's certificate.
    pub(super) fn keep_user(&self, name: &str, certificate: &str) -> Result<()> {
        write(self.path(&format!("{name}-cert.pub")), format!("{certificate}\n"))
    }

    /// The control node's `known_hosts`, as it is and with `line` in it.
    pub(super) fn known_hosts(&self, line: &str) -> Result<(String, String)> {
        let text = read_text(&self.0.join("known_hosts"))?.unwrap_or_default();
        let with_line = known_hosts::with_line(&text, Some(line));
        Ok((text, with_line))
    }

    /// Lets the control node recognise the hosts by `line`.
    pub(super) fn recognise(&self, line: &str) -> Result<()> {
        write(self.0.join("known_hosts"), self.known_hosts(line)?.1)
    }
}

fn write(path: PathBuf, content: impl Into<Vec<u8>>) -> Result<()> {
    File::public(path, content, Attributes::mode(0o600)).plan()?.apply()
}
