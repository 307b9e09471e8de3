//! Why a service runs where it runs: which hosts were candidates, what excluded the others, the ranks.

use std::cmp::Reverse;

use super::cluster::{Cluster, HostId};
use super::demand::{Demands, Index};
use super::lock::Lock;
use super::place::Placement;
use super::rank::{Purpose, preference};

/// What became of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs an instance, as the lock says.
    Kept,
    /// It runs an instance, which is new there.
    Chosen,
    /// It could, and ran one according to the lock, but fewer instances are wanted now.
    Surplus,
    /// It could, but others rank higher or the lock keeps the instances elsewhere.
    Free,
    /// It could, but it carries as much as the bound allows.
    Full,
    /// It belongs to none of the service's groups.
    OutsideGroups,
    /// It does not run the service that this one follows.
    WithoutLeader(String),
    /// It runs a service that this one is kept apart from.
    Apart(String),
}

/// One host in the explanation.
#[derive(Clone, Debug)]
pub struct Row {
    /// The host.
    pub host: HostId,
    /// Its place among the candidates, from 1: those that run it first, then in the service's own order of preference.
    pub rank: Option<usize>,
    /// Its value of `spread_by`, where the service has it.
    pub zone: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
}

/// Judges every host for one service: candidates first, by rank, then the others in order.
pub fn explain(
    cluster: &Cluster,
    demands: &Demands,
    placement: &Placement,
    lock: &Lock,
    at: Index,
) -> Vec<Row> {
    let demand = &demands.0[at];
    let runs =
        |service: Index, host: HostId| placement.assignments[service].hosts.binary_search(&host).is_ok();
    let locked = lock.service(&demand.name);
    let verdict = |host: HostId| {
        let apart = demand.apart.iter().find(|&&other| runs(other, host));
        let was = locked.is_some_and(|locked| locked.contains_key(cluster.name(host)));
        if runs(at, host) {
            if was { Verdict::Kept } else { Verdict::Chosen }
        } else if demand.allowed.binary_search(&host).is_err() {
            Verdict::OutsideGroups
        } else if let Some(leader) = demand.with.filter(|&leader| !runs(leader, host)) {
            Verdict::WithoutLeader(demands.0[leader].name.clone())
        } else if let Some(&other) = apart {
            Verdict::Apart(demands.0[other].name.clone())
        } else if was {
            Verdict::Surplus
        } else if placement.load[host] + demand.weight > placement.bound {
            Verdict::Full
        } else {
            Verdict::Free
        }
    };
    let mut rows: Vec<Row> = cluster
        .hosts()
        .map(|host| {
            let zone = demand
                .spread_by
                .as_ref()
                .and_then(|variable| cluster.variable(variable, host))
                .map(str::to_owned);
            Row { host, rank: None, zone, verdict: verdict(host) }
        })
        .collect();
    let is_candidate = |row: &Row| {
        !matches!(row.verdict, Verdict::OutsideGroups | Verdict::WithoutLeader(_) | Verdict::Apart(_))
    };
    let liking = |host: HostId| preference(Purpose::Instance, demand.hash, cluster.hash(host));
    let is_running = |row: &Row| matches!(row.verdict, Verdict::Kept | Verdict::Chosen);
    rows.sort_by_key(|row| {
        (
            !is_running(row),
            !is_candidate(row),
            if is_candidate(row) { Some(Reverse(liking(row.host))) } else { None },
        )
    });
    for (rank, row) in rows.iter_mut().filter(|row| is_candidate(row)).enumerate() {
        row.rank = Some(rank + 1);
    }
    rows
}
