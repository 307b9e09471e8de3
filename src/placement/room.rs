//! Room on a full host: an instance chosen in this run goes to another host, and another's from there if
//! need be, until one fits. So the bound is only exceeded where constraints or the lock leave no way.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use super::cluster::HostId;
use super::demand::Index;
use super::place::Placer;

/// Makes room for one instance on one of these full hosts, and says on which.
pub(super) fn make_room(placer: &mut Placer, full: &[HostId]) -> Option<HostId> {
    let movable: Vec<Index> = (0..placer.demands.0.len()).filter(|&at| is_movable(placer, at)).collect();
    // For each host reached: which service's instance could come from which host. None where it began.
    let mut reached: HashMap<HostId, Option<(Index, HostId)>> =
        full.iter().map(|&host| (host, None)).collect();
    let mut queue: VecDeque<HostId> = full.iter().copied().collect();
    while let Some(from) = queue.pop_front() {
        for &at in &movable {
            if !placer.runs(at, from) || placer.locked[at].binary_search(&from).is_ok() {
                continue;
            }
            // By preference, so that the order of hosts in the inventory is of no importance.
            let demand = &placer.demands.0[at];
            let mut others = demand.allowed.clone();
            others.retain(|to| !reached.contains_key(to) && !placer.runs(at, *to));
            others.sort_by_key(|&to| Reverse(placer.rank(demand, to)));
            for to in others {
                reached.insert(to, Some((at, from)));
                if placer.load[to] < placer.bound {
                    return Some(shift(placer, &reached, to));
                }
                queue.push_back(to);
            }
        }
    }
    None
}

/// Only services whose instances nothing else depends on.
fn is_movable(placer: &Placer, at: Index) -> bool {
    let demand = &placer.demands.0[at];
    demand.limit.is_some()
        && demand.weight == 1
        && demand.with.is_none()
        && demand.apart.is_empty()
        && demand.zones.is_none()
        && !placer.demands.0.iter().any(|other| other.with == Some(at))
}

/// Moves instances along the way that led to `to`, and returns where it began.
fn shift(placer: &mut Placer, reached: &HashMap<HostId, Option<(Index, HostId)>>, mut to: HostId) -> HostId {
    while let Some(Some((at, from))) = reached.get(&to).copied() {
        placer.leave(at, from);
        placer.settle(at, to);
        to = from;
    }
    to
}
