//! The names of the cluster: what the inventory says of hosts and services, and which instances are present.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{LowerName, Name, RData, Record};

use crate::config::Config;
use crate::etcd::Directory;

/// Seconds for which the addresses of a host may be remembered: they change with the inventory.
const HOST_TTL: u32 = 60;

/// Names and what they stand for. A name that is not here is another server's.
pub(crate) struct Zone {
    names: HashMap<LowerName, Entry>,
    reverse: HashMap<LowerName, Name>,
    /// Goes with an answer that there is nothing.
    pub(crate) soa: Record,
}

/// What a name stands for.
pub(crate) struct Entry {
    pub(crate) addresses: Vec<IpAddr>,
    /// Instances: port, name and addresses of the host.
    pub(crate) targets: Vec<(u16, Name, Vec<IpAddr>)>,
    pub(crate) ttl: u32,
    /// Whether what is present is known.
    pub(crate) known: bool,
}

/// What the zone knows of a name.
pub(crate) enum Found<'a> {
    Entry(&'a Entry),
    /// The host that has this address.
    Pointer(&'a Name, u32),
    /// It is not the cluster's.
    Foreign,
}

impl Zone {
    /// All names, in the form in which they are looked up.
    pub(crate) fn new(config: &Config, directory: &Directory) -> Result<Self> {
        let domain =
            Name::from_ascii(&config.domain).with_context(|| format!("domain: '{}'", config.domain))?;
        let domain = Name::from_labels(domain.iter())?;
        let below = |label: &str, above: &Name| -> Result<Name> {
            Name::from_labels([label.as_bytes()])?
                .append_name(above)
                .with_context(|| format!("the name '{label}'"))
        };
        let mut zone = Self {
            names: HashMap::new(),
            reverse: HashMap::new(),
            soa: soa(&domain, config.ttl, directory.revision)?,
        };
        for (host, addresses) in &config.hosts {
            let name = below(host, &domain)?;
            for address in addresses {
                zone.reverse.entry(LowerName::new(&Name::from(*address))).or_insert_with(|| name.clone());
            }
            let entry =
                Entry { addresses: addresses.clone(), targets: Vec::new(), ttl: HOST_TTL, known: true };
            zone.names.insert(LowerName::new(&name), entry);
        }
        let known = directory.revision > 0;
        let mut present: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (service, host) in &directory.present {
            present.entry(service).or_default().push(host);
        }
        for (service, about) in &config.services {
            let here = present.get(service.as_str()).map_or(&[][..], Vec::as_slice);
            let here =
                about.hosts.iter().map(String::as_str).filter(|it| here.contains(it)).collect::<Vec<_>>();
            let entry = |hosts: &[&str]| -> Result<Entry> {
                let mut entry = Entry { addresses: Vec::new(), targets: Vec::new(), ttl: config.ttl, known };
                for host in hosts {
                    let addresses = config.hosts.get(*host).cloned().unwrap_or_default();
                    entry.addresses.extend(&addresses);
                    if let Some(port) = about.port {
                        entry.targets.push((port, below(host, &domain)?, addresses));
                    }
                }
                Ok(entry)
            };
            let name = below(service, &domain)?;
            for host in &about.hosts {
                let one = here.iter().copied().filter(|it| it == host).collect::<Vec<_>>();
                zone.names.insert(LowerName::new(&below(host, &name)?), entry(&one)?);
            }
            if let Some(master) = &about.master {
                let one = here.iter().copied().filter(|it| it == master).collect::<Vec<_>>();
                zone.names
                    .insert(LowerName::new(&below(&format!("{service}-master"), &domain)?), entry(&one)?);
            }
            zone.names.insert(LowerName::new(&name), entry(&here)?);
        }
        Ok(zone)
    }

    /// What a name stands for.
    pub(crate) fn find(&self, name: &LowerName) -> Found<'_> {
        match self.names.get(name) {
            Some(entry) => Found::Entry(entry),
            None => self.reverse.get(name).map_or(Found::Foreign, |it| Found::Pointer(it, HOST_TTL)),
        }
    }
}

#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a serial goes round")]
fn soa(domain: &Name, ttl: u32, revision: i64) -> Result<Record> {
    let (server, person) = (Name::from_ascii("ns")?, Name::from_ascii("hostmaster")?);
    let (server, person) = (server.append_domain(domain)?, person.append_domain(domain)?);
    let data = SOA::new(server, person, revision as u32, 60, 60, 3600, ttl);
    Ok(Record::from_rdata(domain.clone(), ttl, RData::SOA(data)))
}
