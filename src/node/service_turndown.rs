//! Module `service_turndown`: what this project put on a host for services that no longer run there goes;
//! their data stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Result, bail};
use serde_json::json;

use super::{
    Holdings, Ledger, Records,
    disposal::dispose,
    elsewhere::{Elsewhere, Running},
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{fault, files::remove},
    text::Diff,
};

crate::arguments! {
    /// Options of `service_turndown`.
    pub struct Params {
        /// Whether to turn down, or only to say what leaves and what runs.
        pub step: String => Argument::str().choices(&["look", "remove"]).default("remove"),
        /// Names of the services that run on this host. What the ledger has of others is turned down.
        pub enabled: Vec<String> => Argument::list(Argument::str()).required(),
        /// Names of the services that run here as their metadata says: credentials that these name no more are removed.
        pub configured: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Hosts on which services that leave are placed now, by service: one stays here until it is up on all of them.
        pub placed: BTreeMap<String, Vec<String>> => Argument::dict().default(json!({})),
        /// What `look` returned as `running` on those hosts, by host; without those that this run does not reach.
        pub running: BTreeMap<String, String> => Argument::dict().default(json!({})),
        /// What `look` returned as `stopped` on those hosts, by host.
        pub stopped: BTreeMap<String, String> => Argument::dict().default(json!({})),
        /// Services whose roles this run has brought to their end. Enough where they have no units, and in check mode.
        pub ended: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ServiceTurndown;

/// What goes, service by service.
pub struct Plan {
    enabled: Vec<String>,
    configured: Vec<String>,
    ledger: PathBuf,
    /// What was asked for was only a look.
    seen: Option<Running>,
    /// Services that stay, and the hosts on which they are not up.
    waiting: BTreeMap<String, Vec<String>>,
    leaving: BTreeMap<String, Holdings>,
    unused: BTreeSet<PathBuf>,
}

impl Module for ServiceTurndown {
    const NAME: &'static str = "service_turndown";
    const ABOUT: &'static str = "Stops services that no longer run on this host and removes their credentials and files; keeps their data.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let records = Records::read(&params.ledger)?;
        let seen = (params.step == "look").then(|| Running::look(&records)).transpose()?;
        let Params { mut enabled, configured, ledger, placed, running, stopped, ended, .. } = params;
        let elsewhere = Elsewhere { placed, running, stopped, ended };
        let missing = |service: &String| (service.clone(), elsewhere.missing(service, task.check_mode));
        let leaves = leaving(&records, &enabled);
        let waiting: BTreeMap<_, _> = leaves.keys().map(missing).filter(|(_, it)| !it.is_empty()).collect();
        enabled.extend(waiting.keys().cloned());
        let (leaving, unused) = (leaving(&records, &enabled), unused(&records, &configured));
        Ok(Plan { enabled, configured, ledger, seen, waiting, leaving, unused })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        let Some(seen) = &plan.seen else { return outcome(&plan.leaving, &plan.unused, &plan.waiting) };
        let leaving: Vec<_> = plan.leaving.keys().cloned().collect();
        let values = [("leaving".to_owned(), json!(leaving)), ("unused".to_owned(), json!(plan.unused))];
        Outcome { values: values.into_iter().chain(seen.report()).collect(), ..Outcome::default() }
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        if plan.seen.is_some() || plan.leaving.is_empty() && plan.unused.is_empty() {
            return Ok(predicted);
        }
        let mut ledger = Ledger::open(&plan.ledger)?;
        let leaving = leaving(&ledger.records, &plan.enabled);
        let unused = unused(&ledger.records, &plan.configured);
        remove_unused(&mut ledger, &unused)?;
        let mut failures = Vec::new();
        for (service, holdings) in &leaving {
            // One that does not stop must not keep the others.
            if let Err(error) = turn_down(&mut ledger, service, holdings) {
                failures.push(format!("{service}: {error:#}"));
            }
        }
        if !failures.is_empty() {
            bail!("cannot turn down {}; the next run tries again", failures.join("; "));
        }
        Ok(outcome(&leaving, &unused, &plan.waiting))
    }
}

/// What services have that are not enabled, without what an enabled one has too.
fn leaving(records: &Records, enabled: &[String]) -> BTreeMap<String, Holdings> {
    let (staying, leaving): (Vec<_>, Vec<_>) =
        records.services.iter().partition(|(service, _)| enabled.contains(service));
    let without_shared = |(service, holdings): (&String, &Holdings)| {
        let holdings = staying.iter().fold(holdings.clone(), |rest, (_, staying)| rest.without(staying));
        (service.clone(), holdings)
    };
    leaving.into_iter().map(without_shared).collect()
}

/// Credentials that configured services name no more.
fn unused(records: &Records, configured: &[String]) -> BTreeSet<PathBuf> {
    configured.iter().filter_map(|it| records.services.get(it)).flat_map(|it| it.unused.clone()).collect()
}

/// Only what is removed is forgotten: a run that dies in between leaves the rest known.
fn remove_unused(ledger: &mut Ledger, unused: &BTreeSet<PathBuf>) -> Result<()> {
    for path in unused {
        remove(path)?;
        fault::point("service_turndown:unused");
    }
    for holdings in ledger.records.services.values_mut() {
        holdings.unused.retain(|it| !unused.contains(it));
        holdings.credentials.retain(|it| !unused.contains(it));
    }
    ledger.save()
}

/// The ledger forgets last: a run that was killed in between is finished by the next one.
fn turn_down(ledger: &mut Ledger, service: &str, holdings: &Holdings) -> Result<()> {
    dispose(holdings)?;
    ledger.records.forget(service, holdings);
    // What it shares with services that stay is theirs alone now.
    ledger.records.services.remove(service);
    ledger.save()
}

fn outcome(
    leaving: &BTreeMap<String, Holdings>,
    unused: &BTreeSet<PathBuf>,
    waiting: &BTreeMap<String, Vec<String>>,
) -> Outcome {
    let stays = |(service, hosts): (&String, &Vec<String>)| {
        format!(
            "service '{service}' stays here although it is placed elsewhere now: it does not run on {} yet. A whole run \
             that reaches them sets it up there first",
            hosts.join(", ")
        )
    };
    let changed = !leaving.is_empty() || !unused.is_empty();
    let lines = |(service, holdings): (&String, &Holdings)| {
        holdings.lines().map(|it| format!("{service}: {it}\n")).collect::<Vec<_>>().concat()
    };
    let named = |path: &PathBuf| format!("{} is named by no service\n", path.display());
    let before: String = leaving.iter().map(lines).chain(unused.iter().map(named)).collect();
    Outcome::new(changed)
        .with_warnings(waiting.iter().map(stays))
        .with_diff(changed.then(|| Diff::of("services on this host", before, "")))
        .with("turned_down", leaving)
        .with("unused", unused)
        .with("waiting", waiting)
}
