//! Module `service_units`: the files of a service are written; its units are enabled, running, and running with what is on disk.

mod request;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, json};

pub(super) use self::request::UnitRequest;
use self::request::{Params, WantedState};
use super::{
    Holdings, Ledger, Records,
    action::{Action, Wanted, decide},
    digest::Digest,
    disposal::dispose,
    fall_back, node_files,
    starting::{names, prepare, start, stop},
    systemd::{self, Unit},
};
use crate::{
    module::{Failure, Module, Outcome, Task},
    system::fault,
    text::Diff,
};

/// The module.
pub struct ServiceUnits;

/// What is to be done: files, then units, group by group.
pub struct Plan {
    files: node_files::Plan,
    requests: Vec<UnitRequest>,
    /// With the units of each request.
    actions: Vec<Vec<Action>>,
    /// What the service had beside what the task names, where that is all it has.
    dropped: Holdings,
    exclusive: bool,
    /// Units that owe a restart, of which the ledger does not know how it is done.
    unknown: Vec<String>,
    hold: bool,
    fall_back: bool,
    ledger: PathBuf,
    /// What the ledger had, when all this was decided.
    records: Records,
}

impl Module for ServiceUnits {
    const NAME: &'static str = "service_units";
    const ABOUT: &'static str =
        "Writes a service's files, and keeps its units enabled, running, and running with what is on disk.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let requests = params.requests(task.check_mode)?;
        // What is restored is not what this task writes.
        let files = match requests[0].state {
            WantedState::Restored => node_files::Plan::default(),
            _ => node_files::Plan::new(params.directories.clone(), params.files())?,
        };
        let mut records = Records::read(&params.ledger)?;
        for (unit, reason) in requests.iter().flat_map(|it| &it.predicted).flat_map(|it| &it.restarts) {
            records.owe_restart(unit, reason);
        }
        let dropped = if params.exclusive { dropped(&requests, &records) } else { Holdings::default() };
        let (requests, unknown) = match requests[0].state {
            WantedState::Owed => debtors(&requests[0], &records),
            _ => (requests, Vec::new()),
        };
        let actions = look(&requests, &records, &[files.contents(), paths(&dropped)].concat())?;
        let Params { exclusive, hold, fall_back, ledger, .. } = params;
        Ok(Plan { files, requests, actions, dropped, exclusive, unknown, hold, fall_back, ledger, records })
    }

    fn predict(plan: &Plan, task: &Task) -> Outcome {
        let mut outcome = plan.files.outcome(task.check_mode);
        plan.report(&mut outcome);
        outcome
    }

    fn apply(mut plan: Plan, _predicted: Outcome) -> Result<Outcome> {
        if plan.requests.iter().any(|it| it.state == WantedState::Restored) {
            return plan.restore();
        }
        // What is done with units is decided again below, and then reported.
        let mut outcome = plan.files.outcome(false);
        let mut ledger = Ledger::open(&plan.ledger)?;
        // Whether what was decided still is what is to be done.
        let mut holds = ledger.records == plan.records && plan.files.contents().is_empty();
        record(&mut ledger, &plan.requests)?;
        let recorded = ledger.records.clone();
        // Whatever checks of files take, other tasks go on.
        drop(ledger);
        std::mem::take(&mut plan.files).apply()?;
        if plan.hold {
            if !holds {
                plan.actions = look(&plan.requests, &Records::read(&plan.ledger)?, &paths(&plan.dropped))?;
            }
            let held: Vec<_> = plan.actions.iter().flat_map(|it| names(it, Action::interrupts)).collect();
            if !held.is_empty() {
                outcome.values.insert("held".into(), json!(held));
                return Ok(outcome);
            }
        }
        // Now nobody else can change what is owed.
        let mut ledger = Ledger::open(&plan.ledger)?;
        holds &= ledger.records == recorded;
        if plan.exclusive {
            plan.dropped = dropped(&plan.requests, &ledger.records);
            // First, for the new units may want the ports of the old.
            dispose(&plan.dropped)?;
            if let Some(request) = plan.requests.first() {
                ledger.records.forget(&request.service, &plan.dropped);
            }
            ledger.save()?;
            holds &= plan.dropped == Holdings::default();
        }
        if !holds {
            plan.actions = look(&plan.requests, &ledger.records, &[])?;
        }
        let all = plan.actions.concat();
        // Of `state: owed` the requests are what is to be started.
        let running = plan.requests.iter().all(|it| it.state == WantedState::Started);
        prepare(&ledger, &all, running)?;
        if running {
            let started = start(&mut ledger, &plan.requests, &plan.actions);
            plan.keep_or_go_back(&mut ledger, started)?;
        } else {
            stop(&mut ledger, &all)?;
        }
        plan.report(&mut outcome);
        Ok(outcome)
    }
}

