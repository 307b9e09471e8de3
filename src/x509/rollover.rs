//! Which CA signs, which one is leaving, and who has confirmed: the state of a rollover, and its next
//! step as a pure function. Nothing here reads a clock, a file or a host.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::system::files::Persisted;

/// What is known of the CAs, by key identifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaState {
    /// The CA that signs.
    pub active: String,
    /// The CA that is still trusted while hosts change to the active one.
    pub leaving: Option<String>,
    /// Hosts that hold nothing of the leaving CA any more.
    pub confirmed: BTreeSet<String>,
    /// CAs that nothing is to trust any more.
    pub retired: Vec<String>,
}

/// What a host says of its certificates.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Key identifiers of the CAs in its `ca.pem`.
    pub anchors: BTreeSet<String>,
    /// Key identifiers of the CAs that signed what it holds.
    pub issuers: BTreeSet<String>,
    /// Whether a service still runs with what was there before.
    pub restarts_owed: bool,
}

impl Persisted for CaState {}

impl CaState {
    /// The state after the first CA was made.
    pub const fn founded(active: String, retired: Vec<String>) -> Self {
        Self { active, leaving: None, confirmed: BTreeSet::new(), retired }
    }

    /// CAs that hosts are to trust, the one that signs first.
    pub fn trusted(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.active.as_str()).chain(self.leaving.as_deref())
    }

    /// Whether this cluster ever had the CA `id`.
    pub fn knows(&self, id: &str) -> bool {
        self.trusted().any(|it| it == id) || self.retired.iter().any(|it| it == id)
    }

    /// Begins to change from the active CA to `new`, which it has cross-signed.
    pub fn replaced_by(&self, new: String) -> Self {
        Self { active: new, leaving: Some(self.active.clone()), confirmed: BTreeSet::new(), ..self.clone() }
    }

    /// Notes who has confirmed. When all `hosts` have, or are `abandoned`, the leaving CA is retired.
    pub fn advanced(
        &self,
        hosts: &BTreeSet<String>,
        standings: &BTreeMap<String, Standing>,
        abandoned: &BTreeSet<String>,
    ) -> Self {
        let mut next = self.clone();
        let Some(leaving) = &self.leaving else { return next };
        let confirm = standings.iter().filter(|(_, it)| {
            it.anchors.contains(&self.active)
                && it.issuers.iter().all(|it| *it == self.active)
                && !it.restarts_owed
        });
        next.confirmed.extend(confirm.map(|(name, _)| name.clone()));
        next.confirmed.retain(|it| hosts.contains(it));
        if next.waiting_for(hosts, abandoned).is_empty() {
            next.retired.push(leaving.clone());
            next.leaving = None;
            next.confirmed.clear();
        }
        next
    }

    /// Hosts that have not confirmed yet.
    pub fn waiting_for(&self, hosts: &BTreeSet<String>, abandoned: &BTreeSet<String>) -> Vec<String> {
        if self.leaving.is_none() {
            return Vec::new();
        }
        hosts.iter().filter(|it| !self.confirmed.contains(*it) && !abandoned.contains(*it)).cloned().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn standing(anchors: &[&str], issuers: &[&str], restarts_owed: bool) -> Standing {
        Standing { anchors: set(anchors), issuers: set(issuers), restarts_owed }
    }

    #[test]
    fn the_old_ca_leaves_when_every_host_has_confirmed() {
        let hosts = set(&["a", "b"]);
        let state = CaState::founded("old".into(), vec![]).replaced_by("new".into());
        assert_eq!(state.trusted().collect::<Vec<_>>(), ["new", "old"]);
        let at = |name: &str, it| BTreeMap::from([(name.to_owned(), it)]);
        for unready in [
            standing(&["old"], &["old"], false),
            standing(&["new", "old"], &["new", "old"], false),
            standing(&["new", "old"], &["new"], true),
        ] {
            assert_eq!(state.advanced(&hosts, &at("a", unready), &set(&[])), state);
        }
        let ready = standing(&["new", "old"], &["new"], false);
        let half = state.advanced(&hosts, &at("a", ready.clone()), &set(&[]));
        assert_eq!(half.waiting_for(&hosts, &set(&[])), ["b"]);
        // A later run in which only the other host takes part.
        let done = half.advanced(&hosts, &at("b", ready), &set(&[]));
        assert_eq!((done.leaving.as_deref(), &done.retired[..]), (None, &["old".to_owned()][..]));
        assert!(done.knows("old") && !done.knows("other"));
    }

    #[test]
    fn a_host_is_abandoned_only_by_name() {
        let hosts = set(&["a", "b"]);
        let ready = BTreeMap::from([("a".to_owned(), standing(&["new"], &["new"], false))]);
        let state = CaState::founded("old".into(), vec![]).replaced_by("new".into());
        assert!(state.advanced(&hosts, &ready, &set(&["c"])).leaving.is_some());
        assert!(state.advanced(&hosts, &ready, &set(&["b"])).leaving.is_none());
    }
}
