//! What is to be done with one unit: decided from what systemd says, what the ledger records, and what
//! is on disk. Pure.

use super::{Records, digest::Digest, systemd::Unit};

/// What the task wants of its units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// Enabled and running with what is on disk.
    Running,
    /// Disabled and stopped.
    Stopped,
}

/// One unit, and what is to be done with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Action {
    /// The unit's full name.
    pub name: String,
    /// What it is now.
    pub unit: Unit,
    /// What it is started with, if it is.
    pub digest: Digest,
    /// To be unmasked.
    pub unmask: bool,
    /// To be enabled.
    pub enable: bool,
    /// To be disabled.
    pub disable: bool,
    /// `start`, `restart`, `reload` or `stop`.
    pub verb: Option<&'static str>,
    /// Why.
    pub reason: String,
}

impl Action {
    /// Whether there is anything to do.
    pub(super) const fn changes(&self) -> bool {
        self.unmask || self.enable || self.disable || self.verb.is_some()
    }

    /// Whether a restart takes away what runs now. Nobody misses a timer meanwhile.
    pub(super) fn interrupts(&self) -> bool {
        self.verb == Some("restart") && self.unit.is_active() && self.name.strip_suffix(".timer").is_none()
    }

    /// Whether its mask goes with the next boot.
    pub(super) fn masked_at_runtime(&self) -> bool {
        self.unit.get("UnitFileState") == "masked-runtime"
    }

    /// The unit now, in a few words.
    pub(super) fn before(&self) -> String {
        if self.unit.exists() {
            let enabled = match self.unit.get("UnitFileState") {
                "" => String::new(),
                state => format!(", {state}"),
            };
            format!("{}{enabled}", self.unit.get("ActiveState"))
        } else {
            "does not exist".into()
        }
    }

    /// What is done with it, in a few words.
    pub(super) fn after(&self) -> String {
        let done = match self.verb {
            Some("start") => "started",
            Some("restart") => "restarted",
            Some("reload") => "reloaded",
            Some(_) => "stopped",
            None => "unchanged",
        };
        let mut steps = vec![done.to_owned()];
        if done == "unchanged" && self.changes() {
            steps.clear();
        }
        let others = [(self.unmask, "unmasked"), (self.enable, "enabled"), (self.disable, "disabled")];
        steps.extend(others.iter().filter(|(does, _)| *does).map(|(_, step)| (*step).to_owned()));
        let reason = if self.reason.is_empty() { String::new() } else { format!(" ({})", self.reason) };
        format!("{}{reason}", steps.join(", "))
    }
}

/// Decides what is to be done with the unit `name`, which is now `unit` and would be started with `digest`.
pub(super) fn decide(
    name: &str,
    unit: Unit,
    digest: Digest,
    records: &Records,
    wanted: Wanted,
    reload_is_enough: bool,
) -> Action {
    let (verb, reason) = match wanted {
        Wanted::Stopped => {
            let runs = !matches!(unit.get("ActiveState"), "inactive" | "failed" | "");
            (runs.then_some("stop"), String::new())
        }
        Wanted::Running => running(name, &unit, &digest, records, reload_is_enough),
    };
    let stays = wanted != Wanted::Stopped;
    Action {
        unmask: stays && unit.is_masked(),
        // A masked or new unit's state shows only later; both come disabled.
        enable: stays && (unit.is_disabled() || unit.is_masked() || !unit.exists()),
        disable: !stays && unit.get("UnitFileState").starts_with("enabled"),
        name: name.to_owned(),
        unit,
        digest,
        verb,
        reason,
    }
}

fn running(
    name: &str,
    unit: &Unit,
    digest: &Digest,
    records: &Records,
    reload_is_enough: bool,
) -> (Option<&'static str>, String) {
    let started = records.started.get(name);
    let owed = records.restarts.get(name);
    let again = if reload_is_enough { "reload" } else { "restart" };
    let fits = started == Some(digest) && owed.is_none();
    if unit.ends() && !unit.is_active() && !unit.is_starting() {
        // It has done its work, with these inputs and without a failure.
        let done = fits && unit.get("ActiveState") == "inactive";
        let reason = if done { "" } else { "it has not run with what is on disk" };
        return ((!done).then_some("start"), reason.into());
    }
    if !unit.is_active() && !unit.is_starting() {
        let crashing = unit.get("ActiveState") == "activating";
        return (Some(if crashing { "restart" } else { "start" }), String::new());
    }
    match started {
        // Nobody knows what it was started with.
        None => (Some("restart"), "it was started by someone else".into()),
        Some(started) if started.definition != digest.definition => {
            (Some("restart"), "its definition has changed".into())
        }
        _ if owed.is_some() => (Some(again), owed.cloned().unwrap_or_default()),
        Some(started) if started.inputs != digest.inputs => (Some(again), "what it reads has changed".into()),
        Some(_) => (None, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(definition: &str, inputs: &str) -> Digest {
        Digest { definition: definition.into(), inputs: inputs.into() }
    }

    #[test]
    fn a_unit_is_touched_only_for_a_reason() {
        let active: &[_] = &[("ActiveState", "active"), ("UnitFileState", "enabled")];
        let activating: &[_] = &[("ActiveState", "activating"), ("SubState", "start")];
        let crashing: &[_] = &[("ActiveState", "activating"), ("SubState", "auto-restart")];
        let dead: &[_] = &[("ActiveState", "inactive")];
        let oneshot: &[_] = &[("ActiveState", "inactive"), ("Type", "oneshot")];
        let failed: &[_] = &[("ActiveState", "failed"), ("Type", "oneshot")];
        let same = Some(digest("a", "b"));
        for (case, unit, started, owed, verb) in [
            ("fits", active, same.clone(), false, None),
            ("is on its way", activating, same.clone(), false, None),
            ("owed", active, same.clone(), true, Some("restart")),
            ("inputs", active, Some(digest("a", "c")), false, Some("restart")),
            ("definition", active, Some(digest("c", "b")), false, Some("restart")),
            ("unknown", active, None, false, Some("restart")),
            ("dead", dead, same.clone(), false, Some("start")),
            ("dead and owed", dead, same.clone(), true, Some("start")),
            ("crashing", crashing, same.clone(), false, Some("restart")),
            ("done", oneshot, same.clone(), false, None),
            ("to do", oneshot, None, false, Some("start")),
            ("to do again", oneshot, same.clone(), true, Some("start")),
            ("failed", failed, same.clone(), false, Some("start")),
        ] {
            let mut records = Records::default();
            records.started.extend(started.map(|it| ("u.service".to_owned(), it)));
            if owed {
                records.owe_restart("u.service", "new certificate");
            }
            let unit = Unit::new(unit);
            let action = decide("u.service", unit, digest("a", "b"), &records, Wanted::Running, false);
            assert_eq!(action.verb, verb, "{case}");
        }
    }

    #[test]
    fn a_reload_is_enough_unless_the_definition_changes() {
        for (started, verb) in [(digest("a", "c"), "reload"), (digest("c", "b"), "restart")] {
            let mut records = Records::default();
            records.started.insert("u.service".into(), started);
            let unit = Unit::new(&[("ActiveState", "active")]);
            let action = decide("u.service", unit, digest("a", "b"), &records, Wanted::Running, true);
            assert_eq!(action.verb, Some(verb));
        }
    }
}
