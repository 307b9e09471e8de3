//! Names in certificates: none that belongs to another service or host, the same rule by which `x509_sign` refuses.

use std::path::{Path, PathBuf};

use super::overrides;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Hosts;
use crate::placement::{Demands, HostId, Placement};
use crate::services::{At, SanName, Services};
use crate::system::files;
use crate::x509::names::Host;
use crate::x509::owners::{Owner, Owners};
use crate::yaml::{self, Position};

/// Stands for a domain that is not known here (RFC 6761): no host is in it.
const UNKNOWN: &str = "unknown.invalid";

/// What is known of the cluster's domain.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// It is said in plain words, there.
    Said(String, Position),
    /// A file that cannot be read here, or a template, may say it.
    Unknown,
    /// Nothing says it.
    Missing,
}

impl Domain {
    /// What `group_vars` and `host_vars` in these directories say, or the hosts file.
    pub fn find(path: &Path, hosts: &Hosts, directories: &[PathBuf]) -> Self {
        let files = |folders: &[&str]| {
            let mut files = Vec::new();
            for (directory, folder) in
                directories.iter().flat_map(|it| folders.iter().map(move |name| (it, name)))
            {
                overrides::each_file(&directory.join(folder), &mut |file| files.push(file));
            }
            files
        };
        let for_all =
            files(&["group_vars/all", "group_vars/all.yml", "group_vars/all.yaml", "group_vars/all.json"]);
        let in_hosts = || {
            let variable = hosts.first("domain")?;
            let position = Position { file: path.display().to_string().into(), location: variable.location };
            Some(Self::of(variable.value.text(), position))
        };
        let elsewhere = || {
            let any = files(&["group_vars", "host_vars"]).iter().any(|it| Self::in_file(it).is_some());
            any.then_some(Self::Unknown)
        };
        let found = for_all.iter().find_map(|it| Self::in_file(it));
        found.or_else(in_hosts).or_else(elsewhere).unwrap_or(Self::Missing)
    }

    fn in_file(path: &Path) -> Option<Self> {
        let Ok(text) = files::text(path) else { return Some(Self::Unknown) };
        let root = match yaml::load(&path.display().to_string(), &text) {
            Ok(root) if !text.starts_with("$ANSIBLE_VAULT") => root,
            _ => return Some(Self::Unknown),
        };
        let entry = root.entries()?.iter().find(|it| it.key.text() == Some("domain"))?;
        Some(Self::of(entry.value.text().map(str::to_owned), entry.value.position.clone()))
    }

    fn of(text: Option<String>, position: Position) -> Self {
        match text.filter(|it| !it.contains("{{")) {
            Some(text) => Self::Said(text, position),
            None => Self::Unknown,
        }
    }

    /// The domain, where it is known.
    pub fn text(&self) -> Option<&str> {
        if let Self::Said(text, _) = self { Some(text) } else { None }
    }

    /// What is wrong with it.
    pub fn mistake(&self) -> Option<Diagnostic> {
        let Self::Said(text, position) = self else { return None };
        let message =
            format!("domain '{}' is not a domain name, such as infra.example.com", text.escape_debug());
        Host::domain(text).is_err().then(|| position.mistake(message))
    }
}

/// Hosts whose FQDN is the name of a service in this domain. That a host is called exactly as a service is
/// reported elsewhere.
pub(super) fn of_hosts(path: &Path, hosts: &Hosts, services: &Services, domain: Option<&str>) -> Diagnostics {
    let Ok(domain) = Host::domain(domain.unwrap_or(UNKNOWN)) else { return Diagnostics::new() };
    let file = path.display().to_string().into();
    let mistake = |id| {
        let host = hosts.host(id);
        let fqdn = Host::of(&host.name, &domain).fqdn()?;
        let service = fqdn.strip_suffix(&domain)?.strip_suffix('.')?;
        let clashes = services.services.contains_key(service) && service != host.name;
        let message = format!(
            "host '{}' would have certificates for '{fqdn}', the name of service '{service}'; rename one",
            host.name
        );
        clashes.then(|| Diagnostic::new(&file, host.location, message))
    };
    (0..hosts.len()).filter_map(mistake).collect()
}

