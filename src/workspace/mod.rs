//! An operator's directory: `hosts`, `services.yml` and `services.lock`, read and judged together.

mod judge;
mod listing;
mod module;
mod names;
mod overrides;
mod paths;
mod quorum;
pub mod record;

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Hosts;
use crate::placement::{Cluster, Demands, Lock, Placement, Plan, place};
use crate::services::{self, Services};

pub use module::{Params, RecordPlacement};
pub use paths::Paths;

/// Everything that the files say, free of mistakes, and where it puts each service.
pub struct Workspace {
    /// The files.
    pub paths: Paths,
    /// The hosts with their groups and variables.
    pub hosts: Hosts,
    /// All services.
    pub services: Services,
    /// The hosts as placement sees them.
    pub cluster: Cluster,
    /// What each enabled service asks for.
    pub demands: Demands,
    /// What the lock file says.
    pub lock: Lock,
    /// Where each enabled service runs.
    pub placement: Placement,
}

impl Workspace {
    /// Reads all files; in `directories`, looks for `group_vars` and `host_vars` that would override them. The
    /// cluster's `domain` is needed to tell whether names in certificates clash; else it is looked for there.
    ///
    /// # Errors
    /// Every mistake in any of the files, in the order of the files and lines.
    pub fn read(paths: Paths, directories: &[PathBuf], domain: Option<&str>) -> Result<Self, Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let hosts = take(read_hosts(&paths.hosts), &mut mistakes);
        let (services, wrong) =
            Services::read(paths.services.as_deref(), &|path| std::fs::read_to_string(path));
        mistakes.extend(wrong);
        mistakes.extend(services::check(&services));
        let lock = take(read_lock(&paths.lock), &mut mistakes).unwrap_or_default();
        mistakes.extend(overrides::find((&paths.hosts, hosts.as_ref()), directories, &services));
        if let Some(hosts) = hosts {
            let cluster = judge::cluster(&hosts, &services);
            mistakes.extend(judge::judge(&paths.hosts, &hosts, &services));
            let domain = domain.map(str::to_owned).or_else(|| names::domain(&hosts, directories));
            mistakes.extend(names::of_hosts(&paths.hosts, &hosts, &services, domain.as_deref()));
            let (demands, wrong) = Demands::resolve(&services, &cluster);
            mistakes.extend(wrong);
            let (placement, wrong) = place(&cluster, &demands, &lock);
            mistakes.extend(wrong);
            mistakes.extend(names::of_services(&hosts, &services, (&demands, &placement), domain.as_deref()));
            if mistakes.is_empty() {
                return Ok(Self { paths, hosts, services, cluster, demands, lock, placement });
            }
        }
        mistakes.sort();
        mistakes.dedup();
        Err(mistakes)
    }

    /// The lock file that records the placement.
    #[must_use]
    pub fn new_lock(&self) -> Lock {
        Lock::of(&self.cluster, &self.demands, &self.placement)
    }

    /// What is no mistake, but may not be meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let unserved = services::unserved(&self.services);
        let said = self.hosts.warnings().iter().chain(&unserved).map(ToString::to_string);
        said.chain(self.lost_quorum()).collect()
    }

    /// A warning, where the next run would take most of etcd's members away at once.
    #[must_use]
    pub fn lost_quorum(&self) -> Option<String> {
        quorum::warning(self.lock.service("etcd")?, self.new_lock().service("etcd")?)
    }

    /// What `lock` changes, compared with the lock file.
    #[must_use]
    pub fn changes(&self, lock: &Lock) -> Plan {
        Plan::between(&self.lock, lock, |name| self.is_stateful(name))
    }

    /// Whether a service holds data.
    #[must_use]
    pub fn is_stateful(&self, service: &str) -> bool {
        self.services.services.get(service).is_some_and(|it| it.service.stateful)
    }
}

fn take<T>(result: Result<T, Diagnostics>, mistakes: &mut Diagnostics) -> Option<T> {
    result.map_err(|wrong| mistakes.extend(wrong)).ok()
}

fn read_hosts(path: &Path) -> Result<Hosts, Diagnostics> {
    if path.exists() {
        return Hosts::read(path);
    }
    let message =
        "there is no such file; run this where your hosts and services.yml are, or name it with --hosts";
    Err(vec![Diagnostic::of_file(&path.display().to_string().into(), message)])
}

/// A lock that does not exist yet locks nothing.
fn read_lock(path: &Path) -> Result<Lock, Diagnostics> {
    let label = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Lock::parse(&label, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => Err(vec![Diagnostic::of_file(&label.into(), format!("cannot read the lock: {error}"))]),
    }
}
