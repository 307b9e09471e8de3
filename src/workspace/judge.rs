//! Services against hosts: names that Ansible, X.509 or DNS could not tell apart or would not take.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Hosts;
use crate::placement::Cluster;
use crate::services::{Defined, Services};
use crate::x509::names::Host;

/// X.509 allows no longer common name (RFC 5280, ub-common-name).
const COMMON_NAME: usize = 64;

/// The hosts as placement sees them.
pub fn cluster(hosts: &Hosts, services: &Services) -> Cluster {
    let mut cluster = Cluster::new(hosts.names());
    for group in hosts.groups() {
        cluster = cluster.with_group(&group.name, hosts.hosts_of(&group.name).unwrap_or_default());
    }
    let spread = services.services.values().filter_map(|defined| defined.service.spread_by.as_ref());
    let variables: BTreeSet<&str> = spread.map(|variable| &*variable.value.0).collect();
    for variable in variables {
        let value = |host| hosts.variable(host, variable).and_then(|variable| variable.value.text());
        let values = cluster.hosts().map(value).collect();
        cluster = cluster.with_variable(variable, values);
    }
    cluster
}

/// Every clash between services and hosts.
pub fn judge(path: &Path, hosts: &Hosts, services: &Services) -> Diagnostics {
    let mut mistakes = Diagnostics::new();
    for (name, Defined { position, .. }) in &services.services {
        let clash = if name == "all" || name == "ungrouped" {
            Some("a group that every inventory has")
        } else if hosts.group(name).is_some() {
            Some("a host group")
        } else if hosts.host_id(name).is_some() {
            Some("a host")
        } else {
            None
        };
        if let Some(what) = clash {
            let message = format!(
                "service '{name}' has the name of {what}; its own group could not be told apart, rename one"
            );
            mistakes.push(position.mistake(message));
        }
    }
    mistakes.extend(common_names(path, hosts, services));
    mistakes.extend(short_names(path, hosts));
    mistakes
}

/// The common name of a client certificate is `service@host`.
fn common_names(path: &Path, hosts: &Hosts, services: &Services) -> Diagnostics {
    let certified =
        |defined: &Defined| defined.service.enabled && !defined.service.service_credentials.is_empty();
    let certified = services.services.iter().filter(|(_, defined)| certified(defined));
    let Some(longest) = (0..hosts.len()).map(|id| hosts.host(id)).max_by_key(|host| host.name.len()) else {
        return Diagnostics::new();
    };
    let common_name = |service: &str| format!("{service}@{}", longest.name);
    let too_long: Vec<_> = certified.filter(|(name, _)| common_name(name).len() > COMMON_NAME).collect();
    let message = |name: &str, shorten: &str| {
        let common_name = common_name(name);
        let length = common_name.len();
        format!(
            "certificates would be for '{common_name}', {length} characters, but {COMMON_NAME} are allowed; {shorten}"
        )
    };
    match too_long[..] {
        [] => Diagnostics::new(),
        [(name, defined)] => vec![defined.position.mistake(message(name, "shorten the name of the service"))],
        // Where several services clash, it is the host.
        [(name, _), ..] => {
            let file = path.display().to_string().into();
            let shorten = "shorten the name of the host (its address can stand in ansible_host)";
            vec![Diagnostic::new(&file, longest.location, message(name, shorten))]
        }
    }
}

/// Certificates carry short host names: two hosts with the same one could pass for each other.
fn short_names(path: &Path, hosts: &Hosts) -> Diagnostics {
    let mut mistakes = Diagnostics::new();
    let file = path.display().to_string().into();
    let mut first: HashMap<String, &str> = HashMap::new();
    for id in 0..hosts.len() {
        let host = hosts.host(id);
        let Some(short) = Host::short_of(&host.name) else { continue };
        if let Some(other) = first.insert(short.clone(), &host.name) {
            let message =
                format!("hosts '{other}' and '{}' share the short name '{short}'; rename one", host.name);
            mistakes.push(Diagnostic::new(&file, host.location, message));
        }
    }
    mistakes
}
