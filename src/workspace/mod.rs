//! An operator's directory: `hosts`, `services.yml` and `services.lock`, read and judged together.

mod addresses;
mod archives;
mod certificate_names;
mod cluster;
mod listing;
pub mod lock_file;
mod module;
mod names;
mod overrides;
mod paths;
mod ports;
mod quorum;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics, unreadable};
use crate::host_name;
use crate::inventory::Hosts;
use crate::placement::{Cluster, Demands, Lock, Placement, Plan, UIDS, Uids, place};
use crate::services::{self, Services};
use crate::system::files;
use crate::yaml::Position;

pub use archives::Archive;
pub use certificate_names::Domain;
pub use module::{Params, RecordPlacement};
pub use overrides::unread;
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
    /// The numbers of the services' users: those of the lock file, and new ones.
    pub uids: Uids,
    /// What is known of the cluster's domain.
    pub domain: Domain,
    /// Addresses of hosts that cannot be meant. The inventory is listed all the same.
    addresses: Diagnostics,
    /// Warnings of hosts that others cannot reach.
    loopback: Diagnostics,
}

impl Workspace {
    /// Reads all files; in `directories`, looks for `group_vars` and `host_vars` that would override them. The
    /// cluster's `domain` is needed to tell whether names in certificates clash; else it is looked for there.
    pub fn read(paths: Paths, directories: &[PathBuf], domain: Option<&str>) -> Result<Self, Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let hosts = take(read_hosts(&paths.hosts), &mut mistakes);
        let (services, wrong) = Services::read(paths.services.as_deref(), &|path| files::text(path));
        mistakes.extend(wrong);
        mistakes.extend(services::check(&services));
        let lock = take(read_lock(&paths.lock), &mut mistakes).unwrap_or_default();
        let mut uids = lock.uids.clone();
        mistakes.extend(without_uid(&paths.lock, &uids.choose(&services::own_users(&services))));
        mistakes.extend(overrides::find((&paths.hosts, hosts.as_ref()), directories, &services));
        if let Some(hosts) = hosts {
            let cluster = cluster::of(&hosts, &services);
            let said = domain.map(|it| Domain::Said(it.to_owned(), Position::file("option 'domain'")));
            let domain = said.unwrap_or_else(|| Domain::find(&paths.hosts, &hosts, directories));
            mistakes.extend(domain.mistake());
            mistakes.extend(certificate_names::of_hosts(&paths.hosts, &hosts, &services, domain.text()));
            let (demands, wrong) = Demands::resolve(&services, &cluster);
            mistakes.extend(wrong);
            mistakes.extend(names::judge(&paths.hosts, &hosts, &services, &demands));
            let (placement, wrong) = place(&cluster, &demands, &lock);
            mistakes.extend(wrong);
            mistakes.extend(certificate_names::of_services(
                &hosts,
                &services,
                (&demands, &placement),
                domain.text(),
            ));
            let placed = (&demands, &placement);
            mistakes.extend(certificate_names::of_addresses(&paths.hosts, &hosts, placed, domain.text()));
            mistakes.extend(ports::clashes(&hosts, &services, &demands, &placement));
            // What `group_vars` and `host_vars` say of them only Ansible knows.
            let (addresses, loopback) = if overrides::set_one_of(directories, &addresses::VARIABLES) {
                Default::default()
            } else {
                let wrong = addresses::judge(&paths.hosts, &hosts, &demands, &placement);
                (wrong, addresses::loopback(&paths.hosts, &hosts))
            };
            if mistakes.is_empty() {
                return Ok(Self {
                    paths,
                    hosts,
                    services,
                    cluster,
                    demands,
                    lock,
                    placement,
                    uids,
                    domain,
                    addresses,
                    loopback,
                });
            }
            mistakes.extend(addresses);
        }
        mistakes.sort();
        mistakes.dedup();
        Err(mistakes)
    }

    /// The lock file that records the placement.
    pub fn new_lock(&self) -> Lock {
        Lock::of(&self.cluster, &self.demands, &self.placement, &self.uids)
    }

    /// Why nothing may be recorded: addresses that cannot be meant, and all services of the operator gone at once, unless
    /// they say that they mean it.
    pub fn refusals(&self, remove_all: bool) -> Diagnostics {
        let lost = self.lost_services().filter(|_| !remove_all);
        self.addresses.iter().cloned().chain(lost).collect()
    }

    /// The archives of images that services name, by the names that they have there.
    pub fn archives(&self) -> Result<BTreeMap<String, Archive>, Diagnostics> {
        let beside = self.paths.services.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let (archives, mistakes) =
            archives::read(&self.services, &Paths::absolute(&Path::new(".").join(beside)));
        if mistakes.is_empty() { Ok(archives) } else { Err(mistakes) }
    }

    /// What is no mistake, but may not be meant.
    pub fn warnings(&self) -> Vec<String> {
        let unserved = services::unserved(&self.services);
        let open = services::isolation(&self.services);
        let few = self.few_members();
        let said =
            self.hosts.warnings().iter().chain(&unserved).chain(&open).chain(&few).chain(&self.loopback);
        let said = said.map(ToString::to_string);
        said.chain(self.lost_quorum()).collect()
    }

    /// Two members of etcd are a quorum only together.
    fn few_members(&self) -> Option<Diagnostic> {
        let members = &self.placement.assignments[self.demands.find("etcd")?].hosts;
        let [one, other] = members[..] else { return None };
        let message = format!(
            "etcd has two members, {} and {}, and stops when either does: add a third host to the group, or keep one",
            self.cluster.name(one),
            self.cluster.name(other)
        );
        Some(Diagnostic::of_file(&self.paths.hosts.display().to_string().into(), message))
    }

    /// What the operator's services in the lock file would become if there are none any more: a services.yml that is
    /// missing, or empty, is more often lost than meant.
    fn lost_services(&self) -> Option<Diagnostic> {
        let known = &self.services.services;
        if known.keys().any(|it| !host_name::SERVICES.contains(&it.as_str())) {
            return None;
        }
        let lost: Vec<_> =
            self.lock.instances.iter().filter(|(name, _)| !known.contains_key(*name)).collect();
        let lost: Vec<_> = lost
            .iter()
            .map(|(name, instances)| {
                format!("'{name}' from {}", instances.keys().cloned().collect::<Vec<_>>().join(", "))
            })
            .collect();
        if lost.is_empty() {
            return None;
        }
        let (file, state) = match &self.paths.services {
            Some(path) => (path.clone(), "names no service of your own"),
            None => ("services.yml".into(), "is missing"),
        };
        let message = format!(
            "{state}, but {} does: the next run would remove {}. Bring the file back, or say that it is meant: \
             `ansible-playbook site.yml -e services_remove_all=true`",
            self.paths.lock.display(),
            lost.join("; ")
        );
        Some(Diagnostic::of_file(&file.display().to_string().into(), message))
    }

    /// A warning, where the next run would take most of etcd's members away at once.
    pub fn lost_quorum(&self) -> Option<String> {
        quorum::warning(self.lock.service("etcd")?, self.new_lock().service("etcd")?)
    }

    /// What `lock` changes, compared with the lock file.
    pub fn changes(&self, lock: &Lock) -> Plan {
        Plan::between(&self.lock, lock, |name| self.is_stateful(name))
    }

    /// Whether a service holds data.
    pub fn is_stateful(&self, service: &str) -> bool {
        self.services.services.get(service).is_some_and(|it| it.service.stateful)
    }
}

fn take<T>(result: Result<T, Diagnostics>, mistakes: &mut Diagnostics) -> Option<T> {
    result.map_err(|wrong| mistakes.extend(wrong)).ok()
}

/// Users for which no number is left.
fn without_uid(lock: &Path, users: &[&str]) -> Option<Diagnostic> {
    let (user, others) = users.split_first()?;
    let (first, last) = (UIDS.start(), UIDS.end());
    let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let message = format!(
        "no uid from {first} to {last} is left for user '{user}'{others}: remove the 'uid' lines of users that no host has any \
         more, or let services share one (`user`)"
    );
    Some(Diagnostic::of_file(&lock.display().to_string().into(), message))
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
    match files::text(path) {
        Ok(text) => Lock::parse(&label, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => Err(vec![Diagnostic::of_file(&label.into(), unreadable(&error))]),
    }
}
