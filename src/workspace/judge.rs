//! Services against hosts: names that Ansible, X.509 or DNS could not tell apart or would not take.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Hosts;
use crate::placement::Cluster;
use crate::services::{Defined, Services};

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
    let longest = hosts.names().max_by_key(|name| name.len()).unwrap_or_default();
    for (name, Defined { service, position, .. }) in &services.services {
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
        let common_name = format!("{name}@{longest}");
        if service.enabled && !service.service_credentials.is_empty() && common_name.len() > COMMON_NAME {
            mistakes.push(position.mistake(format!(
                "the common name '{common_name}' of certificates of service '{name}' has {} characters, more than \
                 {COMMON_NAME}; shorten the name of the service or of the host",
                common_name.len()
            )));
        }
    }
    mistakes.extend(short_names(path, hosts));
    mistakes
}

/// Certificates carry short host names: two hosts with the same one could pass for each other.
fn short_names(path: &Path, hosts: &Hosts) -> Diagnostics {
    let mut mistakes = Diagnostics::new();
    let file = path.display().to_string().into();
    let mut first: HashMap<&str, &str> = HashMap::new();
    for id in 0..hosts.len() {
        let host = hosts.host(id);
        if host.name.parse::<std::net::IpAddr>().is_ok() {
            continue;
        }
        let short = host.name.split('.').next().unwrap_or_default();
        if let Some(other) = first.insert(short, &host.name) {
            let message =
                format!("hosts '{other}' and '{}' share the short name '{short}'; rename one", host.name);
            mistakes.push(Diagnostic::new(&file, host.location, message));
        }
    }
    mistakes
}
