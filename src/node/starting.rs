//! Starting and stopping units as it was decided, and recording it.

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::{Map, json};

use super::{
    Ledger,
    action::Action,
    ledger::Invocation,
    service_units::UnitRequest,
    systemd,
    waiting::{restarts, wait},
};
use crate::{module::Failure, system::fault};

/// Makes systemd know the units as they are on disk, and sets whether they start with the host.
pub(super) fn prepare(ledger: &Ledger, actions: &[Action], running: bool) -> Result<()> {
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

/// The names of some of the units.
pub(super) fn names(actions: &[Action], choose: impl Fn(&Action) -> bool) -> Vec<&str> {
    actions.iter().filter(|it| choose(it)).map(|it| it.name.as_str()).collect()
}

/// Starts, restarts or reloads what is to be, with the units of each request, and waits until all of it runs.
pub(super) fn start(ledger: &mut Ledger, requests: &[UnitRequest], actions: &[Vec<Action>]) -> Result<()> {
    for (request, actions) in requests.iter().zip(actions) {
        ask(&request.guard, &names(actions, Action::interrupts))?;
    }
    let run = requests.first().map_or("", |it| &it.run);
    let longest = |seconds: fn(&UnitRequest) -> u64| requests.iter().map(seconds).max().unwrap_or_default();
    let actions = &actions.concat();
    let failed = names(actions, |it| it.verb.is_some() && it.unit.get("ActiveState") == "failed");
    if !failed.is_empty() {
        systemd::systemctl(&[&["reset-failed", "--"], failed.as_slice()].concat())?;
    }
    let mut refused = Ok(());
    for verb in ["start", "restart", "reload"] {
        let units = names(actions, |it| it.verb == Some(verb));
        if !units.is_empty() {
            // A reload says at once whether it was refused; for the others `wait` watches.
            let option: &[&str] = if verb == "reload" { &[] } else { &["--no-block"] };
            let done = systemd::systemctl(&[option, &[verb, "--"], &units].concat());
            if verb == "reload" {
                refused = done.map(drop);
            } else {
                done?;
            }
            fault::point(&format!("service_units:{verb}"));
        }
    }
    let awaited: Vec<_> = actions.iter().filter(|it| it.verb.is_some() || it.unit.is_starting()).collect();
    let complaints = wait(&awaited, longest(|it| it.timeout), longest(|it| it.settle))?;
    let is_done =
        |it: &&Action| !complaints.contains_key(&it.name) && (refused.is_ok() || it.verb != Some("reload"));
    for action in actions.iter().filter(is_done) {
        ledger.records.restarts.remove(&action.name);
        ledger.records.started.insert(action.name.clone(), action.digest.clone());
    }
    let up = awaited.iter().map(|it| it.name.clone()).filter(|it| !complaints.contains_key(it));
    let awaited: Vec<_> = up.collect();
    for (name, unit) in awaited.iter().zip(systemd::show(&awaited)?) {
        let (id, restarts) = (unit.get("InvocationID").to_owned(), restarts(&unit));
        let left = Invocation { run: run.to_owned(), id, restarts };
        ledger.records.invocations.insert(name.clone(), left);
    }
    ledger.save()?;
    if complaints.is_empty() {
        return refused;
    }
    let down: Vec<&String> = complaints.keys().collect();
    let values = Map::from_iter([("down".to_owned(), json!(down))]);
    Err(Failure { message: complaints.into_values().collect::<Vec<_>>().join("\n\n"), values }.into())
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

/// Stops what is to be stopped.
pub(super) fn stop(ledger: &mut Ledger, actions: &[Action]) -> Result<()> {
    let units = names(actions, |it| it.verb == Some("stop"));
    if !units.is_empty() {
        systemd::systemctl(&[&["stop", "--"], units.as_slice()].concat())?;
        fault::point("service_units:stop");
    }
    for action in actions {
        ledger.records.stopped(&action.name);
    }
    ledger.save()
}
