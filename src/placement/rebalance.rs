//! Moves that even out the load, one by one, each the most useful one left.

use super::cluster::{Cluster, HostId};
use super::demand::{Demands, Index};
use super::place::Placement;
use super::rank::{Purpose, preference};

/// Moves at most `moves` limited instances from crowded hosts to emptier ones, and says how many it moved.
/// Services that hold data stay unless `stateful`; so do services on whose hosts others depend.
pub fn rebalance(
    cluster: &Cluster,
    demands: &Demands,
    placement: &mut Placement,
    moves: usize,
    stateful: bool,
) -> usize {
    (0..moves)
        .take_while(|_| match best(cluster, demands, placement, stateful) {
            Some((at, from, to)) => {
                apply(placement, at, from, to);
                true
            }
            None => false,
        })
        .count()
}

/// The move with the largest gain; among equals one that is not of a master, to the host that the service
/// likes best.
fn best(
    cluster: &Cluster,
    demands: &Demands,
    placement: &Placement,
    stateful: bool,
) -> Option<(Index, HostId, HostId)> {
    let load = |host: HostId| placement.load[host];
    let mut found = None;
    for (at, demand) in demands.0.iter().enumerate() {
        let is_followed = demands.0.iter().any(|other| other.with == Some(at));
        // One that runs wherever this does not would spread to the host it leaves.
        let makes_way = demand.apart.iter().any(|&other| demands.0[other].limit.is_none());
        if demand.limit.is_none()
            || demand.with.is_some()
            || is_followed
            || makes_way
            || (demand.stateful && !stateful)
        {
            continue;
        }
        let hosts = &placement.assignments[at].hosts;
        let free = |to: &HostId| {
            let apart = demand
                .apart
                .iter()
                .any(|&other| placement.assignments[other].hosts.binary_search(to).is_ok());
            hosts.binary_search(to).is_err() && !apart
        };
        for to in demand.allowed.iter().copied().filter(free) {
            for &from in hosts {
                let zones_allow = demand.zones.as_ref().is_none_or(|zones| {
                    let used = |zone| hosts.iter().filter(|&&host| zones[host] == zone).count();
                    zones[from] == zones[to] || used(zones[to]) < used(zones[from])
                });
                if load(from) < load(to) + 2 || !zones_allow {
                    continue;
                }
                let is_master = placement.assignments[at].master == Some(from);
                let liking = preference(Purpose::Instance, demand.hash, cluster.hash(to));
                let worth = (load(from) - load(to), !is_master, liking);
                if found.is_none_or(|(best, _)| worth > best) {
                    found = Some((worth, (at, from, to)));
                }
            }
        }
    }
    found.map(|(_, step)| step)
}

fn apply(placement: &mut Placement, at: Index, from: HostId, to: HostId) {
    let assignment = &mut placement.assignments[at];
    assignment.hosts.retain(|&host| host != from);
    assignment.hosts.push(to);
    assignment.hosts.sort_unstable();
    if assignment.master == Some(from) {
        assignment.master = Some(to);
    }
    placement.load[from] -= 1;
    placement.load[to] += 1;
}
