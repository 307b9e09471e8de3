//! Names in certificates: none that belongs to another service or host, the same rule by which `x509_sign` refuses.

use std::path::{Path, PathBuf};

use crate::ansible::files;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Hosts;
use crate::placement::{Demands, HostId, Placement};
use crate::services::{At, SanName, Services};
use crate::x509::names::Host;
use crate::x509::owners::{Owner, Owners};
use crate::yaml;

/// Stands for a domain that is not known here (RFC 6761): no host is in it.
const UNKNOWN: &str = "unknown.invalid";

/// The cluster's domain, where `group_vars/all` in one of these directories or the hosts file says it in plain words.
pub fn domain(hosts: &Hosts, directories: &[PathBuf]) -> Option<String> {
    let in_file = |path: PathBuf| {
        let text = files::text(&path).ok()?;
        let root = yaml::load(&path.display().to_string(), &text).ok()?;
        let mut entries = root.entries()?.iter();
        entries.find(|it| it.key.text() == Some("domain"))?.value.text().map(str::to_owned)
    };
    let files = ["all", "all.yml", "all.yaml", "all.json"];
    let mut paths = directories.iter().flat_map(|it| files.map(|name| it.join("group_vars").join(name)));
    let of_host = || hosts.variable((!hosts.is_empty()).then_some(0)?, "domain")?.value.text();
    paths.find_map(in_file).or_else(of_host).filter(|it| !it.contains("{{"))
}

/// Hosts whose FQDN is the name of a service in this domain. That a host is called exactly as a service is
/// reported elsewhere.
pub fn of_hosts(path: &Path, hosts: &Hosts, services: &Services, domain: Option<&str>) -> Diagnostics {
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

/// Entries of `extra_san` that belong to a service or a host elsewhere.
pub fn of_services(
    hosts: &Hosts,
    services: &Services,
    (demands, placement): (&Demands, &Placement),
    domain: Option<&str>,
) -> Diagnostics {
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
    let runs = |service: &str, on: &HostId| {
        let at = demands.0.iter().position(|it| it.name == service);
        at.is_some_and(|at| placement.assignments[at].hosts.contains(on))
    };
    let mistake = |(service, entry, on): (&String, &At<SanName>, &Vec<HostId>)| {
        let wanted = Host::in_domain(&entry.value, &domain);
        let other = |on: &HostId| {
            let host = &hosts.host(*on).name;
            Some((host, owners.other(&wanted, host, |service| runs(service, on))?))
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
