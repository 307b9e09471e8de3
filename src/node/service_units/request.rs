//! What a task asks of `service_units`, checked.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value, json};

use crate::{
    module::{Argument, Arguments, Spec},
    node::{
        fall_back,
        ledger::Manner,
        node_files::{DirectoryOptions, FileOptions},
        prediction::Prediction,
        systemd,
    },
};

crate::arguments! {
    /// What a file of the service is to its units.
    #[derive(Clone)]
    pub struct Role {
        /// Whether the units read it when they start, so that a change restarts them; not for what they notice themselves.
        pub restart: bool => Argument::bool().default(true),
        /// Whether it goes when the service is turned down; not for what belongs to a package.
        pub turndown: bool => Argument::bool().default(true),
    }
}

/// A file of the service: what `node_files` writes, and what it is to the units.
#[derive(Clone)]
pub struct Written {
    file: FileOptions,
    role: Role,
}

impl Arguments for Written {
    fn spec() -> Spec {
        Spec([FileOptions::spec().0, Role::spec().0].concat())
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Map::<String, Value>::deserialize(deserializer)?;
        let of_role = Role::spec();
        let is_role = |name: &String| of_role.0.iter().any(|(known, _)| known == name);
        let (role, file): (Map<_, _>, Map<_, _>) = all.into_iter().partition(|(name, _)| is_role(name));
        Ok(Self {
            file: serde_json::from_value(file.into()).map_err(Error::custom)?,
            role: serde_json::from_value(role.into()).map_err(Error::custom)?,
        })
    }
}

impl Written {
    fn is_input(&self) -> bool {
        // What defines a unit counts as that.
        self.role.restart && !self.file.path.starts_with("/etc/systemd/system")
    }
}

crate::arguments! {
    /// Units that share what they read.
    #[derive(Clone)]
    pub struct Group {
        /// Their names.
        pub units: Vec<String> => Argument::list(Argument::str()).required(),
        /// Files written for them.
        pub write: Vec<Written> => Argument::list(Argument::options::<Written>()).default(json!([])),
        /// Files and directories that they read when they start, beside `write`.
        pub inputs: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Those for which a reload is enough when inputs change.
        pub reload: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
    }
}

