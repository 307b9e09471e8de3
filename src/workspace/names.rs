//! Services against hosts: names that Ansible, X.509 or DNS could not tell apart or would not take.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::host_name;
use crate::inventory::Hosts;
use crate::placement::{Demands, HostId};
use crate::services::{Defined, Services};

/// Every clash between services and hosts.
pub(super) fn judge(path: &Path, hosts: &Hosts, services: &Services, demands: &Demands) -> Diagnostics {
    let file: Arc<str> = path.display().to_string().into();
    let clashes = services.services.iter().filter_map(|(name, defined)| clash(&file, hosts, name, defined));
    let mut mistakes: Diagnostics = clashes.collect();
    let refused = |id| {
        let host = hosts.host(id);
        Some(Diagnostic::new(&file, host.location, host_name::refusal(&host.name)?))
    };
    mistakes.extend((0..hosts.len()).filter_map(refused));
    mistakes.extend(common_names(&file, hosts, services, demands));
    mistakes.extend(short_names(&file, hosts));
    mistakes
}

/// A service that has the name of a group or a host. One that is switched off has no group, and so no name to lose.
fn clash(file: &Arc<str>, hosts: &Hosts, name: &str, defined: &Defined) -> Option<Diagnostic> {
    let rename = |what: &str| {
        format!("service '{name}' has the name of {what}; its own group could not be told apart, rename one")
    };
    if name == "all" || name == "ungrouped" {
        return Some(defined.position.mistake(rename("a group that every inventory has")));
    }
    if !defined.service.enabled {
        return None;
    }
    let (what, location) = match (hosts.group(name), hosts.host_id(name)) {
        (Some(group), _) => ("host group", group.location),
        (None, Some(id)) => ("host", hosts.host(id).location),
        (None, None) => return None,
    };
    if !host_name::SERVICES.contains(&name) {
        return Some(defined.position.mistake(rename(&format!("a {what}"))));
    }
    let message = format!(
        "{what} '{name}' has the name of a service that every cluster has: rename it, or switch the service off in \
         services.yml (`{name}: {{enabled: false}}`)"
    );
    Some(Diagnostic::new(file, location, message))
}

/// The common name of a client certificate is `service@host`: no service may have too long a name for the hosts
/// that it can run on. A host that is too long for the cluster's own services is reported itself.
fn common_names(file: &Arc<str>, hosts: &Hosts, services: &Services, demands: &Demands) -> Diagnostics {
    let mut by_host: BTreeMap<HostId, Diagnostic> = BTreeMap::new();
    let mut mistakes = Diagnostics::new();
    for demand in &demands.0 {
        let Some(defined) = services.services.get(&demand.name) else { continue };
        if defined.service.service_credentials.is_empty() {
            continue;
        }
        // Of the name alone, which nobody writes down for every service on every host.
        let length = |host: &HostId| demand.name.len() + 1 + hosts.host(*host).name.len();
        let message = |host: &HostId, shorten: &str| {
            let (service, host_name) = (&demand.name, &hosts.host(*host).name);
            let (length, most) = (length(host), host_name::COMMON_NAME);
            format!(
                "certificates would be for '{service}@{host_name}', {length} characters, but {most} are allowed; {shorten}"
            )
        };
        let too_long = demand.allowed.iter().filter(|host| length(host) > host_name::COMMON_NAME);
        let (long_hosts, others): (Vec<&HostId>, Vec<&HostId>) =
            too_long.partition(|host| hosts.host(**host).name.len() > host_name::LONGEST);
        for host in long_hosts {
            let shorten = "shorten the name of the host (its address can stand in ansible_host)";
            let mistake = || Diagnostic::new(file, hosts.host(*host).location, message(host, shorten));
            by_host.entry(*host).or_insert_with(mistake);
        }
        if let Some(host) = others.into_iter().max_by_key(|host| hosts.host(**host).name.len()) {
            mistakes.push(defined.position.mistake(message(host, "shorten the name of the service")));
        }
    }
    mistakes.extend(by_host.into_values());
    mistakes
}

/// Certificates carry short host names: two hosts with the same one could pass for each other.
fn short_names(file: &Arc<str>, hosts: &Hosts) -> Diagnostics {
    let mut mistakes = Diagnostics::new();
    let mut first: HashMap<String, &str> = HashMap::new();
    for id in 0..hosts.len() {
        let host = hosts.host(id);
        let Some(short) = host_name::short(&host.name) else { continue };
        if let Some(other) = first.insert(short.clone(), &host.name) {
            let message =
                format!("hosts '{other}' and '{}' share the short name '{short}'; rename one", host.name);
            mistakes.push(Diagnostic::new(file, host.location, message));
        }
    }
    mistakes
}
