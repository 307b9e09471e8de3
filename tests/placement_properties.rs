//! Placement of random clusters: what holds for every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::Random;
use minicluster::placement::{
    Cluster, Demands, HostId, Instances, Lock, Placement, Standing, Uids, place, rebalance,
};
use minicluster::services::Services;

/// A cluster as text, so that a failure can be read and repeated by hand.
#[derive(Clone, Debug)]
struct Case {
    hosts: Vec<String>,
    groups: BTreeMap<String, BTreeSet<String>>,
    zones: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
}

impl Case {
    fn random(random: &mut Random, constraints: bool) -> Self {
        let hosts: Vec<String> = (0..3 + random.below(12)).map(|number| format!("h{number}")).collect();
        let pick = |random: &mut Random| hosts.iter().filter(|_| random.once_in(2)).cloned().collect();
        let groups: BTreeMap<_, _> = (0..3).map(|number| (format!("g{number}"), pick(random))).collect();
        let zones = hosts.iter().map(|host| (host.clone(), format!("z{}", random.below(3)))).collect();
        let names: Vec<String> = (0..2 + random.below(12)).map(|number| format!("s{number}")).collect();
        let mut services = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            let mut parts = Vec::new();
            if random.once_in(2) {
                parts.push(format!("scheduling_group: g{}", random.below(3)));
            }
            if !random.once_in(6) {
                parts.push(format!("num_instances: {}", 1 + random.below(3)));
            }
            match random.below(5) {
                0 if constraints && at > 0 => parts.push(format!("schedule_with: s{}", random.below(at))),
                1 if constraints && at > 0 => parts.push(format!("avoid: [s{}]", random.below(at))),
                _ => {}
            }
            if constraints && random.once_in(5) {
                parts.push("spread_by: zone".into());
            }
            if random.once_in(3) {
                parts.push("master_election: true".into());
            }
            services.insert(name.clone(), format!("{{{}}}", parts.join(", ")));
        }
        Self { hosts, groups, zones, services }
    }

    fn cluster(&self) -> Cluster {
        let id = |name: &String| self.hosts.iter().position(|host| host == name);
        let values = self.hosts.iter().map(|host| self.zones.get(host).cloned()).collect();
        let cluster = Cluster::new(self.hosts.clone()).with_variable("zone", values);
        self.groups
            .iter()
            .fold(cluster, |all, (name, hosts)| all.with_group(name, hosts.iter().filter_map(id)))
    }

    fn demands(&self, cluster: &Cluster) -> Demands {
        let lines: Vec<String> = self.services.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        let text = lines.join("\n");
        let (mut services, mistakes) = Services::read(Some(Path::new("s.yml")), &|_| Ok(text.clone()));
        assert_eq!(mistakes, []);
        services.services.retain(|name, _| self.services.contains_key(name));
        let (demands, mistakes) = Demands::resolve(&services, cluster);
        assert_eq!(mistakes, []);
        demands
    }

    /// The placement, its lock, and whether every constraint could be met.
    fn place(&self, lock: &Lock) -> (Demands, Placement, Lock, bool) {
        let cluster = self.cluster();
        let demands = self.demands(&cluster);
        let (placement, mistakes) = place(&cluster, &demands, lock);
        let recorded = Lock::of(&cluster, &demands, &placement, &Uids::default());
        (demands, placement, recorded, mistakes.is_empty())
    }
}

/// Runs a check on many random cases.
fn always(constraints: bool, check: impl Fn(&mut Random, &Case)) {
    let mut random = Random::new();
    for _ in 0..300 {
        let case = Case::random(&mut random, constraints);
        check(&mut random, &case);
    }
}

fn runs(placement: &Placement, service: usize, host: HostId) -> bool {
    placement.assignments[service].hosts.contains(&host)
}

