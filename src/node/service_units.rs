//! Module `service_units`: the units of a service are enabled, running, and running with what is on disk.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use serde_json::{Map, json};

use super::{
    Holdings, Ledger, Records,
    action::{Action, Wanted, decide},
    digest::Digest,
    disposal::dispose,
    systemd::{self, Unit},
    waiting::wait,
};
use crate::ansible::{Argument, Diff, Module, Outcome, Task, fault};

crate::arguments! {
    /// Options of `service_units`.
    pub struct Params {
        /// The service that the units belong to, as in services.yml.
        pub service: String => Argument::str().required(),
        /// Its units. A name without an ending is a service's.
        pub units: Vec<String> => Argument::list(Argument::str()).required(),
        /// Files and directories that the units read when they start: configuration, credentials.
        pub inputs: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Files made for the service, which go when it is turned down. Recorded, not written.
        pub files: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Whether these are all units and files of the service: others that the ledger has for it are stopped, disabled and removed.
        pub exclusive: bool => Argument::bool().default(false),
        /// Whether the units shall run.
        pub state: String => Argument::str().choices(&["started", "stopped"]).default("started"),
        /// Those of the units for which a reload is enough when inputs change.
        pub reload: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// A command, with its arguments, that must succeed before a unit that runs is restarted.
        pub guard: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// In check mode: whether an earlier task would change an input, so that a restart is predicted.
        pub pending: bool => Argument::bool().default(false),
        /// Seconds after which a unit that does not come up is given up.
        pub timeout: u64 => Argument::int().default(90),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ServiceUnits;

/// What the task wants, checked.
pub struct Request {
    service: String,
    units: Vec<String>,
    reload: Vec<String>,
    inputs: Vec<PathBuf>,
    files: Vec<PathBuf>,
    guard: Vec<String>,
    exclusive: bool,
    running: bool,
    pending: bool,
    timeout: u64,
    ledger: PathBuf,
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
            running: params.state == "started",
            // In a real run the earlier task has written: the digest tells.
            pending: params.pending && check_mode,
            timeout: params.timeout,
            ledger: params.ledger,
        })
    }
}

/// What is to be done, unit by unit.
pub struct Plan {
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
        let records = Records::read(&request.ledger)?;
        let actions = look(&request, &records)?;
        let dropped = dropped(&request, &records);
        Ok(Plan { request, actions, dropped })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        outcome(&plan.actions, &plan.dropped)
    }

    fn apply(plan: Plan, _: &Task) -> Result<Outcome> {
        let request = plan.request;
        let mut ledger = Ledger::open(&request.ledger)?;
        record(&mut ledger, &request)?;
        let dropped = dropped(&request, &ledger.records);
        // First, for the new units may want the ports of the old.
        dispose(&dropped)?;
        ledger.records.forget(&request.service, &dropped);
        ledger.save()?;
        // Once more, now that nobody else can change what is owed.
        let actions = look(&request, &ledger.records)?;
        prepare(&ledger, &actions, request.running)?;
        if request.running {
            start(&mut ledger, &request, &actions)?;
        } else {
            stop(&mut ledger, &actions)?;
        }
        Ok(outcome(&actions, &dropped))
    }
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
    let wanted = if request.running { Wanted::Running { pending: request.pending } } else { Wanted::Stopped };
    let decide = |(name, unit): (&String, Unit)| {
        let digest = Digest::of(name, &unit_path, &request.inputs)?;
        Ok(decide(name, unit, digest, records, wanted, request.reload.contains(name)))
    };
    request.units.iter().zip(units).map(decide).collect()
}

fn record(ledger: &mut Ledger, request: &Request) -> Result<()> {
    let holdings = ledger.records.service(&request.service);
    holdings.units.extend(request.units.iter().cloned());
    holdings.files.extend(request.files.iter().cloned());
    ledger.save()?;
    fault::point("service_units:recorded");
    Ok(())
}

/// Makes systemd know the units as they are on disk, and sets whether they start with the host.
fn prepare(ledger: &Ledger, actions: &[Action], running: bool) -> Result<()> {
    if running {
        for runtime in [false, true] {
            let masked = names(actions, |it| it.unmask && runtime == it.masked_at_runtime());
            if !masked.is_empty() {
                let option: &[&str] = if runtime { &["unmask", "--runtime"] } else { &["unmask"] };
                systemd::systemctl(&[option, &["--"], &masked].concat())?;
                fault::point("service_units:unmasked");
            }
        }
    }
    // NeedDaemonReload alone is not enough: systemd does not notice a drop-in in a new directory.
    let is_new = |it: &Action| {
        ledger.records.started.get(&it.name).is_none_or(|started| started.definition != it.digest.definition)
    };
    if actions.iter().any(|it| it.unmask || it.unit.get("NeedDaemonReload") == "yes" || running && is_new(it))
    {
        systemd::systemctl(&["daemon-reload"])?;
        fault::point("service_units:daemon-reload");
    }
    let missing = names(actions, |it| running && !it.unit.exists());
    let now = systemd::show(&missing.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())?;
    if let Some((name, _)) = missing.iter().zip(now).find(|(_, unit)| !unit.exists()) {
        bail!("systemd knows no {name}: install the package or write the unit file that brings it");
    }
    let changed = names(actions, |it| it.enable || it.disable);
    if !changed.is_empty() {
        let verb = if running { "enable" } else { "disable" };
        systemd::systemctl(&[&["--quiet", verb, "--"], changed.as_slice()].concat())?;
        fault::point("service_units:enabled");
    }
    Ok(())
}

