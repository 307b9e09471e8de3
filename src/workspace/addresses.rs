//! Addresses of hosts: each belongs to one host, and members of a cluster within the cluster reach each other by them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::host_name;
use crate::inventory::{HostId, Hosts, Value, Variable};
use crate::placement::{Demands, Placement};

/// Where other hosts dial a host, as URLs write it: the first of `addresses`, else `ansible_host`, else its name. The
/// inventory publishes it for all hosts at once, for Ansible to evaluate.
pub(super) const TEMPLATE: &str = "{% set it = \
    ((addresses | default([]))[:1] + [ansible_host | default(''), inventory_hostname]) | select | first %}\
    {{ '[' ~ it ~ ']' if ':' in it else it }}";
/// Services whose instances dial each other at the first of `addresses`, else `ansible_host`, else the host's name.
const MEMBERS: [&str; 2] = ["etcd", "alertmanager"];

/// The variables of hosts that this is about.
pub(super) const VARIABLES: [&str; 4] = ["addresses", "ansible_host", "ansible_port", "ansible_ssh_port"];

/// Every address that cannot be meant, that two hosts have, or at which members would dial themselves.
pub(super) fn judge(path: &Path, hosts: &Hosts, demands: &Demands, placement: &Placement) -> Diagnostics {
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
        for &id in members.iter().filter(|id| known[**id].is_loopback() == Some(true)) {
            if members.iter().any(|other| known[*other].is_loopback() == Some(false)) {
                let host = hosts.host(id);
                let message = format!(
                    "host '{}' is {} to the other instances of {name}, which is each of them itself: give it an address \
                     of its own in 'addresses'",
                    host.name,
                    known[id].dialled.as_deref().unwrap_or_default()
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
            first.name,
            second.name,
            known[*other].dialled.as_deref().unwrap_or_default()
        );
        mistakes.push(Diagnostic::new(&file, second.location, message));
    }
    let mut owners: BTreeMap<IpAddr, Vec<HostId>> = BTreeMap::new();
    for (id, known) in known.iter().enumerate() {
        known.own.iter().for_each(|it| owners.entry(*it).or_default().push(id));
    }
    for (address, owners) in owners {
        let [first, others @ ..] = &owners[..] else { continue };
        for (first, other) in others.iter().map(|other| (*first, *other)) {
            // Several hosts behind one address are told apart by their ports; whether members are is judged above.
            let ports = [first, other].map(|id| known[id].port.as_deref());
            let behind_one = (ports[0] != ports[1] || ports[0].is_none())
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

/// A warning for each host that other hosts would look for on themselves, as a control node among its own hosts may be.
pub(super) fn loopback(path: &Path, hosts: &Hosts) -> Diagnostics {
    let file: Arc<str> = path.display().to_string().into();
    let others = hosts.len() > 1;
    let is_loopback = |id: &HostId| others && Known::of(hosts, *id).is_loopback() == Some(true);
    let warning = |id| {
        let host = hosts.host(id);
        let message = format!(
            "host '{}' is on the loopback, where no other host reaches its services: give it an address of its own in 'addresses'",
            host.name
        );
        Diagnostic::new(&file, host.location, message)
    };
    (0..hosts.len()).filter(is_loopback).map(warning).collect()
}

/// Pairs of hosts of which `value` is known, and the same: each with the first.
fn same(hosts: &[HostId], value: impl Fn(HostId) -> Option<String>) -> Vec<(HostId, HostId)> {
    let mut first = BTreeMap::new();
    let pair = |&id: &HostId| {
        let one = *first.entry(value(id)?).or_insert(id);
        (one != id).then_some((one, id))
    };
    hosts.iter().filter_map(pair).collect()
}

/// What the hosts file says of a host's addresses. What only a template says is not known.
struct Known {
    /// Where it is reached and dialled. The rest of `addresses` may be of a group of hosts, as a floating address is.
    own: Vec<IpAddr>,
    /// Where Ansible reaches it, if that is a literal address.
    reached: Option<IpAddr>,
    /// Where other hosts dial it.
    dialled: Option<String>,
    port: Option<String>,
    wrong: Vec<(Location, String)>,
}

impl Known {
    fn of(hosts: &Hosts, id: HostId) -> Self {
        let host = hosts.host(id);
        let text = |name: &str| hosts.variable(id, name).and_then(|it| it.value.text());
        let plain = |text: &String| !text.contains("{{");
        let mut wrong = Vec::new();
        let first = Self::listed(hosts.variable(id, "addresses"), &mut wrong);
        let ansible_host = hosts.variable(id, "ansible_host");
        let reached = text("ansible_host").filter(|it| !it.is_empty());
        let literal = reached.as_deref().or(Some(&host.name)).and_then(address);
        if let (Some(text), Some(variable)) = (reached.as_ref().filter(|it| plain(it)), ansible_host)
            && address(text).is_none()
            && host_name::refusal(text.strip_suffix('.').unwrap_or(text)).is_some()
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
        let mut own: Vec<_> = first.as_deref().and_then(address).into_iter().chain(literal).collect();
        own.sort_unstable();
        own.dedup();
        let dialled = first.or(reached).unwrap_or_else(|| host.name.clone());
        let dialled = address(&dialled).map_or_else(|| dialled.to_ascii_lowercase(), |it| it.to_string());
        let port = text("ansible_port").or_else(|| text("ansible_ssh_port")).unwrap_or_else(|| "22".into());
        let [dialled, port] = [dialled, port].map(|it| Some(it).filter(plain));
        Self { own, reached: literal, dialled, port, wrong }
    }

    /// The first entry of the variable `addresses`, all of which are judged.
    fn listed(variable: Option<&Variable>, wrong: &mut Vec<(Location, String)>) -> Option<String> {
        let Some(Variable { value: Value::List(items), location }) = variable else { return None };
        let texts: Vec<String> = items.iter().filter_map(Value::text).collect();
        for text in texts.iter().filter(|it| !it.contains("{{")) {
            match address(text) {
                Some(address) => wrong.extend(
                    unusable(address).map(|why| (*location, format!("{address} in 'addresses' {why}"))),
                ),
                None => wrong.push((
                    *location,
                    format!("'{}' in 'addresses' is not an IP address", text.escape_debug()),
                )),
            }
        }
        texts.into_iter().next()
    }

    fn is_loopback(&self) -> Option<bool> {
        let dialled = self.dialled.as_deref()?;
        Some(dialled == "localhost" || address(dialled).is_some_and(|it| it.is_loopback()))
    }
}

/// A literal address in its one form: an IPv4 address that is written as an IPv6 one is itself, and a zone is the control
/// node's matter.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    let inner = inner.split_once('%').map_or(inner, |(address, _)| address);
    inner.trim().parse::<IpAddr>().ok().map(|it| it.to_canonical())
}

/// Why no host can be reached at an address.
fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("stands for every address; give the one by which others reach the host");
    }
    address.is_multicast().then_some("is a multicast address; give one of the host's own")
}
