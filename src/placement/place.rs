//! Who runs where: a pure function of hosts, services and lock.
//!
//! First every service keeps the instances of the lock that it may keep, then each in turn takes the hosts
//! it prefers among those that are not full. So without a lock the result depends on names only, and with
//! one only those instances move that must.

use super::cluster::{Cluster, HostId};
use super::demand::{Demand, Demands, Index};
use super::lock::{Instances, Lock};
use super::rank::{Purpose, preference};
use crate::diagnostic::Diagnostics;

/// Where one service runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Its hosts, in inventory order.
    pub hosts: Vec<HostId>,
    /// The host of the master, where one is elected: always one of `hosts`.
    pub master: Option<HostId>,
}

/// Where every service runs, in the order of the demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// One assignment a service.
    pub assignments: Vec<Assignment>,
    /// Limited instances on each host.
    pub load: Vec<usize>,
    /// The load that no host exceeds unless constraints or the lock force it: ⌈mean⌉ + 1.
    pub bound: usize,
}

/// Places every service; what cannot be placed as asked is a mistake.
#[must_use]
pub fn place(cluster: &Cluster, demands: &Demands, lock: &Lock) -> (Placement, Diagnostics) {
    let mut placer = Placer {
        cluster,
        demands,
        kept: vec![Vec::new(); demands.0.len()],
        placed: vec![None; demands.0.len()],
        load: vec![0; cluster.len()],
        bound: bound(cluster, demands),
        mistakes: Diagnostics::new(),
    };
    let order = demands.order();
    for &at in &order {
        placer.keep(at, lock.service(&demands.0[at].name));
    }
    for &at in &order {
        placer.fill(at);
    }
    let assignments = (0..demands.0.len()).map(|at| placer.assignment(at, lock)).collect();
    (Placement { assignments, load: placer.load, bound: placer.bound }, placer.mistakes)
}

/// ⌈mean⌉ + 1 of the limited instances over the hosts that may run any of them.
fn bound(cluster: &Cluster, demands: &Demands) -> usize {
    let mut eligible = vec![false; cluster.len()];
    let mut instances = 0;
    for demand in &demands.0 {
        let Some(limit) = demand.limit else { continue };
        instances += limit * demand.weight;
        demand.allowed.iter().for_each(|&host| eligible[host] = true);
    }
    let hosts = eligible.into_iter().filter(|&eligible| eligible).count().max(1);
    instances.div_ceil(hosts) + 1
}

struct Placer<'a> {
    cluster: &'a Cluster,
    demands: &'a Demands,
    /// What the lock lets each service keep, in order.
    kept: Vec<Vec<HostId>>,
    /// Where the services that had their turn run, in order.
    placed: Vec<Option<Vec<HostId>>>,
    load: Vec<usize>,
    bound: usize,
    mistakes: Diagnostics,
}

