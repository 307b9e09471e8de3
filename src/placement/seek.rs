//! How services that lack instances share out the hosts: in rounds, each asking its next best host.
//!
//! In round *i* every service asks the host it likes *i*-th best, and a host with room takes those that
//! like it most. What is granted stays granted, so one host more or less disturbs few: this moved less, on
//! average over many names, than letting services choose one after another.

use std::cmp::Reverse;

use super::cluster::HostId;
use super::demand::Index;
use super::place::Placer;

struct Seeker<'a> {
    at: Index,
    /// Hosts not asked yet, the best last.
    waiting: Vec<HostId>,
    /// Hosts that were full when asked.
    full: Vec<HostId>,
    zones: Option<&'a [usize]>,
}

/// Lets the services look for what they lack among their candidates.
pub fn seek(placer: &mut Placer, seekers: Vec<(Index, Vec<HostId>)>) {
    let demands = placer.demands;
    let mut seekers: Vec<Seeker> = seekers
        .into_iter()
        .filter(|(at, _)| placer.missing(*at) > 0)
        .map(|(at, candidates)| {
            let zones = demands.0[at].zones.as_deref();
            Seeker { at, waiting: order(placer, at, candidates), full: Vec::new(), zones }
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
            if seeker.is_stuck(placer) {
                seeker.squeeze(placer);
            }
            placer.missing(seeker.at) > 0 && !(seeker.waiting.is_empty() && seeker.full.is_empty())
        });
    }
}

/// Candidates from worst to best. A host where a service that is still to choose would have to give way
/// comes after all others.
fn order(placer: &Placer, at: Index, candidates: Vec<HostId>) -> Vec<HostId> {
    let demand = &placer.demands.0[at];
    let mut ranked: Vec<_> = candidates
        .into_iter()
        .filter(|&host| !placer.runs(at, host))
        .map(|host| {
            let disturbs = demand.apart.iter().any(|&other| placer.runs(other, host));
            ((Reverse(disturbs), placer.rank(demand, host)), host)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, host)| host).collect()
}

impl Seeker<'_> {
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

    /// Takes the least loaded of the full hosts: constraints leave nothing else.
    fn squeeze(&mut self, placer: &mut Placer) {
        self.full.retain(|&host| !placer.is_refused(self.at, host));
        let zone = self.zones.and_then(|zones| self.emptiest(zones, placer));
        let fits = |host: HostId| self.zones.is_none_or(|zones| zone == Some(zones[host]));
        let choices = (0..self.full.len()).filter(|&number| fits(self.full[number]));
        let best = choices.min_by_key(|&number| placer.load[self.full[number]]);
        if placer.missing(self.at) > 0
            && let Some(number) = best
        {
            placer.settle(self.at, self.full.remove(number));
        }
    }
}
