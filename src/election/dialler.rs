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
/// As long a connection that was made has to prove itself before another one is tried.
const PROOF: Millis = 600;
/// Attempts at one process at a time: the first packet of one may be lost, and is sent again only after a second.
const MOST_FOR_ONE: u32 = 3;
/// Anyone can repeat an old announcement under addresses of his own: there is an end to what is remembered.
const MOST_ADDRESSES: usize = 8;
const MOST_PROCESSES: usize = 1_000;
const MOST_AT_ONCE: usize = 32;

/// Processes that were found.
#[derive(Default)]
pub(super) struct Dialler {
    found: BTreeMap<Peer, Found>,
    dialling: BTreeMap<Peer, u32>,
}

struct Found {
    addresses: Vec<SocketAddr>,
    at: Millis,
    attempts: u32,
}

impl Dialler {
    /// A process was found at these addresses.
    pub(super) fn found(&mut self, own: &NodeId, peer: Peer, addresses: &[SocketAddr], now: Millis) {
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
    pub(super) fn ended(&mut self, peer: &Peer, well: bool, now: Millis) {
        let left = self.dialling.get(peer).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            self.dialling.remove(peer);
        } else {
            self.dialling.insert(peer.clone(), left);
        }
        let Some(found) = self.found.get_mut(peer) else { return };
        if well {
            found.at = found.at.max(now + PROOF);
        } else if left == 0 && found.attempts >= ATTEMPTS {
            self.found.remove(peer);
        }
    }

    /// Dials whoever is due, each in a thread of its own that ends soon. `lively`: with whom there is a conversation
    /// that has not fallen silent.
    pub(super) fn dial(&mut self, lively: &BTreeSet<Peer>, inbox: &Inbox, now: Millis) {
        for (peer, found) in &mut self.found {
            if lively.contains(peer) {
                // Should it fall silent, the next connection is wanted soon.
                found.attempts = 0;
                continue;
            }
            let running = self.dialling.get(peer).copied().unwrap_or_default();
            let due = found.at <= now && running < MOST_FOR_ONE;
            if !due || found.addresses.is_empty() || self.dialling.len() >= MOST_AT_ONCE {
                continue;
            }
            let turn = usize::try_from(found.attempts).unwrap_or_default() % found.addresses.len();
            let (address, to, inbox) = (found.addresses[turn], peer.clone(), inbox.clone());
            found.attempts += 1;
            found.at = now + (RETRY * Millis::from(found.attempts)).min(RETRY_MOST);
            self.dialling.insert(peer.clone(), running + 1);
            thread::spawn(move || {
                inbox.dialled(to, TcpStream::connect_timeout(&address, CONNECT).ok());
            });
        }
    }

    /// When the next one is due.
    pub(super) fn wake_at(&self, lively: &BTreeSet<Peer>) -> Option<Millis> {
        let busy = |it| self.dialling.get(it).is_some_and(|running| *running >= MOST_FOR_ONE);
        let waiting = |it| !lively.contains(it) && !busy(it);
        self.found.iter().filter(|(peer, _)| waiting(*peer)).map(|(_, it)| it.at).min()
    }
}
