//! Who may have which name: the one place that decides what a certificate says of its holder.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Result, bail};

use super::service::{Side, Wanted};
use crate::host_name;

/// What the inventory says of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// `inventory_hostname`.
    pub name: String,
    /// The cluster's internal domain.
    pub domain: String,
    /// Every address that the inventory knows, and those granted by option.
    pub addresses: BTreeSet<IpAddr>,
    /// The DNS name in `ansible_host`, by which other hosts dial it.
    pub dialled: Option<String>,
}

/// The names of one certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// Subject: `<service>@<host>`.
    pub common_name: String,
    /// DNS names of the `subject_alt_name`.
    pub dns: BTreeSet<String>,
    /// Addresses of the `subject_alt_name`.
    pub addresses: BTreeSet<IpAddr>,
}

impl Host {
    /// A host with the addresses that its variables give: `ansible_host`, a literal address or a DNS name, and the
    /// list `addresses`.
    pub fn new(name: &str, domain: &str, ansible_host: Option<&str>, addresses: &[String]) -> Result<Self> {
        let domain = Self::domain(domain)?;
        let mut all: BTreeSet<IpAddr> = ansible_host.and_then(address).into_iter().collect();
        all.extend(address(name));
        for text in addresses {
            let Some(address) = address(text) else {
                bail!("host '{name}': '{text}' in its variable 'addresses' is not an IP address");
            };
            all.insert(address);
        }
        let dialled = ansible_host.filter(|it| address(it).is_none()).map(str::to_ascii_lowercase);
        let dialled = dialled.filter(|it| is_dns_name(it));
        Ok(Self { addresses: all, dialled, ..Self::of(name, &domain) })
    }

    /// A host of which only the name is known, in a domain that is [normalized](Self::domain).
    pub fn of(name: &str, domain: &str) -> Self {
        Self { name: name.into(), domain: domain.into(), addresses: BTreeSet::new(), dialled: None }
    }

    /// A domain in the one form in which names are compared.
    pub fn domain(text: &str) -> Result<String> {
        let domain = text.trim_end_matches('.').to_ascii_lowercase();
        if !is_dns_name(&domain) {
            bail!("option 'domain': '{domain}' is not a domain name");
        }
        Ok(domain)
    }

    /// The name of a service, or of an `extra_san`, in the cluster's domain.
    pub fn in_domain(label: &str, domain: &str) -> String {
        format!("{label}.{domain}").to_ascii_lowercase()
    }

    /// The part of the name before the first dot; none where the name is an address.
    pub fn short(&self) -> Option<String> {
        Self::short_of(&self.name)
    }

    /// The same, of a host of which only the name is known.
    pub fn short_of(name: &str) -> Option<String> {
        host_name::short(name)
    }

    /// The name with dots in it, else the name in the cluster's domain.
    pub fn fqdn(&self) -> Option<String> {
        let short = self.short()?;
        if self.name.contains('.') {
            return Some(self.name.trim_end_matches('.').to_ascii_lowercase());
        }
        Some(Self::in_domain(&short, &self.domain))
    }

    /// [`fqdn`](Self::fqdn), or the address where the name is one, as URLs write it: what the inventory publishes for
    /// all hosts at once, for Ansible to evaluate. Their domain may stand where only Ansible looks.
    pub const NAME_TEMPLATE: &str = "{{ ('[' ~ inventory_hostname ~ ']' if ':' in inventory_hostname \
        else inventory_hostname if '.' in inventory_hostname else inventory_hostname ~ '.' ~ domain) \
        | lower | regex_replace('[.]$', '') }}";

