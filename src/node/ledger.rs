//! The ledger of a host: what this project put there, per service, and the restarts it still owes.
//!
//! A module records before it writes, so that nothing is ever on a host that the ledger does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Digest;
use crate::system::files::{self, Attributes, Directory, LockGuard, Persisted};

const FILE: &str = "ledger.json";

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// What each service has on this host.
    #[serde(default)]
    pub services: BTreeMap<String, Holdings>,
    /// Units that must be restarted, and why: written before the change that makes it necessary.
    #[serde(default)]
    pub restarts: BTreeMap<String, String>,
    /// What each unit was last started with.
    #[serde(default)]
    pub started: BTreeMap<String, Digest>,
    /// Which invocation that was, to find out later whether it went on running.
    #[serde(default)]
    pub invocations: BTreeMap<String, Invocation>,
    /// How each unit is restarted, as its role said: for restarts without the role.
    #[serde(default)]
    pub manners: BTreeMap<String, Manner>,
}

/// An invocation of a unit that a run of Ansible left running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invocation {
    /// The run's name.
    pub run: String,
    /// systemd's `InvocationID`.
    pub id: String,
    /// systemd's `NRestarts`.
    pub restarts: u64,
}

/// How a unit is restarted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manner {
    /// What it reads when it starts.
    pub inputs: Vec<PathBuf>,
    /// Whether a reload is enough when that changes.
    pub reload: bool,
    /// The command that must agree.
    pub guard: Vec<String>,
    /// Seconds after which it is given up.
    pub timeout: u64,
    /// Seconds that it must stay up.
    pub settle: u64,
}

impl Persisted for Records {
    const REMEDY: &'static str = "restore it from a backup; or move it away, and the next runs record what is on \
                                  this host again, except services that have been removed from services.yml in the \
                                  meantime";
}

/// What a service has on a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Holdings {
    /// systemd units that run it.
    pub units: BTreeSet<String>,
    /// Directories of its credentials.
    pub credentials: BTreeSet<PathBuf>,
    /// Such as it names no more, whole or one side, which its program may still read.
    pub unused: BTreeSet<PathBuf>,
    /// Files made for it.
    pub files: BTreeSet<PathBuf>,
    /// Images of its containers, with what runs these: `podman <id>`.
    pub images: BTreeSet<String>,
}

impl Holdings {
    /// What is left when another has what it has.
    pub fn without(mut self, other: &Self) -> Self {
        self.units.retain(|it| !other.units.contains(it));
        self.credentials.retain(|it| !other.credentials.contains(it));
        self.unused.retain(|it| !other.unused.contains(it));
        self.files.retain(|it| !other.files.contains(it));
        self.images.retain(|it| !other.images.contains(it));
        self
    }

    /// For a person, one thing a line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let units = self.units.iter().map(|it| format!("runs {it}"));
        let paths = self.credentials.iter().chain(&self.files).map(|it| format!("has {}", it.display()));
        units.chain(paths).chain(self.images.iter().map(|it| format!("has image {it}")))
    }
}

impl Records {
    /// Reads the ledger in `directory` without locking it: for planning. No ledger is an empty one.
    pub fn read(directory: &Path) -> Result<Self> {
        Ok(<Self as Persisted>::read(&directory.join(FILE))?.unwrap_or_default())
    }

    /// What `service` has here, to be added to.
    pub fn service(&mut self, service: &str) -> &mut Holdings {
        self.services.entry(service.to_owned()).or_default()
    }

    /// Forgets that `service` has this.
    pub fn forget(&mut self, service: &str, gone: &Holdings) {
        if let Some(holdings) = self.services.get_mut(service) {
            *holdings = std::mem::take(holdings).without(gone);
        }
        for unit in &gone.units {
            self.stopped(unit);
            self.manners.remove(unit);
        }
    }

    /// Records that `unit` does not run: it is owed nothing.
    pub fn stopped(&mut self, unit: &str) {
        self.restarts.remove(unit);
        self.started.remove(unit);
        self.invocations.remove(unit);
    }

    /// Records that `unit` must be restarted. The first reason stays.
    pub fn owe_restart(&mut self, unit: &str, reason: &str) {
        self.restarts.entry(unit.to_owned()).or_insert_with(|| reason.to_owned());
    }
}

/// The ledger, held by this process alone until it is dropped.
pub struct Ledger {
    directory: PathBuf,
    saved: Records,
    /// What [`save`](Self::save) will write.
    pub records: Records,
    _lock: LockGuard,
}

impl Ledger {
    /// Locks and reads the ledger in `directory`, which is made where it is missing.
    pub fn open(directory: &Path) -> Result<Self> {
        if !directory.exists() {
            Directory { path: directory.into(), attributes: Attributes::mode(0o755) }.plan()?.apply()?;
        }
        let lock = files::lock(&directory.join("ledger.lock"))?;
        let records = Records::read(directory)?;
        Ok(Self { directory: directory.into(), saved: records.clone(), records, _lock: lock })
    }

    /// Writes what has changed, in one step; it is on the disk when this returns.
    pub fn save(&mut self) -> Result<()> {
        if self.saved == self.records {
            return Ok(());
        }
        self.records.services.retain(|_, holdings| *holdings != Holdings::default());
        self.records.file(self.directory.join(FILE), 0o600)?.plan()?.apply()?;
        self.saved = self.records.clone();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("new");
        assert_eq!(Records::read(&directory).unwrap(), Records::default());
        let mut ledger = Ledger::open(&directory).unwrap();
        ledger.records.service("web").units.insert("web.service".into());
        ledger.records.service("empty");
        ledger.records.owe_restart("web.service", "first");
        ledger.records.owe_restart("web.service", "second");
        ledger.save().unwrap();
        drop(ledger);
        let read = Ledger::open(&directory).unwrap();
        assert_eq!(read.records.restarts["web.service"], "first");
        assert_eq!(read.records.services.keys().collect::<Vec<_>>(), ["web"]);
    }
}
