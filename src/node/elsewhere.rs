//! Whether a service that leaves a host is up where it is placed now: until then the old instance is all there is.
//! Hosts say what runs on them, by ledger and systemd; that a run has come by is no proof.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};

use super::{Records, systemd};

/// Services of a host that have units there: those of which all run, and the others.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Running {
    running: BTreeSet<String>,
    stopped: BTreeSet<String>,
}

impl Running {
    /// Asks systemd about the units that the ledger has.
    pub(super) fn look(records: &Records) -> Result<Self> {
        let mut found = Self::default();
        for (service, holdings) in records.services.iter().filter(|(_, it)| !it.units.is_empty()) {
            let names: Vec<_> = holdings.units.iter().cloned().collect();
            let units = systemd::show(&names)?;
            let up = |(name, unit): (&String, &systemd::Unit)| {
                let done = unit.ends() && unit.get("ActiveState") == "inactive";
                records.started.contains_key(name) && (unit.is_active() || done)
            };
            let all_up = names.iter().zip(&units).all(up);
            let list = if all_up { &mut found.running } else { &mut found.stopped };
            list.insert(service.clone());
        }
        Ok(found)
    }

    /// For another host's module: two texts of words, which a template can pass on whatever a host says.
    pub(super) fn report(&self) -> [(String, Value); 2] {
        let words = |names: &BTreeSet<String>| json!(names.iter().cloned().collect::<Vec<_>>().join(" "));
        [("running".into(), words(&self.running)), ("stopped".into(), words(&self.stopped))]
    }

    fn parse(running: Option<&String>, stopped: Option<&String>) -> Self {
        let names = |text: Option<&String>| {
            text.into_iter().flat_map(|it| it.split_whitespace()).map(str::to_owned).collect()
        };
        Self { running: names(running), stopped: names(stopped) }
    }
}

/// What a run knows of the other hosts when it comes to turning down.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// The hosts on which a service is placed.
    pub placed: BTreeMap<String, Vec<String>>,
    /// Services that run, by host, as [`Running::report`] says it. A host that was not reached is not in it.
    pub running: BTreeMap<String, String>,
    /// Services with units that do not all run, by host.
    pub stopped: BTreeMap<String, String>,
    /// Services whose roles this run has brought to their end on all hosts that it still reaches.
    pub ended: Vec<String>,
}

impl Elsewhere {
    /// The hosts on which `service` is placed and not up. The role's end is enough where it left no unit to ask about,
    /// and under `--check`, where it started none.
    pub(super) fn missing(&self, service: &str, check_mode: bool) -> Vec<String> {
        let ended = self.ended.iter().any(|it| it == service);
        let is_up = |host: &String| {
            self.running.get(host).is_some_and(|running| {
                let there = Running::parse(Some(running), self.stopped.get(host));
                there.running.contains(service) || ended && (check_mode || !there.stopped.contains(service))
            })
        };
        self.placed.get(service).into_iter().flatten().filter(|host| !is_up(host)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(running: &[(&str, &str)], stopped: &[(&str, &str)], ended: &[&str]) -> Elsewhere {
        let by_host = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(host, words)| ((*host).into(), (*words).into())).collect()
        };
        Elsewhere {
            placed: BTreeMap::from([("web".into(), vec!["host1".into(), "host2".into()])]),
            running: by_host(running),
            stopped: by_host(stopped),
            ended: ended.iter().map(|it| (*it).into()).collect(),
        }
    }

    #[test]
    fn an_instance_counts_when_its_host_has_it_running() {
        let [both, one, none]: [&[_]; 3] =
            [&[("host1", "db web"), ("host2", "web")], &[("host1", "web"), ("host2", "webs")], &[]];
        let reached: &[_] = &[("host1", ""), ("host2", "")];
        for (case, running, stopped, ended, check, missing) in [
            ("both run", both, none, &[][..], false, &[][..]),
            ("one runs", one, none, &[][..], false, &["host2"][..]),
            ("nobody was reached", none, none, &["web"][..], false, &["host1", "host2"][..]),
            ("reached, and no role ran", reached, none, &[][..], false, &["host1", "host2"][..]),
            ("the role ended without units", reached, none, &["web"][..], false, &[][..]),
            (
                "the role ended, and it crashed",
                reached,
                &[("host1", "web")][..],
                &["web"][..],
                false,
                &["host1"][..],
            ),
            ("the role was checked", reached, &[("host1", "web")][..], &["web"][..], true, &[][..]),
            ("another role was checked", reached, none, &["db"][..], true, &["host1", "host2"][..]),
        ] {
            assert_eq!(elsewhere(running, stopped, ended).missing("web", check), missing, "{case}");
        }
    }

    #[test]
    fn a_service_that_is_placed_nowhere_waits_for_nobody() {
        assert!(elsewhere(&[], &[], &[]).missing("deleted", false).is_empty());
    }
}
