//! Addresses of hosts: each belongs to one host, and members of a cluster within the cluster reach each other by them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::host_name;
use crate::inventory::{HostId, Hosts, Value, Variable};
use crate::placement::{Demands, Placement};

/// Services whose instances dial each other at the first of `addresses`, else `ansible_host`, else the host's name.
const MEMBERS: [&str; 2] = ["etcd", "alertmanager"];

/// Every address that cannot be meant, that two hosts have, or at which members would dial themselves.
pub fn judge(path: &Path, hosts: &Hosts, demands: &Demands, placement: &Placement) -> Diagnostics {
    let file: Arc<str> = path.display().to_string().into();
    let known: Vec<Known> = (0..hosts.len()).map(|id| Known::of(hosts, id)).collect();
    let mut mistakes = Diagnostics::new();
    for (id, known) in known.iter().enumerate() {
        let of_host = |(location, message): &(Location, String)| {
            Diagnostic::new(&file, *location, format!("host '{}': {message}", hosts.host(id).name))
        };
        mistakes.extend(known.wrong.iter().map(of_host));
    }
    let mut shared = BTreeMap::new();
    for at in MEMBERS.iter().filter_map(|name| demands.find(name)) {
        let (name, members) = (&demands.0[at].name, &placement.assignments[at].hosts);
        for (one, other) in same(members, |id| known[id].dialled.clone()) {
            shared.entry((one, other)).or_insert(name);
        }
        for &id in members.iter().filter(|id| known[**id].is_loopback()) {
            if members.iter().any(|other| !known[*other].is_loopback()) {
                let host = hosts.host(id);
                let message = format!(
                    "host '{}' is {} to the other instances of {name}, which is each of them itself: give it an address \
                     of its own in 'addresses'",
                    host.name, known[id].dialled
                );
                mistakes.push(Diagnostic::new(&file, host.location, message));
            }
        }
    }
    for ((one, other), service) in &shared {
        let (first, second) = (hosts.host(*one), hosts.host(*other));
        let message = format!(
            "instances of {service} on '{}' and '{}' would both be dialled at {}: give each an address of its own in \
             'addresses'",
            first.name, second.name, known[*other].dialled
        );
        mistakes.push(Diagnostic::new(&file, second.location, message));
    }
    let mut owners: BTreeMap<IpAddr, Vec<HostId>> = BTreeMap::new();
    for (id, known) in known.iter().enumerate() {
        known.addresses.iter().for_each(|it| owners.entry(*it).or_default().push(id));
    }
    for (address, owners) in owners {
        let [first, others @ ..] = &owners[..] else { continue };
        for (first, other) in others.iter().map(|other| (*first, *other)) {
            // Several hosts behind one address are told apart by their ports; whether members are is judged above.
            let behind_one = known[first].port != known[other].port
                && [first, other].iter().all(|id| known[*id].reached == Some(address));
            if !behind_one && !shared.contains_key(&(first, other)) {
                let (first, second) = (hosts.host(first), hosts.host(other));
                let message = format!(
                    "host '{}' has the address {address} of host '{}' (line {}); one address belongs to one host",
                    second.name, first.name, first.location.line
                );
                mistakes.push(Diagnostic::new(&file, second.location, message));
            }
        }
    }
    mistakes
}

/// Pairs of hosts of which `value` is the same: each with the first.
fn same(hosts: &[HostId], value: impl Fn(HostId) -> String) -> Vec<(HostId, HostId)> {
    let mut first = BTreeMap::new();
    let pair = |&id: &HostId| {
        let one = *first.entry(value(id)).or_insert(id);
        (one != id).then_some((one, id))
    };
    hosts.iter().filter_map(pair).collect()
}

/// What the hosts file says of a host's addresses.
struct Known {
    addresses: Vec<IpAddr>,
    /// Where Ansible reaches it, if that is a literal address.
    reached: Option<IpAddr>,
    /// Where other hosts dial it.
    dialled: String,
    port: String,
    wrong: Vec<(Location, String)>,
}

impl Known {
    fn of(hosts: &Hosts, id: HostId) -> Self {
        let host = hosts.host(id);
        let text = |name: &str| hosts.variable(id, name).and_then(|it| it.value.text());
        let plain = |text: &String| !text.contains("{{");
        let mut wrong = Vec::new();
        let (listed, first) = Self::listed(hosts.variable(id, "addresses"), &mut wrong);
        let ansible_host = hosts.variable(id, "ansible_host");
        let reached = text("ansible_host").filter(|it| !it.is_empty());
        let literal = reached.as_deref().or(Some(&host.name)).and_then(address);
        if let (Some(text), Some(variable)) = (reached.as_ref().filter(|it| plain(it)), ansible_host)
            && address(text).is_none()
            && host_name::refusal(text).is_some()
        {
            let message =
                format!("ansible_host '{}' is neither an address nor a DNS name", text.escape_debug());
            wrong.push((variable.location, message));
        }
        if let (Some(address), Some(variable)) = (reached.as_deref().and_then(address), ansible_host) {
            wrong.extend(
                unusable(address).map(|why| (variable.location, format!("ansible_host {address} {why}"))),
            );
        }
        let mut addresses = listed;
        addresses.extend(literal);
        addresses.sort_unstable();
        addresses.dedup();
        let dialled = first.or(reached).unwrap_or_else(|| host.name.clone());
        let dialled = address(&dialled).map_or_else(|| dialled.to_ascii_lowercase(), |it| it.to_string());
        let port = text("ansible_port").or_else(|| text("ansible_ssh_port")).unwrap_or_else(|| "22".into());
        Self { addresses, reached: literal, dialled, port, wrong }
    }

    /// The variable `addresses`: what is an address, and the text of the first entry.
    fn listed(
        variable: Option<&Variable>,
        wrong: &mut Vec<(Location, String)>,
    ) -> (Vec<IpAddr>, Option<String>) {
        let Some(Variable { value: Value::List(items), location }) = variable else {
            return (Vec::new(), None);
        };
        let texts: Vec<String> = items.iter().filter_map(Value::text).collect();
        let mut found = Vec::new();
        for text in texts.iter().filter(|it| !it.contains("{{")) {
            match address(text) {
                Some(address) => {
                    wrong.extend(
                        unusable(address).map(|why| (*location, format!("{address} in 'addresses' {why}"))),
                    );
                    found.push(address);
                }
                None => wrong.push((
                    *location,
                    format!("'{}' in 'addresses' is not an IP address", text.escape_debug()),
                )),
            }
        }
        (found, texts.first().cloned())
    }

    fn is_loopback(&self) -> bool {
        self.dialled == "localhost" || address(&self.dialled).is_some_and(|it| it.is_loopback())
    }
}

/// A literal address in its one form: an IPv4 address that is written as an IPv6 one is itself.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    inner.trim().parse::<IpAddr>().ok().map(|it| it.to_canonical())
}

/// Why no host can be reached at an address.
fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("stands for every address; give the one by which others reach the host");
    }
    address.is_multicast().then_some("is a multicast address; give one of the host's own")
}