crate::arguments! {
    /// Options of `service_units`.
    pub struct Params {
        /// The service that the units belong to, as in services.yml.
        pub service: String => Argument::str().required(),
        /// Its units. A name without an ending is a service's. Not with `state: owed`.
        pub units: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// Directories made before anything is written.
        pub directories: Vec<DirectoryOptions> => Argument::list(Argument::options::<DirectoryOptions>()).default(json!([])),
        /// Files written for the service before its units are looked at: inputs, and files, of theirs.
        pub write: Vec<Written> => Argument::list(Argument::options::<Written>()).default(json!([])),
        /// Files and directories that the units read when they start, beside `write`: credentials.
        pub inputs: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Further files made for the service, which go when it is turned down. Recorded, not written.
        pub files: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Further units of the service with inputs of their own.
        pub also: Vec<Group> => Argument::list(Argument::options::<Group>()).default(json!([])),
        /// Whether these are all units and files of the service: others that the ledger has for it are stopped, disabled and removed.
        pub exclusive: bool => Argument::bool().default(false),
        /// Whether units that do not come up go back to the files that they last came up with, and the task fails all the same.
        pub fall_back: bool => Argument::bool().default(false),
        /// Whether the units shall run; `restored`: their files are those that they last came up with; `owed`: those that owe a restart, as the ledger has it, are restarted.
        pub state: String => Argument::str().choices(&["started", "stopped", "owed", "restored"]).default("started"),
        /// Those of the units for which a reload is enough when inputs change.
        pub reload: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// A command, with its arguments, that must succeed before a unit that runs is restarted.
        pub guard: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// In check mode: whether an earlier task would change an input, so that a restart is predicted.
        pub pending: bool => Argument::bool().default(false),
        /// In check mode: what earlier tasks said that they would change. `site.yml` sets it for every task.
        pub predicted: Vec<Prediction> => Argument::list(Argument::options::<Prediction>()).default(json!([])),
        /// Seconds after which a unit that does not come up is given up.
        pub timeout: u64 => Argument::int().default(90),
        /// Seconds that a unit must stay up which does not say by itself when it is ready.
        pub settle: u64 => Argument::int().default(5),
        /// How many instances of the service may be restarted at a time; 0: all. The action plugin sees to it.
        pub at_once: u64 => Argument::int().default(1),
        /// Leave the units alone where one that runs would be restarted, and name it: what the action plugin asks first.
        pub hold: bool => Argument::bool().default(false),
        /// The name of this run of Ansible, for `service_health`. `site.yml` sets it for every task.
        pub run: String => Argument::str().default(""),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// Units of a task that are treated alike, checked.
#[derive(Clone)]
pub(in crate::node) struct UnitRequest {
    pub(super) service: String,
    pub(in crate::node) units: Vec<String>,
    pub(super) reload: Vec<String>,
    pub(super) inputs: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
    /// Written, too, and not the service's to take away.
    pub(super) kept: Vec<PathBuf>,
    pub(in crate::node) guard: Vec<String>,
    pub(super) state: WantedState,
    pub(super) pending: bool,
    pub(super) predicted: Vec<Prediction>,
    pub(in crate::node) timeout: u64,
    pub(in crate::node) settle: u64,
    pub(in crate::node) run: String,
    /// What they read when they start, of what the task writes.
    pub(in crate::node) written: Vec<FileOptions>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum WantedState {
    Started,
    Stopped,
    /// Restarted, where the ledger owes it.
    Owed,
    /// Left alone, with the files that they last came up with.
    Restored,
}

impl Params {
    /// What is asked of each of the groups of units: first of `units`, then of those in `also`.
    pub(super) fn requests(&self, check_mode: bool) -> Result<Vec<UnitRequest>> {
        let state = match self.state.as_str() {
            "started" => WantedState::Started,
            "stopped" => WantedState::Stopped,
            "restored" => WantedState::Restored,
            _ => WantedState::Owed,
        };
        if (state == WantedState::Owed) != self.units.is_empty() {
            bail!(
                "option 'units': name the service's units; with 'state: owed' none, for the ledger has them"
            );
        }
        let first = Group {
            units: self.units.clone(),
            write: self.write.clone(),
            inputs: self.inputs.clone(),
            reload: self.reload.clone(),
        };
        let mut requests = vec![self.request(&first, state, check_mode)?];
        requests[0].files.extend(self.files.iter().cloned());
        requests[0].guard.clone_from(&self.guard);
        for (index, more) in self.also.iter().enumerate() {
            if more.units.is_empty() {
                bail!("option 'also', element {}: it names no units", index + 1);
            }
            requests.push(self.request(more, state, check_mode)?);
        }
        if let Some(relative) =
            requests.iter().flat_map(|it| it.inputs.iter().chain(&it.files)).find(|it| !it.is_absolute())
        {
            bail!("'{}' is not an absolute path", relative.display());
        }
        Ok(requests)
    }

    fn request(&self, of: &Group, state: WantedState, check_mode: bool) -> Result<UnitRequest> {
        let full_names =
            |names: &[String]| names.iter().map(|it| systemd::full_name(it)).collect::<Result<Vec<_>>>();
        let mut units = Vec::new();
        for unit in full_names(&of.units)? {
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
        let reload = full_names(&of.reload)?;
        if let Some(stranger) = reload.iter().find(|it| !units.contains(it)) {
            bail!("option 'reload': '{stranger}' is not one of 'units' ({})", units.join(", "));
        }
        let read = of.write.iter().filter(|it| it.is_input()).map(|it| &it.file.path);
        let (goes, stays): (Vec<_>, Vec<_>) = of.write.iter().partition(|it| it.role.turndown);
        let paths = |files: Vec<&Written>| files.into_iter().map(|it| it.file.path.clone()).collect();
        let mut files: Vec<_> = paths(goes);
        if self.fall_back {
            files.extend(units.iter().map(|it| fall_back::place(&self.ledger, it)));
        }
        Ok(UnitRequest {
            service: self.service.clone(),
            units,
            reload,
            inputs: read.chain(&of.inputs).cloned().collect(),
            files,
            kept: paths(stays),
            guard: Vec::new(),
            state,
            // In a real run the earlier task has written: the digest tells.
            pending: self.pending && check_mode,
            predicted: if check_mode { self.predicted.clone() } else { Vec::new() },
            timeout: self.timeout,
            settle: self.settle,
            run: self.run.clone(),
            written: of.write.iter().filter(|it| it.role.restart).map(|it| it.file.clone()).collect(),
        })
    }

    /// All that is to be written, in its order.
    pub(super) fn files(&self) -> Vec<FileOptions> {
        let all = self.write.iter().chain(self.also.iter().flat_map(|it| &it.write));
        all.map(|it| it.file.clone()).collect()
    }
}

impl UnitRequest {
    /// The same as the service's role asks for one unit, as far as that matters to a restart.
    pub(super) fn of_debtor(&self, unit: &str, manner: &Manner) -> Self {
        Self {
            units: vec![unit.to_owned()],
            reload: if manner.reload { vec![unit.to_owned()] } else { Vec::new() },
            inputs: manner.inputs.clone(),
            guard: manner.guard.clone(),
            timeout: manner.timeout,
            settle: manner.settle,
            state: WantedState::Started,
            ..self.clone()
        }
    }

    /// How these units are restarted, for the ledger.
    pub(super) fn manner(&self, unit: &String) -> Manner {
        Manner {
            inputs: self.inputs.clone(),
            reload: self.reload.contains(unit),
            guard: self.guard.clone(),
            timeout: self.timeout,
            settle: self.settle,
        }
    }
}
