//! What playbooks see of a service: the variable `services` and the names of the others.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::load::Services;
use super::service::Service;
use crate::host_name;

/// The name of a service as part of a variable's name.
pub fn variable_name(service: &str) -> String {
    service.replace('-', "_")
}

/// The variable that says whether a service runs on a host.
pub fn enable_variable(service: &str) -> String {
    format!("enable_{}", variable_name(service))
}

/// The variable that names the host of a service's master.
pub fn master_variable(service: &str) -> String {
    format!("{}_master", variable_name(service))
}

/// Every variable that the inventory publishes on behalf of a service.
pub fn variables(name: &str, service: &Service) -> Vec<String> {
    let master = service.master_election.then(|| master_variable(name));
    std::iter::once(enable_variable(name)).chain(master).collect()
}

/// Users that every Debian has, with numbers of their own (package base-passwd).
const BASE: [&str; 19] = [
    "_apt", "backup", "bin", "daemon", "games", "gnats", "irc", "list", "lp", "mail", "man", "news",
    "nobody", "proxy", "root", "sync", "sys", "uucp", "www-data",
];

/// Services of the cluster itself whose users no package of Debian makes.
const UNPACKAGED: [&str; 1] = ["discovery"];

/// The users that have the same number on every host: those of the operator's enabled services. Users of the cluster's own
/// services are made by Debian's packages, but for those of our programs.
pub fn own_users(services: &Services) -> BTreeSet<&str> {
    let is_core = |name: &str| host_name::SERVICES.contains(&name) && !UNPACKAGED.contains(&name);
    let (core, own): (Vec<_>, Vec<_>) = services.services.iter().partition(|(name, _)| is_core(name));
    let core: BTreeSet<_> = core.iter().filter_map(|(_, it)| it.service.user.as_deref()).collect();
    let own = own.into_iter().filter(|(_, it)| it.service.enabled);
    let users = own.filter_map(|(_, it)| it.service.user.as_deref());
    users.filter(|user| !core.contains(user) && !BASE.contains(user)).collect()
}

/// The metadata that roles and modules use, every default filled in. What only placement needs is left
/// out: Ansible repeats this for every host in its own listings. `uid` is the number of its user.
pub fn metadata(service: &Service, uid: Option<u32>) -> Json {
    json!({
        "clients": service.clients,
        "containers": service.containers,
        "health": service.health,
        "master_election": service.master_election,
        "monitoring_endpoints": service.monitoring_endpoints,
        "port": service.port,
        "public_endpoints": service.public_endpoints,
        "role": service.role,
        "rolling": service.rolling,
        "service_credentials": service.service_credentials,
        "stateful": service.stateful,
        "uid": uid,
        "units": service.units,
        "user": service.user,
    })
}