/// What the service's role asks for each of its units that owes a restart; and units whose role has not said it yet.
fn debtors(request: &UnitRequest, records: &Records) -> (Vec<UnitRequest>, Vec<String>) {
    let has = records.services.get(&request.service).into_iter().flat_map(|it| &it.units);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for unit in has.filter(|it| records.restarts.contains_key(*it)) {
        match records.manners.get(unit) {
            Some(manner) => known.push(request.of_debtor(unit, manner)),
            None => unknown.push(unit.clone()),
        }
    }
    (known, unknown)
}

/// What the ledger has for the service, and the task does not name any more. What another service has stays.
fn dropped(requests: &[UnitRequest], records: &Records) -> Holdings {
    let Some((service, had)) = requests.first().and_then(|it| records.services.get_key_value(&it.service))
    else {
        return Holdings::default();
    };
    let has = Holdings {
        units: requests.iter().flat_map(|it| it.units.iter().cloned()).collect(),
        files: requests.iter().flat_map(|it| it.files.iter().chain(&it.kept).cloned()).collect(),
        // Not known here.
        credentials: had.credentials.clone(),
        unused: had.unused.clone(),
        images: had.images.clone(),
    };
    let others = records.services.iter().filter(|(other, _)| *other != service);
    others.fold(had.clone().without(&has), |rest, (_, other)| rest.without(other))
}

/// Files that go are as good as written: what reads them reads something else.
fn paths(dropped: &Holdings) -> Vec<PathBuf> {
    dropped.files.iter().cloned().collect()
}

/// What is to be done with the units of each request, where the files `written` are about to be.
fn look(requests: &[UnitRequest], records: &Records, written: &[PathBuf]) -> Result<Vec<Vec<Action>>> {
    let unit_path = systemd::unit_path()?;
    let names: Vec<_> = requests.iter().flat_map(|it| it.units.iter().cloned()).collect();
    let mut units = systemd::show(&names)?.into_iter();
    let of = |request: &UnitRequest| {
        let wanted = if request.state == WantedState::Started { Wanted::Running } else { Wanted::Stopped };
        let earlier = request.predicted.iter().flat_map(|it| it.paths.iter());
        let written: Vec<_> = earlier.chain(written).cloned().collect();
        let decide = |(name, unit): (&String, Unit)| {
            let mut digest = Digest::of(name, unit_path, &request.inputs)?;
            digest = digest.after(name, unit_path, &request.inputs, &written);
            if request.pending {
                digest = digest.with_new_inputs();
            }
            Ok(decide(name, unit, digest, records, wanted, request.reload.contains(name)))
        };
        request.units.iter().zip(units.by_ref()).map(decide).collect()
    };
    requests.iter().map(of).collect()
}

/// Before anything is on the host.
fn record(ledger: &mut Ledger, requests: &[UnitRequest]) -> Result<()> {
    for request in requests {
        let holdings = ledger.records.service(&request.service);
        holdings.units.extend(request.units.iter().cloned());
        holdings.files.extend(request.files.iter().cloned());
        holdings.files.retain(|it| !request.kept.contains(it));
        if request.state == WantedState::Started {
            ledger.records.manners.extend(request.units.iter().map(|it| (it.clone(), request.manner(it))));
        }
    }
    ledger.save()?;
    fault::point("service_units:recorded");
    Ok(())
}

