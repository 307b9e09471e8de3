//! Module `service_turndown`: what this project put on a host for services that no longer run there goes;
//! their data stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Result, bail};
use serde_json::json;

use super::{Holdings, Ledger, Records, disposal::dispose};
use crate::ansible::{Argument, Diff, Module, Outcome, Task, fault, files::remove};

crate::arguments! {
    /// Options of `service_turndown`.
    pub struct Params {
        /// Names of the services that run on this host. What the ledger has of others is turned down.
        pub enabled: Vec<String> => Argument::list(Argument::str()).required(),
        /// Names of the services that run here as their metadata says: credentials that these name no more are removed.
        pub configured: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ServiceTurndown;

/// What goes, service by service.
pub struct Plan {
    params: Params,
    leaving: BTreeMap<String, Holdings>,
    unused: BTreeSet<PathBuf>,
}

impl Module for ServiceTurndown {
    const NAME: &'static str = "service_turndown";
    const ABOUT: &'static str = "Stops services that no longer run on this host and removes their credentials and files; keeps their data.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let records = Records::read(&params.ledger)?;
        let (leaving, unused) = (leaving(&records, &params.enabled), unused(&records, &params.configured));
        Ok(Plan { params, leaving, unused })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        outcome(&plan.leaving, &plan.unused)
    }

    fn apply(plan: Plan, _: &Task) -> Result<Outcome> {
        if plan.leaving.is_empty() && plan.unused.is_empty() {
            return Ok(outcome(&plan.leaving, &plan.unused));
        }
        let mut ledger = Ledger::open(&plan.params.ledger)?;
        let leaving = leaving(&ledger.records, &plan.params.enabled);
        let unused = unused(&ledger.records, &plan.params.configured);
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
        Ok(outcome(&leaving, &unused))
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

fn outcome(leaving: &BTreeMap<String, Holdings>, unused: &BTreeSet<PathBuf>) -> Outcome {
    let changed = !leaving.is_empty() || !unused.is_empty();
    let mut outcome = Outcome { changed, ..Outcome::default() };
    if outcome.changed {
        let lines = |(service, holdings): (&String, &Holdings)| {
            holdings.lines().map(|it| format!("{service}: {it}\n")).collect::<Vec<_>>().concat()
        };
        let named = |path: &PathBuf| format!("{} is named by no service\n", path.display());
        outcome.diff.push(Diff {
            before: leaving.iter().map(lines).chain(unused.iter().map(named)).collect(),
            after: String::new(),
            before_header: "services on this host".into(),
            after_header: "services on this host".into(),
        });
    }
    outcome.values.insert("turned_down".into(), json!(leaving));
    outcome.values.insert("unused".into(), json!(unused));
    outcome
}
