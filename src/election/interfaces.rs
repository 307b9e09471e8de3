//! The node's own addresses on the interfaces that it was given.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{note::Level, request::ElectionRequest, run::Log};
use crate::system::files;

/// Addresses in the order in which they count, and the interfaces by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Interfaces {
    /// For each interface in its turn: IPv4, then IPv6, link-local addresses last.
    pub addresses: Vec<IpAddr>,
    /// For addresses that mean something on one link only.
    pub indices: Vec<u32>,
}

/// Looks them up. An interface that is not there, or has no address, has none.
pub(super) fn look(names: &[String]) -> Result<Interfaces> {
    let all = if_addrs::get_if_addrs().context("cannot list the network interfaces")?;
    let mut found = Interfaces::default();
    for name in names {
        let mut own: Vec<IpAddr> =
            all.iter().filter(|it| it.name == *name).map(if_addrs::Interface::ip).collect();
        own.sort_by_key(|it| match it {
            IpAddr::V4(_) => 0,
            IpAddr::V6(address) if !address.is_unicast_link_local() => 1,
            IpAddr::V6(_) => 2,
        });
        found.addresses.extend(own);
        found.indices.extend(all.iter().filter(|it| it.name == *name).filter_map(|it| it.index));
    }
    found.indices.sort_unstable();
    found.indices.dedup();
    Ok(found)
}

/// Waits until one of them has an address: at boot the network may come later than this program.
pub(super) fn wait_for_address(request: &ElectionRequest, begin: Instant, log: Log) -> Result<Interfaces> {
    let mut told = None;
    loop {
        let found = look(&request.ifaces)?;
        if !found.addresses.is_empty() {
            return Ok(found);
        }
        let here = here()?;
        if begin.elapsed() >= Duration::from_secs(request.timeout) {
            let names = request.ifaces.join(" --iface ");
            bail!("--iface {names}: no such interface with an address; there are {}", here.join(", "));
        }
        let missing: Vec<_> = request.ifaces.iter().filter(|it| !here.contains(it)).cloned().collect();
        if told.as_ref() != Some(&missing) {
            let (level, text) = if missing.is_empty() {
                (Level::Info, format!("waiting for an address on {}", request.ifaces.join(", ")))
            } else {
                let (missing, here) = (missing.join(", "), here.join(", "));
                (
                    Level::Warning,
                    format!("there is no interface {missing} here; there are {here}: waiting for it"),
                )
            };
            log(level, &text);
            told = Some(missing);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The names of all interfaces that are there, with or without an address, in alphabetical order.
fn here() -> Result<Vec<String>> {
    // Unlike /sys/class/net it is always that of this process's network namespace.
    let text = files::text("/proc/net/dev").context("cannot list the network interfaces")?;
    Ok(names(&text))
}

/// Each line but the two of the heading begins with a name and a colon.
fn names(text: &str) -> Vec<String> {
    let mut names: Vec<_> =
        text.lines().filter_map(|it| it.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect();
    names.sort_unstable();
    names
}

/// The first address as an integer, as the original counts.
pub(super) fn election_id(first: IpAddr) -> u128 {
    match first {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Where to dial an address that a member has told: a link-local one on each of the interfaces.
pub(super) fn dial(address: IpAddr, port: u16, indices: &[u32]) -> Vec<SocketAddr> {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            indices.iter().map(|scope| scoped(address, port, *scope)).collect()
        }
        _ => vec![SocketAddr::new(address, port)],
    }
}

/// A link-local address on one interface.
pub(super) const fn scoped(address: Ipv6Addr, port: u16, scope: u32) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_as_the_kernel_lists_them() {
        let text = "Inter-|   Receive\n face |bytes    packets\n    lo: 1 2\n  eth0:3 4\n";
        assert_eq!(names(text), ["eth0", "lo"]);
        assert!(here().unwrap().contains(&"lo".to_owned()));
    }

    #[test]
    fn an_election_id_is_the_address_as_an_integer() {
        assert_eq!(election_id(IpAddr::from([192, 168, 1, 1])), 3_232_235_777);
        assert_eq!(election_id(IpAddr::V6(Ipv6Addr::LOCALHOST)), 1);
    }

    #[test]
    fn a_link_local_address_is_dialled_on_each_interface() {
        let local = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        assert_eq!(dial(local, 7, &[2, 3]).len(), 2);
        assert_eq!(dial(IpAddr::from([10, 0, 0, 1]), 7, &[2, 3]), [SocketAddr::from(([10, 0, 0, 1], 7))]);
    }
}
