//! Placement judged by its promises: how little moves, how even the load is, what the lock keeps.

#![allow(clippy::cast_precision_loss, reason = "means of small numbers")]

use std::collections::BTreeSet;
use std::path::Path;

use minicluster::placement::{Cluster, Demands, Lock, Placement, Uids, place};
use minicluster::services::Services;

/// A cluster of hosts with this name and these numbers.
fn cluster(name: &str, hosts: impl IntoIterator<Item = usize>) -> Cluster {
    Cluster::new(hosts.into_iter().map(|number| format!("{name}{number}")))
}

/// Services by these lines of `services.yml`, without those of the cluster itself.
fn services(text: &str) -> Services {
    let text = text.to_owned();
    let (mut services, mistakes) = Services::read(Some(Path::new("services.yml")), &|_| Ok(text.clone()));
    assert_eq!(mistakes, []);
    for core in ["alertmanager", "etcd", "node-exporter", "prometheus"] {
        services.services.remove(core);
    }
    services
}

/// So many services of two instances each.
fn pairs(names: impl IntoIterator<Item = String>) -> Services {
    let lines: Vec<String> = names.into_iter().map(|name| format!("{name}: {{num_instances: 2}}")).collect();
    services(&lines.join("\n"))
}

/// What services and hosts are called: how much moves depends on it.
const NAMES: [(&str, &str); 6] =
    [("service", "host"), ("app", "srv"), ("mail", "mx"), ("s", "host-"), ("db", "dc1-"), ("web-", "node")];

fn numbered(name: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{name}{number}"))
}

/// Places, and the lock that records it.
fn placed(cluster: &Cluster, services: &Services, lock: &Lock) -> (Placement, Lock) {
    let (demands, mistakes) = Demands::resolve(services, cluster);
    assert_eq!(mistakes, []);
    let (placement, mistakes) = place(cluster, &demands, lock);
    assert_eq!(mistakes, []);
    let lock = Lock::of(cluster, &demands, &placement, &Uids::default());
    (placement, lock)
}

/// Instances of services in both that are gone from their host.
fn moves(before: &Lock, after: &Lock) -> usize {
    let gone = |(name, hosts): (&String, &minicluster::placement::Instances)| {
        let now = after.instances.get(name)?;
        Some(hosts.keys().filter(|host| !now.contains_key(*host)).count())
    };
    before.instances.iter().filter_map(gone).sum()
}

struct Moves {
    leave: f64,
    join: f64,
    add: f64,
}

/// Mean moves when one host of ten leaves, one joins, and one service is added.
fn measure((service, host): (&str, &str), count: usize, locked: bool) -> Moves {
    let ten: BTreeSet<usize> = (1..=10).collect();
    let services = pairs(numbered(service, count));
    let (placement, lock) = placed(&cluster(host, ten.clone()), &services, &Lock::default());
    assert!(placement.load.iter().all(|&load| load <= (2 * count).div_ceil(10) + 1), "{:?}", placement.load);
    let kept = if locked { lock.clone() } else { Lock::default() };
    let mean = |results: Vec<usize>| results.iter().sum::<usize>() as f64 / results.len() as f64;
    let leave = (1..=10).map(|gone| {
        let left = ten.iter().copied().filter(|&host| host != gone);
        moves(&lock, &placed(&cluster(host, left), &services, &kept).1)
    });
    let join = (11..=15).map(|new| {
        moves(&lock, &placed(&cluster(host, ten.iter().copied().chain([new])), &services, &kept).1)
    });
    let add = (0..6).map(|number| {
        // Names that sort before, among and after the others.
        let name = format!("{}{number}", ["aa", "q1x", "zz"][number % 3]);
        moves(
            &lock,
            &placed(&cluster(host, ten.clone()), &pairs(numbered(service, count).chain([name])), &kept).1,
        )
    });
    Moves { leave: mean(leave.collect()), join: mean(join.collect()), add: mean(add.collect()) }
}

/// The means for these names, over 15 to 30 services.
fn without_a_lock(names: (&str, &str)) -> Moves {
    let all: Vec<Moves> = (15..=30).map(|count| measure(names, count, false)).collect();
    let mean = |of: fn(&Moves) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    let moves = Moves { leave: mean(|m| m.leave), join: mean(|m| m.join), add: mean(|m| m.add) };
    let Moves { leave, join, add } = moves;
    println!(
        "without a lock, {names:?}: {leave:.2} when a host leaves, {join:.2} when one joins, {add:.2} for a service"
    );
    moves
}

#[test]
fn without_a_lock_little_moves() {
    let Moves { leave, join, add } = without_a_lock(NAMES[0]);
    assert!(leave <= 6.0 && join <= 5.0 && add <= 3.0);
}

/// A host that joins takes its fair share, 4.1 of 45 instances on average, but with luck 3 or 6: names
/// decide. Over 24 sets of names the means were 5.6, 5.0 and 1.0; these six include the worst ones.
#[test]
fn other_names_move_little_more() {
    let all = NAMES.map(without_a_lock);
    let mean = |of: fn(&Moves) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    assert!(mean(|m| m.leave) <= 6.0 && mean(|m| m.join) <= 5.5 && mean(|m| m.add) <= 3.0);
}

#[test]
fn with_a_lock_only_the_forced_moves() {
    let Moves { leave, join, add } = measure(NAMES[0], 20, true);
    println!(
        "moves with a lock: {leave:.2} when a host leaves, {join:.2} when one joins, {add:.2} for a service"
    );
    assert!((leave - 4.0).abs() < 0.01 && join == 0.0 && add == 0.0, "{leave} {join} {add}");
}
