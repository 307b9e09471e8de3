//! What a service asks of placement, its names resolved against the hosts and the other services.

use std::collections::{BTreeMap, HashMap};

use super::cluster::{Cluster, HostId};
use super::rank::NameHash;
use crate::diagnostic::Diagnostics;
use crate::services::{Instances, Service, Services};
use crate::text::nearest;
use crate::yaml::Position;

/// A service among the demands.
pub type Index = usize;

/// One enabled service.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Its name.
    pub name: String,
    /// Its name as placement ranks it.
    pub hash: NameHash,
    /// Names of its host groups; none: all hosts.
    pub groups: Vec<String>,
    /// Hosts of its groups, in order; before `schedule_with` and `avoid`.
    pub allowed: Vec<HostId>,
    /// Number of instances; none: one on every candidate.
    pub limit: Option<usize>,
    /// The service whose hosts it must use.
    pub with: Option<Index>,
    /// Services it must not share a host with, because it or they said so.
    pub apart: Vec<Index>,
    /// Services it said it avoids: it gives way to them.
    pub avoids: Vec<Index>,
    /// The variable whose values its instances are spread over.
    pub spread_by: Option<String>,
    /// For each host, a number for its value of `spread_by`.
    pub zones: Option<Vec<usize>>,
    /// Whether one instance is the master.
    pub master: bool,
    /// Whether instances hold data.
    pub stateful: bool,
    /// Instances that each of its hosts will carry: itself and those that follow it everywhere.
    pub weight: usize,
    /// Where it is defined.
    pub position: Position,
    /// Whether everything it names exists; what follows from a mistake is not reported again.
    pub sound: bool,
}

impl Demand {
    /// Who chooses when: without a choice first; without a limit, but giving way to others, last.
    fn class(&self) -> u8 {
        match (self.limit, self.with, self.avoids.is_empty()) {
            (None, None, true) => 0,
            (None, _, false) => 2,
            _ => 1,
        }
    }
}

/// All enabled services.
#[derive(Clone, Debug, Default)]
pub struct Demands(pub Vec<Demand>);

impl Demands {
    /// Resolves every enabled service; a name that leads nowhere is a mistake.
    pub fn resolve(services: &Services, cluster: &Cluster) -> (Self, Diagnostics) {
        let mut mistakes = Diagnostics::new();
        let enabled: Vec<_> =
            services.services.iter().filter(|(_, defined)| defined.service.enabled).collect();
        let index: HashMap<&str, Index> =
            enabled.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
        let mut demands = Vec::with_capacity(enabled.len());
        for (name, defined) in &enabled {
            let service = &defined.service;
            let before = mistakes.len();
            let named = |other: &crate::services::At<crate::services::ServiceName>| {
                index.get(&*other.value.0).copied()
            };
            let avoids: Vec<Index> = service.avoid.iter().filter_map(named).collect();
            let allowed = allowed(name, service, cluster, &mut mistakes);
            let zones = zones(name, service, &allowed, cluster, &mut mistakes);
            let with = service.schedule_with.as_ref().and_then(named);
            demands.push(Demand {
                name: (*name).clone(),
                hash: NameHash::of(name),
                groups: service.groups().map(|group| group.value.0.clone()).collect(),
                allowed,
                limit: match service.num_instances {
                    Instances::All => None,
                    Instances::Limited(number) => Some(number),
                },
                with,
                apart: avoids.clone(),
                avoids,
                spread_by: service.spread_by.as_ref().map(|variable| variable.value.0.clone()),
                zones,
                master: service.master_election,
                stateful: service.stateful,
                weight: 1,
                position: defined.position.clone(),
                sound: defined.sound
                    && mistakes.len() == before
                    && with.is_some() == service.schedule_with.is_some(),
            });
        }
        let mut demands = Self(demands);
        demands.relate();
        (demands, mistakes)
    }

