//! What was asked for, in one shape for the command and for the module, checked before anything is touched.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use anyhow::{Context, Result, bail};

use super::NodeId;
use crate::system::{Secret, files};

/// What an election needs to know.
#[derive(Clone, Debug)]
pub(super) struct ElectionRequest {
    /// Where to find the others.
    pub ifaces: Vec<String>,
    /// N, this node included.
    pub expect: usize,
    /// What the leader runs.
    pub action: String,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's secret.
    pub secret_file: PathBuf,
    /// Seconds.
    pub timeout: u64,
    /// The node's id, where somebody chose it.
    pub node_id: Option<NodeId>,
    /// Where votes are kept, in `election`.
    pub state_dir: PathBuf,
    /// The only ids that may be members; empty: any.
    pub allowed: Vec<NodeId>,
    /// Part of the member's record.
    pub role: Option<String>,
    /// A public key, part of the member's record.
    pub host_key_file: Option<PathBuf>,
    /// A public key, part of the member's record.
    pub user_key_file: Option<PathBuf>,
    /// What every node runs once it is locked.
    pub on_lock: String,
}

impl Default for ElectionRequest {
    fn default() -> Self {
        Self {
            ifaces: vec!["eth0".into()],
            expect: 3,
            action: "echo".into(),
            cluster: "minicluster".into(),
            secret_file: "/etc/minicluster/cluster_secret".into(),
            timeout: 600,
            node_id: None,
            state_dir: "/var/lib/minicluster".into(),
            allowed: Vec::new(),
            role: None,
            host_key_file: None,
            user_key_file: None,
            on_lock: String::new(),
        }
    }
}

/// More nodes than anyone elects among; a typing error below it costs a timeout.
const MOST: usize = 1_000;
/// A secret shorter than this can be guessed.
const SHORTEST: usize = 16;
/// Longer ones would make the record too long.
const LONGEST_KEY: usize = 8_192;

impl ElectionRequest {
    /// Refuses what cannot be meant.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MOST).contains(&self.expect) {
            bail!("--expect {}: the number of nodes is 1 to {MOST}", self.expect);
        }
        if self.timeout == 0 {
            bail!("--timeout 0: nothing can be waited for in no time; give seconds");
        }
        if self.ifaces.is_empty() || self.ifaces.iter().any(|it| it.is_empty() || it.len() > 15) {
            bail!(
                "--iface {}: give names of network interfaces, such as eth0",
                self.ifaces.join(" --iface ")
            );
        }
        if self.cluster.is_empty() || self.cluster.len() > 63 || self.cluster.chars().any(char::is_control) {
            bail!("--cluster '{}': the cluster's name is 1 to 63 characters", self.cluster);
        }
        if self.role.as_ref().is_some_and(|it| it.len() > 63 || it.chars().any(char::is_control)) {
            bail!("--role '{}': a role is one word", self.role.as_deref().unwrap_or_default());
        }
        if !self.allowed.is_empty() && self.allowed.len() < self.expect {
            bail!("--allow names {} nodes and {} are expected", self.allowed.len(), self.expect);
        }
        Ok(())
    }

    /// Reads the cluster's secret.
    pub(super) fn secret(&self) -> Result<Secret> {
        let path = self.secret_file.display();
        let about = format!("the cluster's secret (--secret-file {path})");
        let data = fs::metadata(&self.secret_file).with_context(|| format!("cannot read {about}"))?;
        if !data.is_file() {
            bail!("{about} is not a file");
        }
        if data.mode() & 0o077 != 0 {
            bail!(
                "{about} has mode {:04o}: others may read or change it; chmod 600 {path}",
                data.mode() & 0o7777
            );
        }
        let secret =
            Secret::new(files::content(&self.secret_file).with_context(|| format!("cannot read {about}"))?);
        let secret = Secret::new(secret.expose().trim_ascii());
        if secret.expose().len() < SHORTEST {
            bail!("{about} has fewer than {SHORTEST} characters; make one with: openssl rand -hex 32");
        }
        Ok(secret)
    }

    /// The public keys for the record: host key, user key.
    pub(super) fn keys(&self) -> Result<(Option<String>, Option<String>)> {
        let read = |option: &str, path: &Option<PathBuf>| -> Result<Option<String>> {
            let Some(path) = path else { return Ok(None) };
            let about = format!("{option} {}", path.display());
            let text = files::text(path).with_context(|| format!("cannot read {about}"))?;
            let text = text.trim();
            // The one thing that must not be sent to everybody.
            if text.contains("PRIVATE KEY") {
                bail!("{about} is a private key; name the file that ends in .pub");
            }
            if text.is_empty() || text.lines().count() != 1 || text.len() > LONGEST_KEY {
                bail!("{about} is not one line with a public key");
            }
            Ok(Some(text.into()))
        };
        Ok((read("--host-key-file", &self.host_key_file)?, read("--user-key-file", &self.user_key_file)?))
    }
}
