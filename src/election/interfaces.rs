//! The node's own addresses on the interfaces that it was given.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use anyhow::{Context, Result};

/// Addresses in the order in which they count, and the interfaces by number.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    /// For each interface in its turn: IPv4, then IPv6, link-local addresses last.
    pub addresses: Vec<IpAddr>,
    /// For addresses that mean something on one link only.
    pub indices: Vec<u32>,
}

/// Looks them up. An interface that is not there, or has no address, has none.
///
/// # Errors
/// The system does not say.
pub fn look(names: &[String]) -> Result<Interfaces> {
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

/// The first address as an integer, as the original counts.
#[must_use]
pub fn election_id(first: IpAddr) -> u128 {
    match first {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Where to dial an address that a member has told: a link-local one on each of the interfaces.
#[must_use]
pub fn dial(address: IpAddr, port: u16, indices: &[u32]) -> Vec<SocketAddr> {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            indices.iter().map(|scope| scoped(address, port, *scope)).collect()
        }
        _ => vec![SocketAddr::new(address, port)],
    }
}

/// A link-local address on one interface.
#[must_use]
pub const fn scoped(address: Ipv6Addr, port: u16, scope: u32) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope))
}

#[cfg(test)]
mod tests {
    use super::*;

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
