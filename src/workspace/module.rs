//! The module `placement`: validates the cluster's files and records who runs where.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use serde_json::Map;

use super::{Archive, Paths, Workspace, lock_file, overrides};
use crate::arguments;
use crate::module::{Argument, Module, Outcome, Task};
use crate::placement::Plan as Changes;
use crate::services;
use crate::system::files::{FilePlan, LockGuard};

arguments! {
    /// Options of `placement`.
    pub struct Params {
        /// The hosts file.
        pub hosts: PathBuf => Argument::path().required(),
        /// The services file. Without it there are only the services of the cluster itself.
        pub services: Option<PathBuf> => Argument::path(),
        /// The lock file, which need not exist yet.
        pub lock: PathBuf => Argument::path().required(),
        /// Whether the run skips hosts or roles. Instances that the placement drops stay in the lock file then, as leaving.
        pub limited: bool => Argument::bool().default(false),
        /// Whether all services of the operator may go at once, where the lock file has some and services.yml none.
        pub remove_all: bool => Argument::bool().default(false),
        /// The cluster's internal domain: with it, names in certificates are judged too.
        pub domain: Option<String> => Argument::str(),
        /// Directories in which Ansible finds `group_vars` and `host_vars`. What these set must not override placement.
        pub directories: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Directories in which Ansible looks for roles: a service that none of them has a role for is refused.
        pub roles: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
    }
}

/// What is written, and what is told about it.
pub struct Plan {
    file: FilePlan,
    changes: Changes,
    warnings: Vec<String>,
    notes: Vec<String>,
    archives: BTreeMap<String, Archive>,
}

/// The module.
pub struct RecordPlacement;

impl Module for RecordPlacement {
    const NAME: &'static str = "placement";
    const ABOUT: &'static str =
        "Validate hosts and services, and record in services.lock where each service runs, with which uid.";
    type Params = Params;
    type Plan = Plan;

    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        lock_file::take_turn(&params.lock).map(Some)
    }

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let paths = Paths {
            hosts: params.hosts.clone(),
            services: params.services.clone(),
            lock: params.lock.clone(),
        };
        let mut directories = paths.variable_directories();
        directories.extend(params.directories.iter().cloned());
        let workspace =
            Workspace::read(paths, &directories, params.domain.as_deref()).map_err(|mistakes| {
                let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                anyhow!("{}", lines.join("\n"))
            })?;
        let mut refused = workspace.refusals(params.remove_all);
        refused.extend(services::without_role(&workspace.services, &params.roles));
        let archives = workspace.archives().unwrap_or_else(|wrong| {
            refused.extend(wrong);
            BTreeMap::new()
        });
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        if !refused.is_empty() {
            bail!("{}", refused.join("\n"));
        }
        let placed = workspace.new_lock();
        let changes = workspace.changes(&placed);
        let recorded = if params.limited { placed.keeping(&workspace.lock) } else { placed };
        let file = lock_file::plan(&params.lock, &recorded)?;
        let unread =
            overrides::unread(&params.hosts, &params.directories).filter(|_| !params.directories.is_empty());
        let unread = unread.iter().map(ToString::to_string).collect();
        let notes = services::without_setup(&workspace.services, &params.roles);
        let warnings = [workspace.warnings(), unread, changes.data_left_behind()].concat();
        Ok(Plan { file, changes, warnings, notes, archives })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let archives: Map<_, _> = plan.archives.iter().map(|(name, it)| (name.clone(), it.json())).collect();
        let outcome = Outcome::new(plan.file.changes())
            .with_diff(plan.file.diff())
            .with_warnings(plan.warnings.clone())
            .with("archives", archives)
            .with("changes", &plan.changes.changes)
            .with("kept", plan.changes.kept)
            .with("notes", &plan.notes);
        Outcome { msg: Some(plan.changes.summary()), ..outcome }
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        plan.file.apply()?;
        Ok(predicted)
    }
}
