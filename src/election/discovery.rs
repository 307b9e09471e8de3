//! DNS-SD: announces this node and finds others. Whatever is found here is only an address to try.

use std::{net::SocketAddr, thread};

use anyhow::{Context, Result};
use mdns_sd::{IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::{NodeId, Peer, Record, SecretKey, interfaces::scoped, run::Inbox};

/// Where nodes find each other, as in the original.
const DISCOVERY: &str = "_btstrp._tcp.local.";
/// Where onlookers see who leads, as in the original. Nothing depends on it.
const LEADER: &str = "_leader._tcp.local.";

/// The announcements of this process. They end with it.
pub(super) struct Discovery {
    daemon: ServiceDaemon,
    announcement: Announcement,
}

/// What is announced: who, where, and a MAC over it.
struct Announcement {
    record: Record,
    properties: Vec<(&'static str, String)>,
}

impl Announcement {
    fn new(secret: &SecretKey, cluster: &str, record: &Record) -> Result<Self> {
        let (id, incarnation) = (record.id.as_str().to_owned(), format!("{:016x}", record.incarnation));
        let election_id = record.election_id.to_string();
        let port = record.port.to_string();
        let mac = secret.announcement(&[&id, &incarnation, &election_id, &port].map(String::as_bytes))?;
        let properties = vec![
            ("election_id", election_id),
            ("id", id),
            ("incarnation", incarnation),
            ("cluster", cluster.to_owned()),
            ("mac", mac),
        ];
        Ok(Self { record: record.clone(), properties })
    }

    /// The names hold the incarnation: no two processes have the same, not even clones, so nothing needs to be probed.
    fn service(&self, kind: &str) -> Result<ServiceInfo> {
        let Record { name, incarnation, port, addresses, .. } = &self.record;
        let label: String =
            name.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').take(40).collect();
        let instance = format!("{label}-{incarnation:016x}");
        let host = format!("{instance}.local.");
        let mut service =
            ServiceInfo::new(kind, &instance, &host, addresses.as_slice(), *port, &self.properties[..])?;
        // Probing costs 0.8 to 1 s.
        service.set_requires_probe(false);
        Ok(service)
    }
}

impl Discovery {
    /// Announces `record` on these interfaces, and tells `inbox` of everyone who announces the same cluster.
    pub(super) fn start(
        secret: SecretKey,
        cluster: &str,
        record: &Record,
        interfaces: &[String],
        inbox: Inbox,
    ) -> Result<Self> {
        let announcement = Announcement::new(&secret, cluster, record)?;
        let daemon = ServiceDaemon::new().context("cannot use multicast DNS (UDP port 5353)")?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(interfaces.iter().map(|it| IfKind::Name(it.clone())).collect::<Vec<_>>())?;
        daemon.register(announcement.service(DISCOVERY)?)?;
        let found = daemon.browse(DISCOVERY)?;
        let own = record.incarnation;
        thread::spawn(move || {
            while let Ok(event) = found.recv() {
                if let ServiceEvent::ServiceResolved(service) = event
                    && let Some((peer, addresses)) = verified(&secret, &service)
                    && peer.incarnation != own
                {
                    inbox.found(peer, addresses);
                }
            }
        });
        Ok(Self { daemon, announcement })
    }

    /// Lets onlookers know that this node leads.
    pub(super) fn lead(&self) {
        // Nothing depends on it.
        let _ = self.announcement.service(LEADER).map(|it| self.daemon.register(it));
    }

    /// Says goodbye.
    pub(super) fn finish(self) {
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = ended.recv_timeout(std::time::Duration::from_millis(200));
        }
    }
}

/// Whose announcement it is and where to dial, if somebody made it who holds the secret. It may be an old one, and the
/// addresses are anybody's word.
fn verified(secret: &SecretKey, service: &ResolvedService) -> Option<(Peer, Vec<SocketAddr>)> {
    let property = |name| service.get_property_val_str(name);
    let (id, incarnation, election_id) =
        (property("id")?, property("incarnation")?, property("election_id")?);
    let port = service.get_port().to_string();
    if !secret.announced(&[id, incarnation, election_id, &port].map(str::as_bytes), property("mac")?) {
        return None;
    }
    let peer = Peer { id: NodeId::parse(id).ok()?, incarnation: u64::from_str_radix(incarnation, 16).ok()? };
    let port = service.get_port();
    let addresses = service.get_addresses().iter().map(|it| match it {
        ScopedIp::V6(address) if address.addr().is_unicast_link_local() => {
            scoped(*address.addr(), port, address.scope_id().index)
        }
        other => SocketAddr::new(other.to_ip_addr(), port),
    });
    Some((peer, addresses.collect()))
}
