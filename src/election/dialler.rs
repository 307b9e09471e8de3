//! Whom to dial, when, and where: every process that was found and with which there is no conversation yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use super::{Millis, NodeId, Peer, run::Inbox};

/// Of the two nodes that have found each other the one with the higher id waits for the other for so long.
const COURTESY: Millis = 200;
/// Between two attempts, at first and at most.
const RETRY: Millis = 200;
const RETRY_MOST: Millis = 2_000;
/// A process that could not be reached so often is forgotten until it is found again.
const ATTEMPTS: u32 = 12;
const CONNECT: Duration = Duration::from_millis(1_500);
/// Anyone can repeat an old announcement under addresses of his own: there is an end to what is remembered.
const MOST_ADDRESSES: usize = 8;
const MOST_PROCESSES: usize = 1_000;
const MOST_AT_ONCE: usize = 32;

/// Processes that were found.
#[derive(Default)]
pub struct Dialler {
    found: BTreeMap<Peer, Found>,
    dialling: BTreeSet<Peer>,
}

struct Found {
    addresses: Vec<SocketAddr>,
    at: Millis,
    attempts: u32,
}

impl Dialler {
    /// A process was found at these addresses.
    pub fn found(&mut self, own: &NodeId, peer: Peer, addresses: &[SocketAddr], now: Millis) {
        let at = if *own < peer.id { now } else { now + COURTESY };
        if self.found.len() >= MOST_PROCESSES && !self.found.contains_key(&peer) {
            return;
        }
        let known = self.found.entry(peer).or_insert(Found { addresses: Vec::new(), at, attempts: 0 });
        for address in addresses {
            if !known.addresses.contains(address) {
                known.addresses.insert(0, *address);
                known.addresses.truncate(MOST_ADDRESSES);
            }
        }
    }

    /// An attempt has ended.
    pub fn ended(&mut self, peer: &Peer, well: bool) {
        self.dialling.remove(peer);
        let lost = !well && self.found.get(peer).is_some_and(|it| it.attempts >= ATTEMPTS);
        if lost {
            self.found.remove(peer);
        }
    }

    /// Dials whoever is due, each in a thread of its own that ends soon.
    pub fn dial(&mut self, connected: &BTreeSet<Peer>, inbox: &Inbox, now: Millis) {
        for (peer, found) in &mut self.found {
            let due = found.at <= now && !connected.contains(peer) && !self.dialling.contains(peer);
            if !due || found.addresses.is_empty() || self.dialling.len() >= MOST_AT_ONCE {
                continue;
            }
            let turn = usize::try_from(found.attempts).unwrap_or_default() % found.addresses.len();
            let (address, to, inbox) = (found.addresses[turn], peer.clone(), inbox.clone());
            found.attempts += 1;
            found.at = now + (RETRY * Millis::from(found.attempts)).min(RETRY_MOST);
            self.dialling.insert(peer.clone());
            thread::spawn(move || {
                inbox.dialled(to, TcpStream::connect_timeout(&address, CONNECT).ok());
            });
        }
    }

    /// When the next one is due.
    pub fn wake_at(&self, connected: &BTreeSet<Peer>) -> Option<Millis> {
        let waiting = |it: &&Peer| !connected.contains(it) && !self.dialling.contains(it);
        self.found.iter().filter(|(peer, _)| waiting(peer)).map(|(_, it)| it.at).min()
    }
}
