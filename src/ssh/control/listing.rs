//! The control node's keys, for a person.

use std::collections::BTreeMap;

use serde::Serialize;

use super::state::{ControlState, Moment};

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its fingerprint, as ssh-keygen and sshd's log write it.
    pub fingerprint: String,
    /// `in use`, `coming`, `going` or `retired`.
    pub state: &'static str,
    /// Since when it is in this state; of a retired key, until when it was used.
    pub since: Option<Moment>,
    /// Hosts, and what is known of the key there: `proven`, `waiting` for the new one, or `abandoned`.
    pub hosts: BTreeMap<String, &'static str>,
}

/// All keys, the one in use or coming first.
pub fn list(state: &ControlState) -> Vec<Entry> {
    let known = |proven: &BTreeMap<String, Moment>, abandoned: &std::collections::BTreeSet<String>| {
        let proven = proven.keys().map(|it| (it.clone(), "proven"));
        proven.chain(abandoned.iter().map(|it| (it.clone(), "abandoned"))).collect::<BTreeMap<_, _>>()
    };
    let mut entries = Vec::new();
    if let Some(rotation) = &state.rotation {
        let proven = known(&rotation.proven, &rotation.abandoned);
        let waiting = rotation.waiting_for().into_iter().map(|it| (it, "waiting")).collect();
        let since = state.current.as_ref().filter(|it| it.key == rotation.old).map(|it| it.since);
        let new = rotation.new.fingerprint();
        entries.push(Entry { fingerprint: new, state: "coming", since: Some(rotation.began), hosts: proven });
        entries.push(Entry {
            fingerprint: rotation.old.fingerprint(),
            state: "going",
            since,
            hosts: waiting,
        });
    } else if let Some(current) = &state.current {
        entries.push(Entry {
            fingerprint: current.key.fingerprint(),
            state: "in use",
            since: Some(current.since),
            hosts: known(&state.hosts, &state.abandoned),
        });
    }
    entries.extend(state.retired.iter().rev().map(|it| Entry {
        fingerprint: it.fingerprint.clone(),
        state: "retired",
        since: Some(it.until),
        hosts: BTreeMap::new(),
    }));
    entries
}