fn names(actions: &[Action], choose: impl Fn(&Action) -> bool) -> Vec<&str> {
    actions.iter().filter(|it| choose(it)).map(|it| it.name.as_str()).collect()
}

fn start(ledger: &mut Ledger, request: &Request, actions: &[Action]) -> Result<()> {
    ask(&request.guard, &names(actions, Action::interrupts))?;
    let failed = names(actions, |it| it.verb.is_some() && it.unit.get("ActiveState") == "failed");
    if !failed.is_empty() {
        systemd::systemctl(&[&["reset-failed", "--"], failed.as_slice()].concat())?;
    }
    for verb in ["start", "restart", "reload"] {
        let units = names(actions, |it| it.verb == Some(verb));
        if !units.is_empty() {
            // A reload says at once whether it was refused; for the others `wait` watches.
            let option: &[&str] = if verb == "reload" { &[] } else { &["--no-block"] };
            systemd::systemctl(&[option, &[verb, "--"], &units].concat())?;
            fault::point(&format!("service_units:{verb}"));
        }
    }
    let awaited: Vec<_> = actions.iter().filter(|it| it.verb.is_some() || it.unit.is_starting()).collect();
    let complaints = wait(&awaited, request.timeout)?;
    for action in actions.iter().filter(|it| !complaints.contains_key(&it.name)) {
        ledger.records.restarts.remove(&action.name);
        ledger.records.started.insert(action.name.clone(), action.digest.clone());
    }
    ledger.save()?;
    if complaints.is_empty() {
        return Ok(());
    }
    bail!(complaints.into_values().collect::<Vec<_>>().join("\n\n"))
}

/// Asks the guard whether `units`, which run, may be restarted now: as the last thing before it is done.
fn ask(guard: &[String], units: &[&str]) -> Result<()> {
    let (Some((program, arguments)), false) = (guard.split_first(), units.is_empty()) else { return Ok(()) };
    let said = match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) if output.stderr.is_empty() => output.status.to_string(),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("it cannot be run: {error}"),
    };
    bail!(
        "{} would be restarted, but {program} is against it, so what ran before goes on. It said: {said}",
        units.join(", ")
    )
}

fn stop(ledger: &mut Ledger, actions: &[Action]) -> Result<()> {
    let units = names(actions, |it| it.verb == Some("stop"));
    if !units.is_empty() {
        systemd::systemctl(&[&["stop", "--"], units.as_slice()].concat())?;
        fault::point("service_units:stop");
    }
    for action in actions {
        ledger.records.restarts.remove(&action.name);
        ledger.records.started.remove(&action.name);
    }
    ledger.save()
}

fn outcome(actions: &[Action], dropped: &Holdings) -> Outcome {
    let drops = *dropped != Holdings::default();
    let mut outcome = Outcome { changed: drops || actions.iter().any(Action::changes), ..Outcome::default() };
    if drops {
        outcome.diff.push(Diff {
            before: dropped.lines().map(|it| it + "\n").collect(),
            after: String::new(),
            before_header: "no longer listed".into(),
            after_header: "no longer listed".into(),
        });
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
    let units: Map<_, _> = actions.iter().map(|it| (it.name.clone(), json!(it.after()))).collect();
    outcome.values.insert("units".into(), units.into());
    outcome.values.insert("dropped".into(), json!(dropped));
    outcome
}

/// Records that `unit` was started, by whoever calls this, with its definition and `inputs` as they are
/// on disk: [`ServiceUnits`] then leaves it running.
///
/// # Errors
/// systemd does not answer, a file cannot be read, or the ledger cannot be written.
pub fn record_started(ledger: &Path, service: &str, unit: &str, inputs: &[PathBuf]) -> Result<()> {
    let unit = systemd::full_name(unit)?;
    let digest = Digest::of(&unit, &systemd::unit_path()?, inputs)?;
    let mut ledger = Ledger::open(ledger)?;
    ledger.records.service(service).units.insert(unit.clone());
    ledger.records.restarts.remove(&unit);
    ledger.records.started.insert(unit, digest);
    ledger.save()
}

/// Whether `unit` owes a restart, or was last started with another definition or other `inputs` than are on disk.
///
/// # Errors
/// systemd does not answer, or a file or the ledger cannot be read.
pub fn is_outdated(ledger: &Path, unit: &str, inputs: &[PathBuf]) -> Result<bool> {
    let unit = systemd::full_name(unit)?;
    let records = Records::read(ledger)?;
    let digest = Digest::of(&unit, &systemd::unit_path()?, inputs)?;
    Ok(records.restarts.contains_key(&unit) || records.started.get(&unit).is_some_and(|it| *it != digest))
}

/// Whether `unit` runs, or is on its way with a process of its own: starting it would do nothing.
///
/// # Errors
/// systemd does not answer.
pub fn runs(unit: &str) -> Result<bool> {
    let units = systemd::show(&[systemd::full_name(unit)?])?;
    Ok(units.iter().any(|it| it.is_active() || it.is_starting()))
}