#[test]
fn constraints_hold() {
    let satisfied = std::cell::Cell::new(0);
    always(true, |_, case| {
        let (demands, placement, _, satisfiable) = case.place(&Lock::default());
        satisfied.set(satisfied.get() + usize::from(satisfiable));
        for (at, (demand, assignment)) in demands.0.iter().zip(&placement.assignments).enumerate() {
            let hosts = &assignment.hosts;
            let context = || format!("{} on {hosts:?} in {case:?}", demand.name);
            assert_eq!(hosts.iter().collect::<BTreeSet<_>>().len(), hosts.len(), "{}", context());
            assert!(hosts.iter().all(|host| demand.allowed.contains(host)), "{}", context());
            assert!(demand.limit.is_none_or(|limit| hosts.len() <= limit), "{}", context());
            assert!(
                demand.with.is_none_or(|leader| hosts.iter().all(|&host| runs(&placement, leader, host)))
            );
            assert!(
                !demand.apart.iter().any(|&other| hosts.iter().any(|&host| runs(&placement, other, host)))
            );
            let master = assignment.master.is_none_or(|master| hosts.contains(&master));
            assert!(
                master && assignment.master.is_some() == (demand.master && !hosts.is_empty()),
                "{}",
                context()
            );
            if satisfiable && let Some(limit) = demand.limit {
                assert_eq!(hosts.len(), limit, "{}", context());
            }
            let Some(zones) = demand.zones.as_ref().filter(|_| demand.limit.is_some()) else { continue };
            let used = |zone: usize| hosts.iter().filter(|&&host| zones[host] == zone).count();
            for free in demand.allowed.iter().copied().filter(|host| !hosts.contains(host)) {
                let usable = demand.with.is_none_or(|leader| runs(&placement, leader, free))
                    && !demand.apart.iter().any(|&other| runs(&placement, other, free));
                let uneven = hosts.iter().any(|&host| used(zones[host]) > used(zones[free]) + 1);
                // Services that choose later may have left a host free since.
                let early = demand.apart.is_empty();
                assert!(!(usable && uneven && early), "{} leaves {free} in an emptier zone: {at}", context());
            }
        }
    });
    assert!(satisfied.get() > 100, "most random cases can be placed: {}", satisfied.get());
}

#[test]
fn a_placement_is_its_own_lock() {
    always(true, |_, case| {
        let (_, placement, lock, satisfiable) = case.place(&Lock::default());
        let (_, again, lock_again, _) = case.place(&lock);
        if satisfiable {
            assert_eq!(
                (placement.assignments, lock.to_string()),
                (again.assignments, lock_again.to_string()),
                "{case:?}"
            );
        }
        let text = lock.to_string();
        assert_eq!(Lock::parse("services.lock", &text).expect("it was written").to_string(), text);
    });
}

#[test]
fn the_order_in_the_inventory_is_of_no_importance() {
    always(true, |random, case| {
        let mut shuffled = case.clone();
        for at in (1..shuffled.hosts.len()).rev() {
            let other = random.below(at + 1);
            shuffled.hosts.swap(at, other);
        }
        let (first, second) = (case.place(&Lock::default()), shuffled.place(&Lock::default()));
        assert_eq!(first.2.to_string(), second.2.to_string(), "{case:?}");
    });
}

#[test]
fn only_what_must_move_moves() {
    always(false, |random, case| {
        let (_, _, before, satisfiable) = case.place(&Lock::default());
        let mut changed = case.clone();
        if random.once_in(2) {
            let gone = changed.hosts.remove(random.below(changed.hosts.len()));
            changed.groups.values_mut().for_each(|hosts| {
                hosts.remove(&gone);
            });
        }
        if random.once_in(2) {
            changed.hosts.insert(random.below(changed.hosts.len()), "newcomer".into());
            changed.zones.insert("newcomer".into(), "z1".into());
            changed.groups.values_mut().next().expect("there are groups").insert("newcomer".into());
        }
        if random.once_in(2) {
            changed.services.insert("aaa".into(), "{num_instances: 1}".into());
        }
        let (demands, _, after, still) = changed.place(&before);
        if !(satisfiable && still) {
            return;
        }
        for demand in demands.0.iter().filter(|demand| demand.name != "aaa") {
            let (was, is) = (&before.instances[&demand.name], &after.instances[&demand.name]);
            for host in was.keys().filter(|host| changed.hosts.contains(host)) {
                assert!(
                    is.contains_key(host),
                    "{} left {host} without need: {case:?} {changed:?}",
                    demand.name
                );
            }
            let master = |lock: &Instances| {
                lock.iter().find(|(_, standing)| **standing == Standing::Master).map(|it| it.0.clone())
            };
            let kept = master(was).is_none_or(|it| !changed.hosts.contains(&it) || master(is) == Some(it));
            assert!(kept, "{} has another master without need", demand.name);
        }
    });
}

