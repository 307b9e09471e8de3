//! Who runs where: a pure function of hosts, services and lock.
//!
//! First every service keeps the instances of the lock that it may keep; then those that lack some seek
//! hosts (see `seek`). So without a lock the result depends on names only, and with one only those
//! instances move that must.

use std::cmp::Reverse;

use super::cluster::{Cluster, HostId};
use super::demand::{Demand, Demands, Index};
use super::lock::{Instances, Lock, Standing};
use super::rank::{Purpose, preference};
use super::seek;
use crate::diagnostic::{Diagnostic, Diagnostics};

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
pub fn place(cluster: &Cluster, demands: &Demands, lock: &Lock) -> (Placement, Diagnostics) {
    let mut placer = Placer {
        cluster,
        demands,
        kept: vec![Vec::new(); demands.0.len()],
        locked: vec![Vec::new(); demands.0.len()],
        placed: vec![false; demands.0.len()],
        load: vec![0; cluster.len()],
        bound: bound(cluster, demands),
        mistakes: Diagnostics::new(),
    };
    let tiers = demands.tiers();
    for &at in tiers.iter().flatten() {
        placer.keep(at, lock.service(&demands.0[at].name));
    }
    for tier in &tiers {
        placer.fill(tier);
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

/// Placement under way.
pub(super) struct Placer<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) demands: &'a Demands,
    /// Where each service runs so far, in order: what it keeps, and after its turn everything.
    pub(super) kept: Vec<Vec<HostId>>,
    /// What the lock let each limited service keep: no later choice moves it.
    pub(super) locked: Vec<Vec<HostId>>,
    /// Whether a service had its turn, or has it now: it gives way to nobody any more.
    pub(super) placed: Vec<bool>,
    pub(super) load: Vec<usize>,
    pub(super) bound: usize,
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
        // One that is leaving is of use where instances are lacking.
        let mut hosts: Vec<HostId> = locked
            .iter()
            .filter(|(_, standing)| demand.limit.is_some() || **standing != Standing::Leaving)
            .filter_map(|(name, _)| self.cluster.host(name))
            .filter(|host| demand.allowed.binary_search(host).is_ok())
            .filter(|host| !demand.apart.iter().any(|&other| self.kept[other].binary_search(host).is_ok()))
            .collect();
        if let Some(limit) = demand.limit
            && hosts.len() > limit
        {
            let standing = |host: HostId| locked.get(self.cluster.name(host)).copied();
            hosts.sort_by_key(|&host| Reverse((standing(host), self.rank(demand, host))));
            hosts.truncate(limit);
        }
        hosts.sort_unstable();
        self.carry(demand, &hosts);
        self.locked[at].clone_from(&hosts);
        self.kept[at] = hosts;
    }

    /// Gives the services of a tier their hosts.
    fn fill(&mut self, tier: &[Index]) {
        let demands = self.demands;
        for &at in tier {
            let demand = &demands.0[at];
            self.placed[at] = true;
            if demand.limit.is_none() {
                self.kept[at] =
                    demand.allowed.iter().copied().filter(|&host| self.may_run(at, host)).collect();
                continue;
            }
            let (hosts, lost) =
                std::mem::take(&mut self.kept[at]).into_iter().partition(|&host| self.may_run(at, host));
            self.kept[at] = hosts;
            let lost: Vec<HostId> = lost;
            for host in lost {
                self.load[host] -= demand.weight;
            }
        }
        seek::seek(self, tier);
        for &at in tier {
            let demand = &self.demands.0[at];
            if demand.sound && self.missing(at) > 0 {
                self.mistakes.push(self.unplaceable(at));
            }
        }
    }

    /// Instances that a service still lacks.
    pub(super) fn missing(&self, at: Index) -> usize {
        self.demands.0[at].limit.map_or(0, |limit| limit.saturating_sub(self.kept[at].len()))
    }

    /// Puts an instance of a service on a host.
    pub(super) fn settle(&mut self, at: Index, host: HostId) {
        if let Err(place) = self.kept[at].binary_search(&host) {
            self.kept[at].insert(place, host);
            self.load[host] += self.demands.0[at].weight;
        }
    }

    /// Takes an instance away again.
    pub(super) fn leave(&mut self, at: Index, host: HostId) {
        if let Ok(place) = self.kept[at].binary_search(&host) {
            self.kept[at].remove(place);
            self.load[host] -= self.demands.0[at].weight;
        }
    }

    fn carry(&mut self, demand: &Demand, hosts: &[HostId]) {
        if demand.limit.is_some() {
            for &host in hosts {
                self.load[host] += demand.weight;
            }
        }
    }

    /// Whether a service placed before, or another of this tier, keeps this one away from a host.
    pub(super) fn is_refused(&self, at: Index, host: HostId) -> bool {
        let apart = self.demands.0[at].apart.iter();
        apart.filter(|&&other| self.placed[other]).any(|&other| self.runs(other, host))
    }

    /// Whether a service runs on a host, as far as is decided.
    pub(super) fn runs(&self, at: Index, host: HostId) -> bool {
        self.kept[at].binary_search(&host).is_ok()
    }

    /// Whether `schedule_with` and the services placed before let a service run on a host of its groups.
    pub(super) fn may_run(&self, at: Index, host: HostId) -> bool {
        self.demands.0[at].with.is_none_or(|leader| self.runs(leader, host)) && !self.is_refused(at, host)
    }

    /// How much a service prefers a host; higher is better.
    pub(super) fn rank(&self, demand: &Demand, host: HostId) -> (u64, Reverse<HostId>) {
        (preference(Purpose::Instance, demand.hash, self.cluster.hash(host)), Reverse(host))
    }

    fn assignment(&self, at: Index, lock: &Lock) -> Assignment {
        let demand = &self.demands.0[at];
        let hosts = self.kept[at].clone();
        let locked = lock.service(&demand.name);
        let preferred = |&host: &HostId| {
            let standing = locked.and_then(|locked| locked.get(self.cluster.name(host)));
            let was = standing == Some(&Standing::Master);
            (was, preference(Purpose::Master, demand.hash, self.cluster.hash(host)))
        };
        let master = if demand.master { hosts.iter().copied().max_by_key(preferred) } else { None };
        Assignment { hosts, master }
    }

    /// Says which constraints leave too few hosts.
    fn unplaceable(&self, at: Index) -> Diagnostic {
        let (demand, cluster) = (&self.demands.0[at], self.cluster);
        let allowed = (demand.allowed.len(), cluster.list(&demand.allowed));
        let mut reasons = vec![match &demand.groups[..] {
            [] => format!("the cluster has {} ({})", allowed.0, allowed.1),
            [group] => format!("group '{group}' has {} ({})", allowed.0, allowed.1),
            groups => format!("groups '{}' have {} ({})", groups.join("', '"), allowed.0, allowed.1),
        }];
        if let Some(with) = demand.with {
            let name = &self.demands.0[with].name;
            let hosts = cluster.list(&self.kept[with]);
            reasons.push(format!("schedule_with '{name}' leaves only those that run it ({hosts})"));
        }
        for &other in &demand.apart {
            let shared: Vec<HostId> = demand
                .allowed
                .iter()
                .copied()
                .filter(|&host| self.placed[other] && self.runs(other, host))
                .collect();
            if !shared.is_empty() {
                let name = &self.demands.0[other].name;
                reasons.push(format!("avoid keeps it apart from '{name}' ({})", cluster.list(&shared)));
            }
        }
        demand.position.mistake(format!(
            "service '{}' wants {} instances, but there are hosts for {}: {}; lower num_instances, add hosts or relax \
             the constraint",
            demand.name,
            demand.limit.unwrap_or_default(),
            self.kept[at].len(),
            reasons.join("; ")
        ))
    }
}