impl Placer<'_> {
    /// Decides what the lock lets a service keep, in view of what those before it keep.
    fn keep(&mut self, at: Index, locked: Option<&Instances>) {
        let demand = &self.demands.0[at];
        if demand.limit.is_none() && demand.with.is_none() && demand.avoids.is_empty() {
            self.kept[at].clone_from(&demand.allowed);
            return;
        }
        let Some(locked) = locked else { return };
        let mut hosts: Vec<HostId> = locked
            .keys()
            .filter_map(|name| self.cluster.host(name))
            .filter(|host| demand.allowed.binary_search(host).is_ok())
            .filter(|host| !demand.apart.iter().any(|&other| self.kept[other].binary_search(host).is_ok()))
            .collect();
        if let Some(limit) = demand.limit
            && hosts.len() > limit
        {
            let is_master = |host: HostId| locked.get(self.cluster.name(host)).copied().unwrap_or_default();
            hosts.sort_by_key(|&host| std::cmp::Reverse((is_master(host), self.rank(demand, host))));
            hosts.truncate(limit);
        }
        hosts.sort_unstable();
        self.carry(demand, &hosts);
        self.kept[at] = hosts;
    }

    /// Gives a service its hosts.
    fn fill(&mut self, at: Index) {
        let demand = &self.demands.0[at];
        let candidates = self.candidates(at);
        let Some(limit) = demand.limit else {
            self.placed[at] = Some(candidates);
            return;
        };
        if candidates.len() < limit && demand.sound {
            self.mistakes.push(self.unplaceable(demand, limit, &candidates));
        }
        let (mut hosts, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut self.kept[at])
            .into_iter()
            .partition(|host| candidates.binary_search(host).is_ok());
        for host in lost {
            self.load[host] -= demand.weight;
        }
        if hosts.len() < limit {
            let free = candidates.into_iter().filter(|host| hosts.binary_search(host).is_err()).collect();
            let chosen = self.choose(demand, free, &hosts, limit - hosts.len());
            self.carry(demand, &chosen);
            hosts.extend(chosen);
            hosts.sort_unstable();
        }
        self.kept[at].clone_from(&hosts);
        self.placed[at] = Some(hosts);
    }

    fn carry(&mut self, demand: &Demand, hosts: &[HostId]) {
        if demand.limit.is_some() {
            for &host in hosts {
                self.load[host] += demand.weight;
            }
        }
    }

    /// Hosts that the groups, `schedule_with`, and services placed before leave to a service.
    fn candidates(&self, at: Index) -> Vec<HostId> {
        let demand = &self.demands.0[at];
        let leader = demand.with.map(|with| self.placed[with].as_deref().unwrap_or_default());
        let apart: Vec<&[HostId]> =
            demand.apart.iter().filter_map(|&other| self.placed[other].as_deref()).collect();
        let fits = |host: &HostId| {
            leader.is_none_or(|hosts| hosts.binary_search(host).is_ok())
                && !apart.iter().any(|hosts| hosts.binary_search(host).is_ok())
        };
        demand.allowed.iter().copied().filter(fits).collect()
    }

    /// The `number` best hosts among `free`. What comes first matters most: staying away from services that
    /// keep their place, an even spread, the bound, then the service's own preference.
    fn choose(&self, demand: &Demand, free: Vec<HostId>, own: &[HostId], number: usize) -> Vec<HostId> {
        let mut ranked: Vec<_> = free
            .into_iter()
            .map(|host| {
                let disturbs =
                    demand.apart.iter().any(|&other| self.kept[other].binary_search(&host).is_ok());
                let load = self.load[host] + demand.weight;
                let excess = if load > self.bound { load } else { 0 };
                ((disturbs, excess, std::cmp::Reverse(self.rank(demand, host))), host)
            })
            .collect();
        let Some(zones) = &demand.zones else {
            if number < ranked.len() {
                ranked.select_nth_unstable(number);
                ranked.truncate(number);
            }
            return ranked.into_iter().map(|(_, host)| host).collect();
        };
        ranked.sort_unstable();
        let mut used = vec![0; self.cluster.len()];
        for &host in own {
            used[zones[host]] += 1;
        }
        let mut chosen = Vec::new();
        while chosen.len() < number && !ranked.is_empty() {
            let best = (0..ranked.len()).min_by_key(|&at| (ranked[at].0.0, used[zones[ranked[at].1]], at));
            let (_, host) = ranked.remove(best.unwrap_or_default());
            used[zones[host]] += 1;
            chosen.push(host);
        }
        chosen
    }

    fn rank(&self, demand: &Demand, host: HostId) -> (u64, std::cmp::Reverse<HostId>) {
        (preference(Purpose::Instance, demand.hash, self.cluster.hash(host)), std::cmp::Reverse(host))
    }

    fn assignment(&self, at: Index, lock: &Lock) -> Assignment {
        let demand = &self.demands.0[at];
        let hosts = self.placed[at].clone().unwrap_or_default();
        let locked = lock.service(&demand.name);
        let preferred = |&host: &HostId| {
            let was =
                locked.and_then(|locked| locked.get(self.cluster.name(host))).copied().unwrap_or_default();
            (was, preference(Purpose::Master, demand.hash, self.cluster.hash(host)))
        };
        let master = if demand.master { hosts.iter().copied().max_by_key(preferred) } else { None };
        Assignment { hosts, master }
    }

    /// Says which constraints leave too few hosts.
    fn unplaceable(
        &self,
        demand: &Demand,
        limit: usize,
        candidates: &[HostId],
    ) -> crate::diagnostic::Diagnostic {
        let cluster = self.cluster;
        let mut reasons =
            vec![format!("its groups have {} ({})", demand.allowed.len(), cluster.list(&demand.allowed))];
        if let Some(with) = demand.with {
            let hosts = self.placed[with].as_deref().unwrap_or_default();
            let name = &self.demands.0[with].name;
            reasons.push(format!(
                "schedule_with '{name}' leaves only those that run it ({})",
                cluster.list(hosts)
            ));
        }
        for &other in &demand.apart {
            let Some(hosts) = &self.placed[other] else { continue };
            let shared: Vec<HostId> =
                hosts.iter().copied().filter(|host| demand.allowed.binary_search(host).is_ok()).collect();
            if !shared.is_empty() {
                let name = &self.demands.0[other].name;
                reasons.push(format!("avoid keeps it apart from '{name}' ({})", cluster.list(&shared)));
            }
        }
        demand.position.mistake(format!(
            "service '{}' wants {limit} instances, but only {} of {} hosts may run it: {}; lower num_instances, add \
             hosts or relax the constraint",
            demand.name,
            candidates.len(),
            cluster.len(),
            reasons.join("; ")
        ))
    }
}