    /// The names of the certificate `wanted` on this host.
    pub fn names(&self, wanted: &Wanted) -> Result<Names> {
        let common_name = format!("{}@{}", wanted.service, self.name);
        if common_name.chars().count() > host_name::COMMON_NAME {
            bail!(
                "the common name '{common_name}' is longer than {} characters: shorten the name of the service or of the \
                 host",
                host_name::COMMON_NAME
            );
        }
        let mut names = Names { common_name, dns: BTreeSet::new(), addresses: BTreeSet::new() };
        if wanted.side == Side::Server {
            names.dns.insert(Self::in_domain(&wanted.service, &self.domain));
            names.dns.extend(self.short());
            names.dns.extend(self.fqdn());
            names.dns.extend(self.dialled.clone());
            names.dns.insert("localhost".into());
            names.dns.extend(wanted.extra_san.iter().map(|it| Self::in_domain(it, &self.domain)));
            names.addresses.clone_from(&self.addresses);
            // What `localhost` stands for; clients that are given an address check only addresses.
            names.addresses.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]);
        }
        if let Some(bad) = names.dns.iter().find(|it| !is_dns_name(it.strip_prefix("*.").unwrap_or(it))) {
            bail!("service '{}' on host '{}': '{bad}' is not a DNS name", wanted.service, self.name);
        }
        Ok(names)
    }
}

/// A literal address in its one form, whether written with the brackets in which Ansible takes IPv6, or IPv4 as IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    inner.trim().parse().ok().map(|it: IpAddr| it.to_canonical())
}

/// RFC 1123 host names; `_` as in service labels is let through.
fn is_dns_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::service::Usage, *};

    fn wanted(side: Side) -> Wanted {
        Wanted {
            service: "web".into(),
            credential: "web-tls".into(),
            side,
            usage: Usage::Both,
            extra_san: vec!["www".into(), "*.apps".into()],
        }
    }

    fn names(host: &str, ansible_host: &str, addresses: &[&str]) -> Names {
        let addresses: Vec<_> = addresses.iter().map(|it| (*it).to_owned()).collect();
        let host = Host::new(host, "Infra.Example.com", Some(ansible_host), &addresses).unwrap();
        host.names(&wanted(Side::Server)).unwrap()
    }

    #[test]
    fn a_server_has_every_name_under_which_it_is_called() {
        let found = names("host1", "10.0.0.1", &["192.0.2.7", "2001:db8::1"]);
        assert_eq!(found.common_name, "web@host1");
        let expected = [
            "*.apps.infra.example.com",
            "host1",
            "host1.infra.example.com",
            "localhost",
            "web.infra.example.com",
        ];
        let mut expected: Vec<_> = expected.iter().map(|it| (*it).to_owned()).collect();
        expected.push("www.infra.example.com".into());
        assert_eq!(found.dns.into_iter().collect::<Vec<_>>(), expected);
        let addresses: Vec<_> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.1", "127.0.0.1", "192.0.2.7", "::1", "2001:db8::1"]);
    }

    #[test]
    fn a_dotted_name_is_the_fqdn_and_an_address_is_no_name() {
        let dotted = names("Host1.example.org", "gateway", &[]);
        assert!(dotted.dns.contains("host1") && dotted.dns.contains("host1.example.org"), "{dotted:?}");
        assert_eq!(dotted.addresses.len(), 2, "a name in ansible_host is not an address");
        assert!(dotted.dns.contains("gateway"), "but others dial it: {dotted:?}");
        let address = names("10.0.0.9", "", &[]);
        assert!(!address.dns.contains("10") && address.addresses.len() == 3, "{address:?}");
    }

    #[test]
    fn a_client_has_its_common_name_alone() {
        let host = Host::new("host1", "example.com", Some("[::2]"), &[]).unwrap();
        let names = host.names(&wanted(Side::Client)).unwrap();
        assert!(names.dns.is_empty() && names.addresses.is_empty(), "{names:?}");
        assert_eq!(host.addresses.len(), 1);
    }

    #[test]
    fn names_that_no_certificate_can_hold_are_refused() {
        let long = Host::new(&"h".repeat(61), "example.com", None, &[]).unwrap();
        assert!(long.names(&wanted(Side::Client)).unwrap_err().to_string().contains("longer than 64"));
        assert!(
            Host::new(&"h".repeat(60), "example.com", None, &[])
                .unwrap()
                .names(&wanted(Side::Client))
                .is_ok()
        );
        assert!(Host::new("h", "", None, &[]).is_err());
        assert!(Host::new("h", "example.com", None, &["10.0.0.256".into()]).is_err());
        let odd = Wanted { extra_san: vec!["a b".into()], ..wanted(Side::Server) };
        assert!(Host::new("h", "example.com", None, &[]).unwrap().names(&odd).is_err());
    }
}