    /// Makes `apart` mutual and counts followers.
    fn relate(&mut self) {
        for at in 0..self.0.len() {
            for other in self.0[at].avoids.clone() {
                self.0[other].apart.push(at);
            }
            // Followers without a limit of their own load every host of the services they follow.
            let mut follower = at;
            for _ in 0..self.0.len() {
                let (None, Some(leader)) = (self.0[follower].limit, self.0[follower].with) else { break };
                self.0[leader].weight += 1;
                follower = leader;
            }
        }
        for at in 0..self.0.len() {
            let sound = self.leaders(at).all(|leader| leader != at && self.0[leader].sound);
            let demand = &mut self.0[at];
            demand.sound &= sound;
            demand.apart.sort_unstable();
            demand.apart.dedup();
        }
    }

    /// Services in the order in which they choose, those that choose together side by side: first those
    /// without a choice, then those with the fewest hosts to spare, then followers, last those without a limit that
    /// give way to others.
    pub fn tiers(&self) -> Vec<Vec<Index>> {
        let mut tiers: BTreeMap<_, Vec<Index>> = BTreeMap::new();
        for (at, demand) in self.0.iter().enumerate() {
            let class = self.leaders(at).map(|leader| self.0[leader].class()).max().unwrap_or_default();
            let class = class.max(demand.class());
            // Without a limit nothing is chosen, so each is settled before the next looks.
            let alone = if demand.limit.is_none() { at + 1 } else { 0 };
            let spare = demand.allowed.len().saturating_sub(demand.limit.unwrap_or_default());
            tiers.entry((class, self.depth(at), spare, alone)).or_default().push(at);
        }
        tiers.into_values().collect()
    }

    /// The service that this one follows, the one that that one follows, and so on.
    fn leaders(&self, at: Index) -> impl Iterator<Item = Index> {
        // A circle is a mistake, reported elsewhere.
        std::iter::successors(self.0[at].with, |&leader| self.0[leader].with).take(self.0.len())
    }

    fn depth(&self, at: Index) -> usize {
        self.leaders(at).count()
    }

    /// The demand of a service by name.
    pub fn find(&self, name: &str) -> Option<Index> {
        self.0.iter().position(|demand| demand.name == name)
    }
}

fn allowed(name: &str, service: &Service, cluster: &Cluster, mistakes: &mut Diagnostics) -> Vec<HostId> {
    if service.groups().next().is_none() {
        return cluster.hosts().collect();
    }
    let mut hosts = Vec::new();
    for group in service.groups() {
        let Some(members) = cluster.group(&group.value) else {
            let advice = match nearest(&group.value, cluster.group_names()) {
                Some(meant) => format!("; did you mean '{meant}'?"),
                None => "; add the group, or name another in services.yml".into(),
            };
            let message = format!(
                "service '{name}' is to run on group '{}', which the hosts file does not have{advice}",
                &*group.value
            );
            mistakes.push(group.position.mistake(message));
            continue;
        };
        hosts.extend_from_slice(members);
    }
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn zones(
    name: &str,
    service: &Service,
    allowed: &[HostId],
    cluster: &Cluster,
    mistakes: &mut Diagnostics,
) -> Option<Vec<usize>> {
    let variable = service.spread_by.as_ref()?;
    let mut numbers = BTreeMap::new();
    let mut missing = Vec::new();
    let mut zones = vec![0; cluster.len()];
    for &host in allowed {
        match cluster.variable(&variable.value, host) {
            Some(value) => {
                let next = numbers.len();
                zones[host] = *numbers.entry(value).or_insert(next);
            }
            None => missing.push(host),
        }
    }
    if !missing.is_empty() {
        let message = format!(
            "service '{name}' is spread by '{}', which the hosts file does not set for {} (variables in group_vars \
             and host_vars are not seen here)",
            &*variable.value,
            cluster.list(&missing)
        );
        mistakes.push(variable.position.mistake(message));
    }
    Some(zones)
}