/// Whether a service is placed on a host.
fn runs((demands, placement): (&Demands, &Placement), service: &str, host: HostId) -> bool {
    demands.find(service).is_some_and(|at| placement.assignments[at].hosts.contains(&host))
}

/// Hosts whose `ansible_host` is a name of another host or service: they would be certified for it.
pub(super) fn of_addresses(
    path: &Path,
    hosts: &Hosts,
    placed: (&Demands, &Placement),
    domain: Option<&str>,
) -> Diagnostics {
    let Ok(domain) = Host::domain(domain.unwrap_or(UNKNOWN)) else { return Diagnostics::new() };
    let enabled = placed.0.0.iter().map(|it| it.name.as_str());
    let Ok(owners) = Owners::new(&domain, enabled, hosts.names()) else { return Diagnostics::new() };
    let file = path.display().to_string().into();
    let mistake = |id: HostId| {
        let name = &hosts.host(id).name;
        let variable = hosts.variable(id, "ansible_host")?;
        let dialled = Host::new(name, &domain, variable.value.text().as_deref(), &[]).ok()?.dialled?;
        let whose = match owners.other(&dialled, name, |service| runs(placed, service, id))? {
            Owner::Service(other) => format!("the name of service '{other}', which does not run there"),
            Owner::Host(other) => format!("a name of host '{other}'"),
        };
        let message = format!("ansible_host of '{name}' is '{dialled}', {whose}; correct it");
        Some(Diagnostic::new(&file, variable.location, message))
    };
    (0..hosts.len()).filter_map(mistake).collect()
}

/// Entries of `extra_san` that belong to a service or a host elsewhere.
pub(super) fn of_services(
    hosts: &Hosts,
    services: &Services,
    placed: (&Demands, &Placement),
    domain: Option<&str>,
) -> Diagnostics {
    let (demands, placement) = placed;
    let mut entries = Vec::new();
    for (demand, assignment) in demands.0.iter().zip(&placement.assignments) {
        let service = services.services.get(&demand.name).map(|it| &it.service);
        let credentials = service.into_iter().flat_map(|it| &it.service_credentials);
        let names = credentials.filter(|it| it.enable_server).flat_map(|it| &it.extra_san);
        entries.extend(names.map(|entry| (&demand.name, entry, &assignment.hosts)));
    }
    if entries.is_empty() {
        return Diagnostics::new();
    }
    let Ok(domain) = Host::domain(domain.unwrap_or(UNKNOWN)) else { return Diagnostics::new() };
    let enabled = demands.0.iter().map(|it| it.name.as_str());
    let Ok(owners) = Owners::new(&domain, enabled, hosts.names()) else { return Diagnostics::new() };
    let mistake = |(service, entry, on): (&String, &At<SanName>, &Vec<HostId>)| {
        let wanted = Host::in_domain(&entry.value, &domain);
        let other = |on: &HostId| {
            let host = &hosts.host(*on).name;
            Some((host, owners.other(&wanted, host, |service| runs(placed, service, *on))?))
        };
        let (host, owner) = on.iter().find_map(other)?;
        let verb = if entry.value.starts_with('*') { "stands for" } else { "is" };
        let whose = match owner {
            Owner::Service(other) => format!("the name of service '{other}', which does not run on '{host}'"),
            Owner::Host(other) => format!("a name of host '{other}', and '{host}' would be certified for it"),
        };
        let label = &*entry.value;
        let message = format!("extra_san '{label}' of service '{service}' {verb} {whose}; remove it");
        Some(entry.position.mistake(message))
    };
    entries.into_iter().filter_map(mistake).collect()
}
