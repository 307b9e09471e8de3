//! How services that lack instances share out the hosts: in rounds, each asking its next best host.
//!
//! In round *i* every service asks the host it likes *i*-th best, and a host with room takes those that
//! like it most. What is granted stays granted, so one host more or less disturbs few: this moved less, on
//! average over many names, than letting services choose one after another.

use std::cmp::Reverse;

use super::cluster::HostId;
use super::demand::Index;
use super::place::Placer;
use super::room::make_room;

/// Hosts that are ranked at a time: most services ask few of thousands.
const CHUNK: usize = 64;

/// A host with its rank; the greatest is the best.
type Ranked = (Reverse<bool>, (u64, Reverse<HostId>));

struct Seeker<'a> {
    at: Index,
    /// The next hosts to ask, the best last.
    waiting: Vec<HostId>,
    /// The rank of the worst of them: those below are not ranked yet.
    floor: Option<Ranked>,
    /// Hosts that were full when asked.
    full: Vec<HostId>,
    zones: Option<&'a [usize]>,
}

/// Lets the services of a tier look for what they lack.
pub(super) fn seek(placer: &mut Placer, tier: &[Index]) {
    let demands = placer.demands;
    let lacking = tier.iter().copied().filter(|&at| placer.missing(at) > 0);
    let mut seekers: Vec<Seeker> = lacking
        .map(|at| {
            let zones = demands.0[at].zones.as_deref();
            let mut seeker = Seeker { at, waiting: Vec::new(), floor: None, full: Vec::new(), zones };
            seeker.refill(placer);
            seeker
        })
        .collect();
    while !seekers.is_empty() {
        let mut asked: Vec<_> = seekers
            .iter_mut()
            .enumerate()
            .filter_map(|(number, seeker)| {
                let host = seeker.next(placer)?;
                Some((Reverse(placer.rank(&demands.0[seeker.at], host)), number, host))
            })
            .collect();
        asked.sort_unstable();
        for (_, number, host) in asked {
            let seeker = &mut seekers[number];
            let room = placer.load[host] + demands.0[seeker.at].weight <= placer.bound;
            if placer.is_refused(seeker.at, host) {
            } else if room {
                placer.settle(seeker.at, host);
            } else {
                seeker.full.push(host);
            }
        }
        seekers.retain_mut(|seeker| {
            if seeker.waiting.is_empty() {
                seeker.refill(placer);
            }
            if seeker.is_stuck(placer) {
                seeker.squeeze(placer);
            }
            placer.missing(seeker.at) > 0 && !(seeker.waiting.is_empty() && seeker.full.is_empty())
        });
    }
}

impl Seeker<'_> {
    /// Ranks the next hosts. Where a service that is still to choose would have to give way comes last.
    fn refill(&mut self, placer: &Placer) {
        let demand = &placer.demands.0[self.at];
        let free = demand.allowed.iter().copied().filter(|&host| !placer.runs(self.at, host));
        let mut ranked: Vec<Ranked> = free
            .filter(|&host| placer.may_run(self.at, host))
            .map(|host| {
                let disturbs = demand.apart.iter().any(|&other| placer.runs(other, host));
                (Reverse(disturbs), placer.rank(demand, host))
            })
            .filter(|rank| self.floor.is_none_or(|floor| *rank < floor))
            .collect();
        // With zones all must be in order: the best of any zone may be asked.
        if self.zones.is_none() && ranked.len() > CHUNK {
            let worse = ranked.len() - CHUNK;
            ranked.select_nth_unstable(worse);
            ranked.drain(..worse);
        }
        ranked.sort_unstable();
        self.floor = ranked.first().copied().or(self.floor);
        self.waiting = ranked.into_iter().map(|(_, (_, Reverse(host)))| host).collect();
    }

    /// The host to ask next; with zones, one in a zone that has the fewest instances.
    fn next(&mut self, placer: &Placer) -> Option<HostId> {
        let Some(zones) = self.zones else { return self.waiting.pop() };
        let zone = self.emptiest(zones, placer)?;
        let place = self.waiting.iter().rposition(|&host| zones[host] == zone)?;
        Some(self.waiting.remove(place))
    }

    /// The zone with the fewest instances among those that have hosts left, best host first.
    fn emptiest(&self, zones: &[usize], placer: &Placer) -> Option<usize> {
        let used = |zone| placer.kept[self.at].iter().filter(|&&host| zones[host] == zone).count();
        let left = self.waiting.iter().rev().chain(&self.full);
        left.map(|&host| zones[host]).min_by_key(|&zone| used(zone))
    }

    /// Whether only full hosts are left where it must go.
    fn is_stuck(&self, placer: &Placer) -> bool {
        match self.zones {
            None => self.waiting.is_empty(),
            Some(zones) => self
                .emptiest(zones, placer)
                .is_none_or(|zone| !self.waiting.iter().any(|&host| zones[host] == zone)),
        }
    }

    /// Only full hosts are left: takes one on which room can be made, else the least loaded, because
    /// constraints leave nothing else.
    fn squeeze(&mut self, placer: &mut Placer) {
        self.full.retain(|&host| !placer.is_refused(self.at, host));
        let zone = self.zones.and_then(|zones| self.emptiest(zones, placer));
        let fits = |host: HostId| self.zones.is_none_or(|zones| zone == Some(zones[host]));
        let choices: Vec<HostId> = self.full.iter().copied().filter(|&host| fits(host)).collect();
        if placer.missing(self.at) == 0 || choices.is_empty() {
            return;
        }
        let room = if placer.demands.0[self.at].weight == 1 { make_room(placer, &choices) } else { None };
        let least_loaded = || choices.iter().copied().min_by_key(|&host| placer.load[host]);
        if let Some(host) = room.or_else(least_loaded) {
            placer.settle(self.at, host);
            self.full.retain(|&other| other != host);
        }
    }
}
