//! The hosts as placement sees them: names, groups, and the variables that services spread by.

use std::collections::BTreeSet;

use crate::inventory::Hosts;
use crate::placement::Cluster;
use crate::services::Services;

/// The cluster of these hosts.
pub(super) fn of(hosts: &Hosts, services: &Services) -> Cluster {
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