#[test]
fn what_a_limited_run_keeps_changes_no_decision() {
    always(true, |random, case| {
        let (_, _, before, satisfiable) = case.place(&Lock::default());
        let mut changed = case.clone();
        let gone = changed.hosts.remove(random.below(changed.hosts.len()));
        changed.groups.values_mut().for_each(|hosts| {
            hosts.remove(&gone);
        });
        let (_, _, after, still) = changed.place(&before);
        if satisfiable && still {
            let kept = after.clone().keeping(&before);
            let (_, _, again, _) = changed.place(&kept);
            assert_eq!(after.to_string(), again.to_string(), "{case:?} without {gone}");
            // Nor when the host is back.
            let (_, _, expected, _) = case.place(&after);
            let (_, _, back, _) = case.place(&kept);
            assert_eq!(expected.to_string(), back.to_string(), "{case:?} with {gone} again");
        }
    });
}

/// What rebalancing proposes is a placement that the next run keeps, and is never less even.
#[test]
fn a_rebalanced_placement_stays() {
    let improved = std::cell::Cell::new(0);
    always(true, |random, case| {
        // Hosts that join stay empty until something is rebalanced.
        let (_, _, before, _) = case.place(&Lock::default());
        let mut grown = case.clone();
        for newcomer in ["n1", "n2"] {
            grown.hosts.push(newcomer.into());
            grown.zones.insert(newcomer.into(), "z0".into());
            grown.groups.values_mut().for_each(|hosts| {
                hosts.insert(newcomer.into());
            });
        }
        let (demands, placement, _, satisfiable) = grown.place(&before);
        let mut even = placement.clone();
        let limit = random.below(6);
        let moves = rebalance(&grown.cluster(), &demands, &mut even, limit, true);
        assert!(moves <= limit);
        let squares = |load: &[usize]| load.iter().map(|load| load * load).sum::<usize>();
        assert!(squares(&even.load) < squares(&placement.load) || moves == 0, "{case:?}");
        improved.set(improved.get() + moves);
        if satisfiable {
            let lock = Lock::of(&grown.cluster(), &demands, &even, &Uids::default());
            let (_, again, recorded, still) = grown.place(&lock);
            assert!(still, "rebalancing breaks a constraint: {case:?}");
            assert_eq!(
                (again.assignments, recorded.to_string()),
                (even.assignments, lock.to_string()),
                "{case:?}"
            );
        }
    });
    assert!(improved.get() > 100, "there is often something to even out: {}", improved.get());
}

/// Whether every instance finds a host with at most `bound` on each: by moving earlier ones along.
fn fits(demands: &Demands, hosts: usize, bound: usize) -> bool {
    fn seat(
        demands: &Demands,
        on: &mut [Vec<usize>],
        at: usize,
        tried: &mut BTreeSet<HostId>,
        bound: usize,
    ) -> bool {
        for &host in &demands.0[at].allowed {
            if on[host].contains(&at) || !tried.insert(host) {
                continue;
            }
            if on[host].len() < bound {
                on[host].push(at);
                return true;
            }
            for place in 0..on[host].len() {
                let other = on[host][place];
                if seat(demands, on, other, tried, bound) {
                    on[host][place] = at;
                    return true;
                }
            }
        }
        false
    }
    let mut on = vec![Vec::new(); hosts];
    let units = demands
        .0
        .iter()
        .enumerate()
        .flat_map(|(at, demand)| (0..demand.limit.unwrap_or_default()).map(move |_| at));
    units.into_iter().all(|at| seat(demands, &mut on, at, &mut BTreeSet::new(), bound))
}

#[test]
fn no_host_is_overloaded_where_groups_allow_it() {
    let bounded = std::cell::Cell::new(0);
    always(false, |_, case| {
        let (demands, placement, _, satisfiable) = case.place(&Lock::default());
        if satisfiable && fits(&demands, case.hosts.len(), placement.bound) {
            bounded.set(bounded.get() + 1);
            let most = placement.load.iter().max().copied().unwrap_or_default();
            assert!(most <= placement.bound, "{:?} exceeds {}: {case:?}", placement.load, placement.bound);
        }
    });
    assert!(bounded.get() > 100, "the bound can often be kept: {}", bounded.get());
}
