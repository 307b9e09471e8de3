//! What of a host's requests may be signed: decided from the inventory, never from the request.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;

use super::{
    addresses::{Network, unusable},
    csr,
    index::Index,
    key::KeyType,
    messages::{CertificateRequest, Delivery, Report, Reports},
    names::{Host, Names},
    owners::{Owner, Owners},
    rollover::CaState,
    service::{Services, Usage, Wanted, wanted},
};

/// What the inventory says.
pub struct Inventory<'a> {
    /// The cluster's internal domain.
    pub domain: &'a str,
    /// Metadata of all services.
    pub services: &'a Services,
    /// Hosts by group.
    pub groups: &'a BTreeMap<String, Vec<String>>,
    /// To whom names belong.
    pub owners: Owners<'a>,
    /// `ansible_host` by host.
    pub ansible_hosts: &'a BTreeMap<String, String>,
    /// `addresses` by host.
    pub addresses: &'a BTreeMap<String, Vec<String>>,
    /// Networks in which an address that a host reports of itself is believed; none: nowhere.
    pub networks: Vec<Network>,
    /// The type of key that is certified.
    pub key_type: KeyType,
}

/// What was decided before: the CAs of this cluster, and what was issued.
pub struct Past<'a> {
    /// None: there is no CA yet.
    pub state: Option<&'a CaState>,
    /// Every certificate that was issued.
    pub index: &'a Index,
    /// What counts as expired.
    pub now: OffsetDateTime,
}

/// A certificate that may be signed.
pub struct Approved {
    /// The request it answers.
    pub request: CertificateRequest,
    /// For which host.
    pub host: String,
    /// For which service.
    pub service: String,
    /// With which names.
    pub names: Names,
    /// For which use.
    pub usage: Usage,
    /// DER `SubjectPublicKeyInfo`; none in check mode.
    pub public_key: Option<Vec<u8>>,
}

impl Approved {
    /// What the host is given; without a chain in check mode.
    pub fn deliver(&self, chain: Option<String>) -> Delivery {
        let CertificateRequest { credential, side, reason, key, .. } = self.request.clone();
        Delivery { credential, side, reason, key, chain }
    }
}

/// Decides on all requests of the host `name`. One that may not be signed refuses them all: a host that
/// asks for what is not its own is mistaken or taken over.
pub fn approve(
    inventory: &Inventory<'_>,
    past: &Past<'_>,
    reports: &Reports,
    name: &str,
    report: &Report,
) -> Result<Vec<Approved>> {
    if report.requests.is_empty() {
        return Ok(Vec::new());
    }
    if !inventory.has(name, "all") {
        bail!("the inventory has no host '{name}'");
    }
    let anchors = &report.standing.anchors;
    if past.state.is_some_and(|state| !anchors.is_empty() && !anchors.iter().any(|it| state.knows(it))) {
        bail!(
            "host '{name}' trusts another cluster's CA: if it is to join this one, remove \
             /etc/credentials/x509 there, or set `common_ca_new`"
        );
    }
    let mut host = inventory.host(name)?;
    inventory.check_short_name(&host)?;
    host.addresses.extend(inventory.believed(past, reports, name, report)?);
    let runs_here = inventory.services.iter().filter(|(service, _)| inventory.has(name, service));
    let allowed = wanted(runs_here)?;
    let mut seen = BTreeSet::new();
    let mut decide = |request: &CertificateRequest| {
        let (credential, side) = (&request.credential, request.side);
        let Some(wanted) = allowed.iter().find(|it| it.credential == *credential && it.side == side) else {
            bail!("the inventory gives this host no {side} certificate '{credential}'");
        };
        if !seen.insert((credential.clone(), side)) {
            bail!("the {side} certificate '{credential}' is requested twice");
        }
        let public_key = request.csr.as_ref().map(|csr| {
            let key = csr::public_key(csr, inventory.key_type)?;
            check_owner(past, name, &key).map(|()| key)
        });
        let public_key = public_key
            .transpose()
            .with_context(|| format!("the request for the {side} certificate '{credential}'"))?;
        let Wanted { service, usage, .. } = wanted.clone();
        let names = host.names(wanted)?;
        inventory.check_owners(&host, &service, &names)?;
        Ok(Approved { request: request.clone(), host: name.into(), service, names, usage, public_key })
    };
    report.requests.iter().map(&mut decide).collect()
}

