//! Which files a command works on.

use std::env;
use std::path::PathBuf;

use clap::Args;

use super::answer::Failure;
use crate::workspace::{Paths, Workspace};

/// The files of the cluster.
#[derive(Args, Clone)]
pub(super) struct Files {
    /// Hosts and groups, as Ansible reads them
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// Services and what they need
    #[arg(long, value_name = "FILE")]
    services: Option<PathBuf>,
    /// Where instances run
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

/// The options of a command that reads these files.
#[derive(Args)]
pub(super) struct With<T: Args> {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    options: T,
}

impl<T: Args> With<T> {
    /// Runs the command; files that are named before it count where they are not named behind it.
    pub(super) fn run<R>(self, before: Files, command: impl FnOnce(Files, T) -> R) -> R {
        command(self.files.or(before), self.options)
    }
}

impl Files {
    /// These, and where one is not said the other's.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            hosts: self.hosts.or(other.hosts),
            services: self.services.or(other.services),
            lock: self.lock.or(other.lock),
        }
    }

    /// The paths: options, else variables of the environment, else the usual names.
    pub(super) fn paths(self) -> Paths {
        let or_variable = |path: Option<PathBuf>, variable: &str| {
            path.or_else(|| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from))
        };
        Paths::new(
            or_variable(self.hosts, "MINICLUSTER_HOSTS"),
            or_variable(self.services, "MINICLUSTER_SERVICES"),
            or_variable(self.lock, "MINICLUSTER_LOCK"),
        )
    }

    /// What Ansible asks for with every command, so nothing that costs more than the files themselves.
    pub(super) fn inventory(self) -> Result<Workspace, Failure> {
        Ok(Workspace::read(self.paths(), &[], None)?)
    }

    /// Everything, with variables beside the files that would override placement.
    pub(super) fn workspace(self) -> Result<Workspace, Failure> {
        let paths = self.paths();
        let directories = paths.variable_directories();
        Ok(Workspace::read(paths, &directories, None)?)
    }
}
