//! Module `service_units`: the units of a service are enabled, running, and running with what is on disk.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::{Map, json};

use super::{
    Holdings, Ledger, Records,
    action::{Action, Wanted, decide},
    digest::Digest,
    disposal::dispose,
    ledger::Manner,
    prediction::Prediction,
    starting::{names, prepare, start, stop},
    systemd::{self, Unit},
};
use crate::ansible::{Argument, Diff, Module, Outcome, Task, fault};

crate::arguments! {
    /// Options of `service_units`.
    pub struct Params {
        /// The service that the units belong to, as in services.yml.
        pub service: String => Argument::str().required(),
        /// Its units. A name without an ending is a service's. Not with `state: owed`.
        pub units: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// Files and directories that the units read when they start: configuration, credentials.
        pub inputs: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Files made for the service, which go when it is turned down. Recorded, not written.
        pub files: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Whether these are all units and files of the service: others that the ledger has for it are stopped, disabled and removed.
        pub exclusive: bool => Argument::bool().default(false),
        /// Whether the units shall run; `owed`: those that owe a restart, as the ledger has it, are restarted.
        pub state: String => Argument::str().choices(&["started", "stopped", "owed"]).default("started"),
        /// Those of the units for which a reload is enough when inputs change.
        pub reload: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// A command, with its arguments, that must succeed before a unit that runs is restarted.
        pub guard: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// In check mode: whether an earlier task would change an input, so that a restart is predicted.
        pub pending: bool => Argument::bool().default(false),
        /// In check mode: what earlier tasks said that they would change. `site.yml` sets it for every task.
        pub predicted: Vec<Prediction> => Argument::list(Argument::options::<Prediction>()).default(json!([])),
        /// Seconds after which a unit that does not come up is given up.
        pub timeout: u64 => Argument::int().default(90),
        /// Seconds that a unit must stay up which does not say by itself when it is ready.
        pub settle: u64 => Argument::int().default(5),
        /// How many instances of the service may be restarted at a time; 0: all. The action plugin sees to it.
        pub at_once: u64 => Argument::int().default(1),
        /// Do nothing where a unit that runs would be restarted, and name it: what the action plugin asks first.
        pub hold: bool => Argument::bool().default(false),
        /// The name of this run of Ansible, for `service_health`. `site.yml` sets it for every task.
        pub run: String => Argument::str().default(""),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ServiceUnits;

/// What the task wants, checked.
#[derive(Clone)]
pub(super) struct Request {
    service: String,
    units: Vec<String>,
    reload: Vec<String>,
    inputs: Vec<PathBuf>,
    files: Vec<PathBuf>,
    pub(super) guard: Vec<String>,
    exclusive: bool,
    state: State,
    pending: bool,
    predicted: Vec<Prediction>,
    pub(super) timeout: u64,
    pub(super) settle: u64,
    hold: bool,
    pub(super) run: String,
    ledger: PathBuf,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Started,
    Stopped,
    /// Restarted, where the ledger owes it.
    Owed,
}

impl Request {
    fn new(params: Params, check_mode: bool) -> Result<Self> {
        let full_names =
            |names: &[String]| names.iter().map(|it| systemd::full_name(it)).collect::<Result<Vec<_>>>();
        let mut units = Vec::new();
        for unit in full_names(&params.units)? {
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
        let state = match params.state.as_str() {
            "started" => State::Started,
            "stopped" => State::Stopped,
            _ => State::Owed,
        };
        if (state == State::Owed) != units.is_empty() {
            bail!(
                "option 'units': name the service's units; with 'state: owed' none, for the ledger has them"
            );
        }
        let reload = full_names(&params.reload)?;
        if let Some(stranger) = reload.iter().find(|it| !units.contains(it)) {
            bail!("option 'reload': '{stranger}' is not one of 'units' ({})", units.join(", "));
        }
        if let Some(relative) = params.inputs.iter().chain(&params.files).find(|it| !it.is_absolute()) {
            bail!("'{}' is not an absolute path", relative.display());
        }
        Ok(Self {
            service: params.service,
            units,
            reload,
            inputs: params.inputs,
            files: params.files,
            guard: params.guard,
            exclusive: params.exclusive,
            state,
            // In a real run the earlier task has written: the digest tells.
            pending: params.pending && check_mode,
            predicted: if check_mode { params.predicted } else { Vec::new() },
            timeout: params.timeout,
            settle: params.settle,
            hold: params.hold,
            run: params.run,
            ledger: params.ledger,
        })
    }

    /// The same as the service's role asks for one unit, as far as that matters to a restart.
    fn of_debtor(&self, unit: &str, manner: &Manner) -> Self {
        Self {
            units: vec![unit.to_owned()],
            reload: if manner.reload { vec![unit.to_owned()] } else { Vec::new() },
            inputs: manner.inputs.clone(),
            guard: manner.guard.clone(),
            timeout: manner.timeout,
            settle: manner.settle,
            state: State::Started,
            ..self.clone()
        }
    }

    fn manner(&self, unit: &String) -> Manner {
        Manner {
            inputs: self.inputs.clone(),
            reload: self.reload.contains(unit),
            guard: self.guard.clone(),
            timeout: self.timeout,
            settle: self.settle,
        }
    }
}

/// What is to be done, unit by unit.
pub struct Plan {
    parts: Vec<Part>,
    /// Units that owe a restart, of which the ledger does not know how it is done.
    unknown: Vec<String>,
    hold: bool,
}

/// Units that are treated alike.
struct Part {
    request: Request,
    actions: Vec<Action>,
    dropped: Holdings,
}

impl Module for ServiceUnits {
    const NAME: &'static str = "service_units";
    const ABOUT: &'static str =
        "Keeps the units of a service enabled, running, and running with what is on disk.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let request = Request::new(params, task.check_mode)?;
        let mut records = Records::read(&request.ledger)?;
        for (unit, reason) in request.predicted.iter().flat_map(|it| &it.restarts) {
            records.owe_restart(unit, reason);
        }
        let hold = request.hold;
        let (requests, unknown) = match request.state {
            State::Owed => debtors(&request, &records),
            _ => (vec![request], Vec::new()),
        };
        let part = |request: Request| {
            let actions = look(&request, &records)?;
            let dropped = dropped(&request, &records);
            Ok(Part { request, actions, dropped })
        };
        Ok(Plan { parts: requests.into_iter().map(part).collect::<Result<_>>()?, unknown, hold })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        outcome(plan)
    }

    fn apply(mut plan: Plan, _: &Task) -> Result<Outcome> {
        let held: Vec<_> = plan.parts.iter().flat_map(|it| names(&it.actions, Action::interrupts)).collect();
        if plan.hold && !held.is_empty() {
            let held = json!(held);
            let mut outcome = outcome(&plan);
            outcome.values.insert("held".into(), held);
            return Ok(outcome);
        }
        for part in &mut plan.parts {
            apply(part)?;
        }
        Ok(outcome(&plan))
    }
}

fn apply(part: &mut Part) -> Result<()> {
    let request = &part.request;
    let mut ledger = Ledger::open(&request.ledger)?;
    record(&mut ledger, request)?;
    part.dropped = dropped(request, &ledger.records);
    // First, for the new units may want the ports of the old.
    dispose(&part.dropped)?;
    ledger.records.forget(&request.service, &part.dropped);
    ledger.save()?;
    // Once more, now that nobody else can change what is owed.
    part.actions = look(request, &ledger.records)?;
    let running = request.state == State::Started;
    prepare(&ledger, &part.actions, running)?;
    if running { start(&mut ledger, request, &part.actions) } else { stop(&mut ledger, &part.actions) }
}

/// What the service's role asks for each of its units that owes a restart; and units whose role has not said it yet.
fn debtors(request: &Request, records: &Records) -> (Vec<Request>, Vec<String>) {
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
fn dropped(request: &Request, records: &Records) -> Holdings {
    let Some(had) = records.services.get(&request.service).filter(|_| request.exclusive) else {
        return Holdings::default();
    };
    let has = Holdings {
        units: request.units.iter().cloned().collect(),
        files: request.files.iter().cloned().collect(),
        // Not known here.
        credentials: had.credentials.clone(),
        unused: had.unused.clone(),
    };
    let others = records.services.iter().filter(|(service, _)| **service != request.service);
    others.fold(had.clone().without(&has), |rest, (_, other)| rest.without(other))
}

fn look(request: &Request, records: &Records) -> Result<Vec<Action>> {
    let unit_path = systemd::unit_path()?;
    let units = systemd::show(&request.units)?;
    let wanted = if request.state == State::Started { Wanted::Running } else { Wanted::Stopped };
    let written: Vec<_> = request.predicted.iter().flat_map(|it| it.paths.iter().cloned()).collect();
    let decide = |(name, unit): (&String, Unit)| {
        let mut digest =
            Digest::of(name, &unit_path, &request.inputs)?.after(name, &unit_path, &request.inputs, &written);
        if request.pending {
            digest = digest.with_new_inputs();
        }
        Ok(decide(name, unit, digest, records, wanted, request.reload.contains(name)))
    };
    request.units.iter().zip(units).map(decide).collect()
}

fn record(ledger: &mut Ledger, request: &Request) -> Result<()> {
    let holdings = ledger.records.service(&request.service);
    holdings.units.extend(request.units.iter().cloned());
    holdings.files.extend(request.files.iter().cloned());
    if request.state == State::Started {
        ledger.records.manners.extend(request.units.iter().map(|it| (it.clone(), request.manner(it))));
    }
    ledger.save()?;
    fault::point("service_units:recorded");
    Ok(())
}

fn outcome(plan: &Plan) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut units, mut gone) = (Map::new(), Holdings::default());
    for Part { actions, dropped, .. } in &plan.parts {
        let drops = *dropped != Holdings::default();
        outcome.changed |= drops || actions.iter().any(Action::changes);
        if drops {
            outcome.diff.push(Diff {
                before: dropped.lines().map(|it| it + "\n").collect(),
                after: String::new(),
                before_header: "no longer listed".into(),
                after_header: "no longer listed".into(),
            });
            gone = dropped.clone();
        }
        let changing: Vec<_> = actions.iter().filter(|it| it.changes()).collect();
        if !changing.is_empty() {
            let lines = |about: fn(&Action) -> String| {
                changing.iter().map(|it| format!("{}: {}\n", it.name, about(it))).collect::<Vec<_>>().concat()
            };
            outcome.diff.push(Diff {
                before: lines(Action::before),
                after: lines(Action::after),
                before_header: "units".into(),
                after_header: "units".into(),
            });
        }
        units.extend(actions.iter().map(|it| (it.name.clone(), json!(it.after()))));
    }
    if !plan.unknown.is_empty() {
        let units = plan.unknown.join(", ");
        outcome
            .warnings
            .push(format!("{units}: a restart is still owed, and how is not known yet; run site.yml"));
    }
    outcome.values.insert("units".into(), units.into());
    outcome.values.insert("dropped".into(), json!(gone));
    outcome
}

/// Records that `unit` was started, by whoever calls this, with its definition and `inputs` as they are
/// on disk: [`ServiceUnits`] then leaves it running.
pub fn record_started(ledger: &Path, service: &str, unit: &str, inputs: &[PathBuf]) -> Result<()> {
    let unit = systemd::full_name(unit)?;
    let digest = Digest::of(&unit, &systemd::unit_path()?, inputs)?;
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
    let digest = Digest::of(&unit, &systemd::unit_path()?, inputs)?;
    Ok(records.restarts.contains_key(&unit) || records.started.get(&unit).is_some_and(|it| *it != digest))
}

/// Whether `unit` runs, or is on its way with a process of its own: starting it would do nothing.
pub fn runs(unit: &str) -> Result<bool> {
    let units = systemd::show(&[systemd::full_name(unit)?])?;
    Ok(units.iter().any(|it| it.is_active() || it.is_starting()))
}
