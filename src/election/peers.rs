//! Who is alive, and who is there twice. Nothing here trusts a clock but the node's own, nor the order in which
//! messages arrive: alive is who has answered a ping that was *sent* lately.

use std::collections::{BTreeMap, VecDeque};

use super::{Millis, NodeId, Peer, Record, Status, rule::Rule};
use crate::host_name;

/// Who has answered no ping sent within this time is not alive.
pub(super) const LEASE: Millis = 3_000;

/// Processes that have been met, and what they have proven since.
#[derive(Default)]
pub(super) struct Peers {
    met: BTreeMap<Peer, Met>,
    /// Pings that may still be answered: number and time of sending.
    pings: VecDeque<(u64, Millis)>,
    /// Counts meetings and pings alike, so that the one can be said to come after the other.
    count: u64,
    changed: bool,
}

struct Met {
    record: Record,
    /// When it was met, by the count.
    at: u64,
    /// The latest ping it has answered, by the count and by the clock.
    proof: Option<(u64, Millis)>,
    status: Status,
}

impl Peers {
    /// A process is reachable. What it had proven in an earlier meeting does not count.
    pub(super) fn meet(&mut self, record: Record) {
        self.count += 1;
        let peer = Peer { id: record.id.clone(), incarnation: record.incarnation };
        let met = Met { record, at: self.count, proof: None, status: Status::default() };
        self.met.insert(peer, met);
        self.changed = true;
    }

    /// It is not reachable any more.
    pub(super) fn lose(&mut self, peer: &Peer) {
        self.changed |= self.met.remove(peer).is_some();
    }

    /// The number of a ping that is sent now.
    pub(super) fn ping(&mut self, now: Millis) -> u64 {
        while self.pings.front().is_some_and(|(_, sent)| sent + LEASE <= now) {
            self.pings.pop_front();
        }
        self.count += 1;
        self.pings.push_back((self.count, now));
        self.count
    }

    /// It has answered.
    pub(super) fn pong(&mut self, peer: &Peer, number: u64, status: Status) {
        let Some(sent) = self.pings.iter().find(|it| it.0 == number) else { return };
        let Some(met) = self.met.get_mut(peer) else { return };
        if met.proof.is_none_or(|(known, _)| known < number) {
            self.changed |= met.proof.is_none();
            met.proof = Some(*sent);
            met.status = status;
        }
    }

    /// Everyone who has been met, alive or not.
    pub(super) fn met(&self) -> impl Iterator<Item = &Peer> {
        self.met.keys()
    }

    /// The process of a node that was heard of last.
    pub(super) fn latest(&self, id: &NodeId) -> Option<&Peer> {
        let of_node = self.met.iter().filter(|(peer, _)| peer.id == *id);
        of_node.max_by_key(|(_, met)| (met.proof.map(|it| it.0), met.at)).map(|(peer, _)| peer)
    }

    /// The record that came with a process.
    pub(super) fn record(&self, peer: &Peer) -> Option<&Record> {
        self.met.get(peer).map(|it| &it.record)
    }

