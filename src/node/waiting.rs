//! Waiting until units really run, and saying why when they do not.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    action::Action,
    ledger::Invocation,
    systemd::{self, Unit},
};

/// How often systemd is asked.
const PAUSE: Duration = Duration::from_millis(100);
/// Waits until the units of `actions` run, and keep running: those that do not say by themselves when they are ready, for
/// `settle` seconds. Those that end have ended well. Returns why
/// the others do not, unit by unit, with the last lines they wrote to the journal.
pub(super) fn wait(actions: &[&Action], timeout: u64, settle: u64) -> Result<BTreeMap<String, String>> {
    let mut waiting: Vec<Awaited> =
        actions.iter().map(|it| Awaited { name: it.name.clone(), up: None }).collect();
    let mut complaints = BTreeMap::new();
    let start = Instant::now();
    let settle = Duration::from_secs(settle);
    loop {
        let names: Vec<String> = waiting.iter().map(|it| it.name.clone()).collect();
        let is_late = start.elapsed() > Duration::from_secs(timeout);
        let mut units = systemd::show(&names)?.into_iter();
        waiting.retain_mut(|awaited| {
            let unit = units.next().unwrap_or_default();
            let verdict = match awaited.judge(&unit, settle) {
                Progress::Waiting if is_late => Progress::Failed(format!(
                    "after {timeout} s it is {} ({})",
                    unit.get("ActiveState"),
                    unit.get("SubState")
                )),
                verdict => verdict,
            };
            if let Progress::Failed(reason) = &verdict {
                complaints.insert(
                    awaited.name.clone(),
                    complaint(&awaited.name, &format!("does not run: {reason}")),
                );
            }
            verdict == Progress::Waiting
        });
        if waiting.is_empty() {
            return Ok(complaints);
        }
        sleep(PAUSE);
    }
}

/// A unit that is on its way.
struct Awaited {
    name: String,
    /// Since when it has been up, and in which invocation.
    up: Option<(Instant, String)>,
}

impl Awaited {
    fn judge(&mut self, unit: &Unit, settle: Duration) -> Progress {
        let verdict = judge(unit);
        if verdict != Progress::Up {
            return verdict;
        }
        let invocation = unit.get("InvocationID");
        let (since, before) = self.up.get_or_insert_with(|| (Instant::now(), invocation.to_owned()));
        if before != invocation {
            Progress::Failed("it ended soon after it was started".into())
        } else if since.elapsed() < settle {
            Progress::Waiting
        } else {
            Progress::Done
        }
    }
}

#[derive(Debug, PartialEq)]
enum Progress {
    /// It runs and said so, or it has done its work.
    Done,
    /// It runs, as far as systemd can tell.
    Up,
    Waiting,
    Failed(String),
}

fn judge(unit: &Unit) -> Progress {
    let (active, sub, result) = (unit.get("ActiveState"), unit.get("SubState"), unit.get("Result"));
    // A start that systemd has not come to: the states are those of before.
    if !matches!(unit.get("Job"), "" | "0") {
        return if active == "failed" {
            Progress::Waiting
        } else {
            crash(active, sub, result).unwrap_or(Progress::Waiting)
        };
    }
    match active {
        "active" => match unit.get("Type") {
            "simple" | "exec" | "idle" | "forking" => Progress::Up,
            _ => Progress::Done,
        },
        "failed" => Progress::Failed(format!("it failed ({result})")),
        "inactive" if unit.get("ConditionResult") == "no" => Progress::Failed(
            "a condition in its definition does not hold, so systemd does not start it".into(),
        ),
        "inactive" if unit.ends() && result == "success" => Progress::Done,
        "inactive" => Progress::Failed(format!("it ended at once ({result})")),
        _ => crash(active, sub, result).unwrap_or(Progress::Waiting),
    }
}

fn crash(active: &str, sub: &str, result: &str) -> Option<Progress> {
    (active == "activating" && sub.starts_with("auto-restart"))
        .then(|| Progress::Failed(format!("it ends again and again ({result})")))
}

/// Why a unit that was started, and ran when it was `left`, does not run as it did.
pub(super) fn since_then(name: &str, left: &Invocation, unit: &Unit) -> Option<String> {
    let active = unit.get("ActiveState");
    let reason = if unit.ends() {
        // Its timer may have started it again.
        (active == "failed").then(|| format!("failed after its start ({})", unit.get("Result")))?
    } else if !unit.is_active() {
        format!("was up after its start, and now it is {active} ({})", unit.get("SubState"))
    } else if unit.get("InvocationID") != left.id || restarts(unit) > left.restarts {
        "was up after its start, then ended and was started again".into()
    } else {
        return None;
    };
    Some(complaint(name, &reason))
}

/// How often systemd has started it again by itself.
pub(super) fn restarts(unit: &Unit) -> u64 {
    unit.get("NRestarts").parse().unwrap_or_default()
}

fn complaint(name: &str, reason: &str) -> String {
    format!("{name} {reason}. Last log lines (journalctl -u {name}):\n{}", systemd::last_words(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_runs_when_systemd_or_time_says_so() {
        for (properties, expected) in [
            (&[("ActiveState", "active"), ("Type", "notify")][..], Progress::Done),
            (&[("ActiveState", "active"), ("Type", "simple")], Progress::Up),
            (&[("ActiveState", "active")], Progress::Done),
            (&[("ActiveState", "inactive"), ("Job", "17")], Progress::Waiting),
            (&[("ActiveState", "failed"), ("Job", "17")], Progress::Waiting),
            (&[("ActiveState", "activating"), ("SubState", "start")], Progress::Waiting),
            (&[("ActiveState", "deactivating")], Progress::Waiting),
            (&[("ActiveState", "inactive"), ("Type", "oneshot"), ("Result", "success")], Progress::Done),
        ] {
            assert_eq!(judge(&Unit::new(properties)), expected, "{properties:?}");
        }
        for properties in [
            &[("ActiveState", "failed")][..],
            &[("ActiveState", "activating"), ("SubState", "auto-restart")],
            &[("ActiveState", "inactive"), ("Type", "oneshot"), ("Result", "exit-code")],
            &[("ActiveState", "inactive"), ("Type", "simple"), ("Result", "success")],
            &[("ActiveState", "inactive"), ("ConditionResult", "no")],
        ] {
            assert!(matches!(judge(&Unit::new(properties)), Progress::Failed(_)), "{properties:?}");
        }
    }

    #[test]
    fn what_ended_after_its_start_is_found_later() {
        let left = Invocation { run: "now".into(), id: "a".into(), restarts: 1 };
        for (properties, ended) in [
            (&[("ActiveState", "active"), ("InvocationID", "a"), ("NRestarts", "1")][..], false),
            (&[("ActiveState", "reloading"), ("InvocationID", "a"), ("NRestarts", "0")], false),
            (&[("ActiveState", "active"), ("InvocationID", "a"), ("NRestarts", "2")], true),
            (&[("ActiveState", "active"), ("InvocationID", "b"), ("NRestarts", "1")], true),
            (&[("ActiveState", "activating"), ("InvocationID", "a"), ("NRestarts", "1")], true),
            (&[("ActiveState", "inactive"), ("Type", "oneshot"), ("InvocationID", "b")], false),
            (&[("ActiveState", "failed"), ("Type", "oneshot")], true),
        ] {
            assert_eq!(
                since_then("u.service", &left, &Unit::new(properties)).is_some(),
                ended,
                "{properties:?}"
            );
        }
    }
}
