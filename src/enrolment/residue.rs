//! What a machine was given at boot, and forgets once it has found its place: the cluster secret, the
//! bootstrap key, the boot configuration that cloud-init keeps. cloud-init is switched off: it would give all of it
//! back, and new host keys with it, as soon as it takes the machine for another one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use serde_json::Value;

use super::Machine;
use crate::{
    node::membership::{self, CameIn},
    system::files::{self, Attributes, File, remove},
};

const SECRET: &str = "/etc/minicluster/cluster_secret";
const DISABLED: &str = "/etc/cloud/cloud-init.disabled";

/// What is still there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Residue {
    /// Files and directories to be removed.
    pub files: Vec<PathBuf>,
    /// Whether cloud-init is installed and would run again.
    pub cloud_init: bool,
    /// Where the boot configuration stays, because it lies outside of this machine.
    pub elsewhere: Vec<String>,
}

impl Residue {
    /// Looks for it. Writes nothing.
    pub fn find(machine: &Machine) -> Self {
        let mut files = Vec::new();
        for path in ["/etc/minicluster/bootstrap_key", "/etc/minicluster/bootstrap_key.pub"] {
            files.extend(Some(machine.path(path)).filter(|it| it.exists()));
        }
        // What cloud-init remembers of having run stays: without it a machine looks like a new one.
        for folder in ["/var/lib/cloud/seed", "/var/lib/cloud/instances", "/run/cloud-init"] {
            let folder = machine.path(folder);
            let sensitive = |it: &Path| {
                let name = it.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
                match folder.file_name().and_then(|it| it.to_str()) {
                    Some("seed") => true,
                    Some("instances") => !it.components().any(|it| it.as_os_str() == "sem"),
                    _ => name.contains("sensitive") || name.contains("cloud-config"),
                }
            };
            files.extend(below(&folder).into_iter().filter(|it| sensitive(it)));
        }
        // Last: the secret is the mark of a machine that has not finished.
        files.extend(Some(machine.path(SECRET)).filter(|it| it.exists()));
        let cloud_init = machine.path("/etc/cloud").is_dir() && !machine.path(DISABLED).exists();
        Self { files, cloud_init, elsewhere: elsewhere(machine) }
    }

    /// Whether there is anything to do.
    pub const fn is_left(&self) -> bool {
        !self.files.is_empty() || self.cloud_init
    }

    /// Removes it.
    pub fn remove(&self, machine: &Machine) -> Result<()> {
        if self.cloud_init {
            let text =
                "minicluster: this machine has become part of a cluster, and Ansible configures it now.\n";
            File::public(machine.path(DISABLED), text, Attributes::mode(0o644)).plan()?.apply()?;
        }
        for path in &self.files {
            remove(path)?;
        }
        Ok(())
    }
}

/// Whether an operator has let the machine in: for it there is nothing to elect.
pub fn admitted(machine: &Machine) -> Result<bool> {
    Ok(membership::read(&machine.state())?.is_some_and(|it| it.came_in != CameIn::Election))
}

/// Forgets what was shared at boot, once this machine is locked to its cluster.
pub fn finish(machine: &Machine) -> Result<Residue> {
    let residue = Residue::find(machine);
    if residue.is_left() && membership::read(&machine.state())?.is_none() {
        bail!("this machine is in no cluster yet: it still needs what it was given at boot");
    }
    residue.remove(machine)?;
    Ok(residue)
}

/// Files below a directory, in the order of their names; links are not followed.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|it| it.path()).collect();
    entries.sort();
    let is_folder = |it: &Path| fs::symlink_metadata(it).is_ok_and(|it| it.is_dir());
    entries.into_iter().flat_map(|it| if is_folder(&it) { below(&it) } else { vec![it] }).collect()
}

/// Where cloud-init had it from, unless that was a directory of this machine.
fn elsewhere(machine: &Machine) -> Vec<String> {
    let status = files::content(machine.path("/run/cloud-init/status.json")).unwrap_or_default();
    let status: Value = serde_json::from_slice(&status).unwrap_or_default();
    let source = status.pointer("/v1/datasource").and_then(Value::as_str).unwrap_or_default();
    let local =
        source.is_empty() || source.contains("seed=/var/lib/cloud/seed") || source.contains("DataSourceNone");
    (!local).then(|| source.to_owned()).into_iter().collect()
}
