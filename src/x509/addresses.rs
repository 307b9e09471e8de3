//! Addresses that a host reports of itself, and the networks in which it may have any.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use anyhow::{Context, Result, bail};

use crate::system::files;

/// A network as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self> {
        let (address, prefix) = text.trim().split_once('/').unwrap_or((text.trim(), ""));
        let Ok(address) = address.parse::<IpAddr>() else {
            bail!("option 'cluster_networks': '{text}' is not a network; write 10.0.0.0/8, say");
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = if prefix.is_empty() { Some(longest) } else { prefix.parse().ok() };
        match prefix {
            // An IPv4 network that is written as an IPv6 one.
            Some(prefix @ 96..=128) if address.to_canonical().is_ipv4() && address.is_ipv6() => {
                Ok(Self { address: address.to_canonical(), prefix: prefix - 96 })
            }
            Some(prefix) if prefix <= longest => Ok(Self { address, prefix }),
            _ => bail!("option 'cluster_networks': '{text}' has a prefix that is not within 0 and {longest}"),
        }
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (ours, theirs) = (bits(self.address), bits(address));
        let length = if self.address.is_ipv4() { 32 } else { 128 };
        let host_bits = length - self.prefix;
        // A shift by all 128 bits leaves nothing to compare.
        self.address.is_ipv4() == address.is_ipv4()
            && ours.checked_shr(host_bits).unwrap_or(0) == theirs.checked_shr(host_bits).unwrap_or(0)
    }
}

/// Why no other host could reach a host under `address`, or only by another way to write it.
pub fn unusable(address: IpAddr) -> Option<&'static str> {
    let reason = match address {
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_loopback() => "a loopback address",
        _ if address.is_multicast() => "a multicast address",
        IpAddr::V4(it) if it.is_link_local() => "a link-local address",
        IpAddr::V4(it) if it.octets()[0] == 0 || it.is_broadcast() => "no host's address",
        IpAddr::V6(it) if it.is_unicast_link_local() => "a link-local address",
        // Mapped, and the deprecated form without `ffff`.
        IpAddr::V6(it) if it.to_ipv4().is_some() => "an IPv4 address written as an IPv6 one",
        _ => return None,
    };
    Some(reason)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(it) => it.to_bits().into(),
        IpAddr::V6(it) => it.to_bits(),
    }
}

/// This host's own addresses inside `networks`, as the kernel lists them.
pub fn own(networks: &[Network]) -> Result<BTreeSet<IpAddr>> {
    let read = |path: &str| files::text(path).with_context(|| format!("cannot read {path}"));
    let four = read("/proc/net/fib_trie")?;
    // Not there where IPv6 is switched off.
    let six = read("/proc/net/if_inet6").unwrap_or_default();
    let all = local(&four).into_iter().chain(interfaces(&six));
    Ok(all
        .filter(|it| unusable(*it).is_none() && networks.iter().any(|network| network.contains(*it)))
        .collect())
}

/// IPv4: in `/proc/net/fib_trie` an own address is a leaf with the line `/32 host LOCAL` below it.
fn local(table: &str) -> Vec<IpAddr> {
    let mut last: Option<IpAddr> = None;
    let mut found = Vec::new();
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found
}

/// IPv6: in `/proc/net/if_inet6` the first field is the address, the fourth its scope; 0 is global.
fn interfaces(table: &str) -> Vec<IpAddr> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let (address, scope) = (fields.next()?, fields.nth(2)?);
        let bits = u128::from_str_radix(address, 16).ok()?;
        (scope == "00").then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)))
    };
    table.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_or_not() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::/0", "::ffff:10.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.1.0.1", true),
            ("::ffff:10.0.0.0/104", "11.1.0.1", false),
        ] {
            let found = Network::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(found, expected, "{address} in {network}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "::/129", "10.0.0.0/8x"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_under_which_nobody_is_reached_is_told_apart() {
        for (address, expected) in [
            ("10.0.0.1", None),
            ("2001:db8::1", None),
            ("fd00::1", None),
            ("64:ff9b::a00:1", None),
            ("0.0.0.0", Some("unspecified")),
            ("::", Some("unspecified")),
            ("0.0.0.7", Some("no host")),
            ("255.255.255.255", Some("no host")),
            ("127.1.2.3", Some("loopback")),
            ("::1", Some("loopback")),
            ("169.254.1.1", Some("link-local")),
            ("fe80::1", Some("link-local")),
            ("224.0.0.251", Some("multicast")),
            ("ff02::fb", Some("multicast")),
            ("::ffff:10.0.0.11", Some("written as an IPv6")),
            ("::10.0.0.11", Some("written as an IPv6")),
        ] {
            let found = unusable(address.parse().unwrap());
            assert_eq!(found.is_some(), expected.is_some(), "{address}: {found:?}");
            assert!(found.is_none_or(|it| it.contains(expected.unwrap())), "{address}: {found:?}");
        }
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\nLocal:\n     |-- 10.0.0.9\n        \
                     /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        assert_eq!(local(table), ["10.0.0.9".parse::<IpAddr>().unwrap()]);
        let table = "fe800000000000000000000000000001 02 40 20 80 eth0\n20010db8000000000000000000000005 02 40 00 80 eth0\n";
        assert_eq!(interfaces(table), ["2001:db8::5".parse::<IpAddr>().unwrap()]);
        assert!(
            own(&[Network::parse("127.0.0.0/8").unwrap()]).unwrap().is_empty(),
            "loopback is nobody's own"
        );
    }
}