/// A private key lies on one host only. Machines that were copied from another share its keys.
fn check_owner(past: &Past<'_>, name: &str, public_key: &[u8]) -> Result<()> {
    let fingerprint = csr::fingerprint(public_key);
    past.index.issued().filter(|it| it.key == fingerprint).try_for_each(|it| check_one_owner(name, &it.host))
}

/// The host `name` may have a key of `owner` certified only where that is itself.
pub fn check_one_owner(name: &str, owner: &str) -> Result<()> {
    if name != owner {
        bail!(
            "is for a key of host '{owner}': was this machine copied from it? Remove /etc/credentials/x509 on '{name}'"
        );
    }
    Ok(())
}

impl Inventory<'_> {
    fn has(&self, host: &str, group: &str) -> bool {
        self.groups.get(group).is_some_and(|it| it.iter().any(|it| it == host))
    }

    fn hosts(&self) -> impl Iterator<Item = &String> {
        self.groups.get("all").into_iter().flatten()
    }

    fn host(&self, name: &str) -> Result<Host> {
        let addresses = self.addresses.get(name).map_or(&[][..], Vec::as_slice);
        Host::new(name, self.domain, self.ansible_hosts.get(name).map(String::as_str), addresses)
    }

    /// The short name is in certificates: no two hosts may answer to it.
    fn check_short_name(&self, host: &Host) -> Result<()> {
        let Some(short) = host.short() else { return Ok(()) };
        let same = |it: &&String| **it != host.name && Host::short_of(it).as_ref() == Some(&short);
        match self.hosts().find(same) {
            Some(other) => bail!("hosts '{}' and '{other}' have the same short name '{short}'", host.name),
            None => Ok(()),
        }
    }

    /// Nobody is certified under a name that belongs to a service which does not run there, or to another host.
    fn check_owners(&self, host: &Host, service: &str, names: &Names) -> Result<()> {
        let runs = |service: &str| self.has(&host.name, service);
        let found = names.dns.iter().find_map(|it| Some((it, self.owners.other(it, &host.name, runs)?)));
        let Some((name, owner)) = found else { return Ok(()) };
        let relation = if name.starts_with('*') { "which also stands for " } else { "" };
        let owner = match owner {
            Owner::Service(other) => {
                format!("the name of service '{other}', which does not run on this host")
            }
            Owner::Host(other) => format!("a name of host '{other}'"),
        };
        let remedy = if host.fqdn().as_ref() == Some(name) {
            "rename the host".into()
        } else if host.dialled.as_ref() == Some(name) {
            "correct ansible_host".into()
        } else {
            format!("take it out of extra_san of service '{service}'")
        };
        bail!("a certificate of service '{service}' would be for '{name}', {relation}{owner}: {remedy}");
    }

    /// Addresses that the host reports of itself, where they may be believed.
    fn believed<'r>(
        &self,
        past: &Past<'_>,
        reports: &Reports,
        name: &str,
        report: &'r Report,
    ) -> Result<&'r [IpAddr]> {
        if self.networks.is_empty() {
            return Ok(&[]);
        }
        for address in &report.reported_addresses {
            if let Some(reason) = unusable(*address) {
                bail!("it reports the address {address}, {reason}");
            }
            if !self.networks.iter().any(|it| it.contains(*address)) {
                bail!("it reports the address {address}, which is not within cluster_networks");
            }
            if let Some(other) = self.other_claim(past, reports, name, *address) {
                bail!("it reports the address {address}, which belongs to host '{other}'");
            }
        }
        Ok(&report.reported_addresses)
    }

    /// Another host that has the address in the inventory, in a certificate, or in its own report.
    fn other_claim(&self, past: &Past<'_>, reports: &Reports, name: &str, address: IpAddr) -> Option<String> {
        let others = || self.hosts().filter(|it| *it != name);
        let listed = others().find(|it| self.host(it).is_ok_and(|it| it.addresses.contains(&address)));
        let is_it = |text: &String| text.parse::<IpAddr>().is_ok_and(|it| it.to_canonical() == address);
        let certified = || {
            let mut current = past.index.current().filter(|it| it.not_after > past.now);
            let held = current.find(|it| it.host != name && it.names.iter().any(is_it));
            held.map(|it| &it.host).filter(|it| self.has(it, "all"))
        };
        let reported = || {
            let mut all = reports.understood();
            all.find(|(host, it)| {
                *host != name && it.reported_addresses.iter().any(|it| it.to_canonical() == address)
            })
            .map(|(host, _)| host)
        };
        listed.or_else(certified).or_else(reported).cloned()
    }
}