impl Plan {
    /// Keeps what came up, and puts back what did not: the failure stays one, whatever runs then.
    fn keep_or_go_back(&self, ledger: &mut Ledger, started: Result<()>) -> Result<()> {
        if !self.fall_back {
            return started;
        }
        let Err(error) = started else {
            return self.requests.iter().try_for_each(|it| fall_back::keep(&self.ledger, it));
        };
        let Some(Failure { message, values }) = error.downcast_ref::<Failure>() else { return Err(error) };
        let is_down = |unit: &String| values["down"].as_array().is_some_and(|it| it.contains(&json!(unit)));
        let mut back = Vec::new();
        for request in self.requests.iter().filter(|it| it.units.iter().any(is_down)) {
            if fall_back::restore(&self.ledger, request)? {
                back.push(request.clone());
            }
        }
        if back.is_empty() {
            return Err(error);
        }
        let names = back.iter().flat_map(|it| it.units.iter().cloned()).collect::<Vec<_>>().join(", ");
        let again = look(&back, &ledger.records, &[]).and_then(|actions| {
            prepare(ledger, &actions.concat(), true)?;
            start(ledger, &back, &actions)
        });
        let end = match again {
            Ok(()) => format!("{names}: back to what ran before"),
            Err(second) => format!("{names}: what ran before does not come up any more either: {second:#}"),
        };
        Err(Failure { message: format!("{message}\n\n{end}"), values: values.clone() }.into())
    }

    /// Puts back the files of units that run with what they were before, so that their next start is no other.
    fn restore(self) -> Result<Outcome> {
        let _ledger = Ledger::open(&self.ledger)?;
        let mut outcome = Outcome::default();
        for request in &self.requests {
            outcome.changed |= fall_back::restore(&self.ledger, request)?;
        }
        systemd::systemctl(&["daemon-reload"])?;
        Ok(outcome)
    }

    /// Adds what is done with units, and what the service no longer has.
    fn report(&self, outcome: &mut Outcome) {
        if self.dropped != Holdings::default() {
            outcome.changed = true;
            let before: String = self.dropped.lines().map(|it| it + "\n").collect();
            outcome.diff.push(Diff::of("no longer listed", before, ""));
        }
        let mut units = Map::new();
        for actions in &self.actions {
            outcome.changed |= actions.iter().any(Action::changes);
            let changing: Vec<_> = actions.iter().filter(|it| it.changes()).collect();
            if !changing.is_empty() {
                let lines = |about: fn(&Action) -> String| {
                    changing
                        .iter()
                        .map(|it| format!("{}: {}\n", it.name, about(it)))
                        .collect::<Vec<_>>()
                        .concat()
                };
                outcome.diff.push(Diff::of("units", lines(Action::before), lines(Action::after)));
            }
            units.extend(actions.iter().map(|it| (it.name.clone(), json!(it.after()))));
        }
        if !self.unknown.is_empty() {
            let units = self.unknown.join(", ");
            outcome
                .warnings
                .push(format!("{units}: a restart is still owed, and how is not known yet; run site.yml"));
        }
        outcome.values.insert("units".into(), units.into());
        outcome.values.insert("dropped".into(), json!(self.dropped));
    }
}

/// Records that `unit` was started, by whoever calls this, with its definition and `inputs` as they are
/// on disk: [`ServiceUnits`] then leaves it running.
pub fn record_started(ledger: &Path, service: &str, unit: &str, inputs: &[PathBuf]) -> Result<()> {
    let unit = systemd::full_name(unit)?;
    let digest = Digest::of(&unit, systemd::unit_path()?, inputs)?;
    let mut ledger = Ledger::open(ledger)?;
    ledger.records.service(service).units.insert(unit.clone());
    ledger.records.stopped(&unit);
    ledger.records.started.insert(unit, digest);
    ledger.save()
}

/// Records that `unit` must be restarted, before whoever calls this does it.
pub fn owe_restart(ledger: &Path, unit: &str, reason: &str) -> Result<()> {
    let unit = systemd::full_name(unit)?;
    let mut ledger = Ledger::open(ledger)?;
    ledger.records.owe_restart(&unit, reason);
    ledger.save()
}

/// Whether `unit` owes a restart, or was last started with another definition or other `inputs` than are on disk.
pub fn is_outdated(ledger: &Path, unit: &str, inputs: &[PathBuf]) -> Result<bool> {
    let unit = systemd::full_name(unit)?;
    let records = Records::read(ledger)?;
    let digest = Digest::of(&unit, systemd::unit_path()?, inputs)?;
    Ok(records.restarts.contains_key(&unit) || records.started.get(&unit).is_some_and(|it| *it != digest))
}

/// Whether `unit` runs, or is on its way with a process of its own: starting it would do nothing.
pub fn runs(unit: &str) -> Result<bool> {
    let units = systemd::show(&[systemd::full_name(unit)?])?;
    Ok(units.iter().any(|it| it.is_active() || it.is_starting()))
}