    /// Whether somebody came, went, or has answered for the first time since this was asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn live_ones(&self, now: Millis) -> impl Iterator<Item = (&Peer, &Met)> {
        self.met.iter().filter(move |(_, met)| {
            Rule::Heartbeats.kept(met.proof.is_some_and(|(_, sent)| now < sent + LEASE))
        })
    }

    /// The records of who is alive.
    pub(super) fn records(&self, now: Millis) -> Vec<&Record> {
        self.live_ones(now).map(|(_, met)| &met.record).collect()
    }

    /// What the live ones have persisted.
    pub(super) fn statuses(&self, now: Millis) -> impl Iterator<Item = (&Peer, &Status)> {
        self.live_ones(now).map(|(peer, met)| (peer, &met.status))
    }

    /// Two live ones with one id or one name, as long as one may be the other's successor. `me` counts as one.
    pub(super) fn ambiguous(&self, me: &Record, now: Millis) -> bool {
        let live: Vec<&Record> = self.records(now);
        let same = |a: &Record, b: &Record| a.id == b.id || host_name::alike(&a.name, &b.name);
        live.iter().enumerate().any(|(at, a)| same(a, me) || live[..at].iter().any(|b| same(a, b)))
    }

    /// Two different processes with one id or one name that certainly live at the same time: each has answered a
    /// ping that was sent after the other was met. A process and its successor never do. Whoever answers this
    /// node lives at the same time as this node.
    pub(super) fn duplicate<'a>(&'a self, me: &'a Record, now: Millis) -> Option<(&'a Record, &'a Record)> {
        let live: Vec<&Met> = self.live_ones(now).map(|(_, met)| met).collect();
        let same = |a: &Record, b: &Record| a.id == b.id || host_name::alike(&a.name, &b.name);
        if let Some(other) = live.iter().find(|it| it.proof.is_some() && same(&it.record, me)) {
            return Some((me, &other.record));
        }
        let after = |a: &Met, b: &Met| a.proof.is_some_and(|(number, _)| number > b.at);
        let pairs = live.iter().enumerate().flat_map(|(at, a)| live[..at].iter().map(move |b| (*a, *b)));
        pairs
            .into_iter()
            .find(|(a, b)| same(&a.record, &b.record) && after(a, b) && after(b, a))
            .map(|(a, b)| (&b.record, &a.record))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::record::tests::record, *};

    fn peer(record: &Record) -> Peer {
        Peer { id: record.id.clone(), incarnation: record.incarnation }
    }

    #[test]
    fn alive_is_who_has_answered_a_ping_that_was_sent_lately() {
        let mut peers = Peers::default();
        let a = record("a", 1);
        peers.meet(a.clone());
        assert!(peers.records(0).is_empty(), "being met proves nothing");
        let number = peers.ping(100);
        // The answer comes late: what counts is when the ping was sent.
        peers.pong(&peer(&a), number, Status::default());
        assert_eq!(peers.records(100 + LEASE - 1), [&a]);
        assert!(peers.records(100 + LEASE).is_empty());
        peers.pong(&peer(&a), number + 7, Status::default());
        assert!(peers.records(100 + LEASE).is_empty(), "a number that was never sent proves nothing");
    }

    #[test]
    fn a_process_and_its_successor_are_not_two() {
        let mut peers = Peers::default();
        let me = record("me", 1);
        let (old, new) = (record("a", 1), Record { incarnation: 2, ..record("a", 1) });
        peers.meet(old.clone());
        let first = peers.ping(0);
        peers.pong(&peer(&old), first, Status::default());
        // It dies without a word; its successor comes; then an old answer of the first arrives again.
        peers.meet(new.clone());
        let second = peers.ping(10);
        peers.pong(&peer(&new), second, Status::default());
        peers.pong(&peer(&old), first, Status::default());
        assert!(peers.ambiguous(&me, 20));
        assert!(peers.duplicate(&me, 20).is_none());
        assert_eq!(peers.latest(&old.id), Some(&peer(&new)));
        assert!(!peers.ambiguous(&me, LEASE), "the first one's lease has ended");
        // A clone answers what its twin cannot have answered.
        peers.pong(&peer(&old), second, Status::default());
        assert!(peers.duplicate(&me, 20).is_some());
    }

    #[test]
    fn one_name_for_two_ids_is_a_duplicate_and_so_is_my_own() {
        let mut peers = Peers::default();
        let me = record("me", 1);
        let (a, b) = (record("a", 1), Record { name: "Name-A.example.com".into(), ..record("b", 2) });
        peers.meet(a.clone());
        peers.meet(b.clone());
        let number = peers.ping(0);
        peers.pong(&peer(&a), number, Status::default());
        peers.pong(&peer(&b), number, Status::default());
        assert!(peers.duplicate(&me, 0).is_some());
        let twin = Record { name: "name-b".into(), ..me };
        assert!(peers.duplicate(&twin, 0).is_some());
        assert!(peers.duplicate(&a, 0).is_some(), "it is met by one with its own id");
    }
}
