//! The control key and its rotation, as the control node remembers them. Pure: nothing here reads a
//! clock, a file or a host.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::rfc3339};

use crate::{ssh::key::PublicKey, system::files::Persisted};

/// A moment, as JSON holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(#[serde(with = "rfc3339")] pub OffsetDateTime);

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlState {
    /// The control key, where a rotation has finished.
    pub current: Option<Held>,
    /// Hosts that it was proven on, and when.
    pub hosts: BTreeMap<String, Moment>,
    /// Hosts that the last rotation did not wait for.
    pub abandoned: BTreeSet<String>,
    /// The rotation that is under way.
    pub rotation: Option<Rotation>,
    /// Keys that open nothing any more, the last one last.
    pub retired: Vec<Retired>,
}

/// A key in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its public half.
    pub key: PublicKey,
    /// Since when it is in use.
    pub since: Moment,
}

/// A key out of use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Until when it opened at least one host.
    pub until: Moment,
}

/// A rotation under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Its name.
    pub id: String,
    /// When it began.
    pub began: Moment,
    /// Where the control key lies afterwards.
    pub key: PathBuf,
    /// Where the old key's private half lies.
    pub from: PathBuf,
    /// The key that goes. Its private half is kept as `previous`.
    pub old: PublicKey,
    /// The key that comes. Its private half is kept as `next`.
    pub new: PublicKey,
    /// The key that opens a host after a rollback.
    pub recovery: PublicKey,
    /// Every host of the inventory, as of the last run.
    pub hosts: BTreeSet<String>,
    /// Hosts on which the new key is proven to open and the old one not to.
    pub proven: BTreeMap<String, Moment>,
    /// Hosts that it does not wait for.
    pub abandoned: BTreeSet<String>,
}

impl Rotation {
    /// Hosts that it waits for.
    pub fn waiting_for(&self) -> Vec<String> {
        let done = |it: &&String| self.proven.contains_key(*it) || self.abandoned.contains(*it);
        self.hosts.iter().filter(|it| !done(it)).cloned().collect()
    }
}

impl Persisted for ControlState {}

impl ControlState {
    /// Notes who has proven the new key and who is abandoned. When nobody is left to wait for, the old key
    /// is retired.
    pub fn advanced(
        &self,
        hosts: &BTreeSet<String>,
        proven: &BTreeSet<String>,
        abandon: &BTreeSet<String>,
        now: Moment,
    ) -> Self {
        let mut next = self.clone();
        let Some(mut rotation) = next.rotation.take() else { return next };
        rotation.hosts.clone_from(hosts);
        for host in proven {
            rotation.proven.entry(host.clone()).or_insert(now);
        }
        // Who has proven it needs no abandoning, and who was taken out of the inventory counts no more.
        rotation.abandoned.extend(abandon.iter().cloned());
        rotation.abandoned.retain(|it| hosts.contains(it) && !rotation.proven.contains_key(it));
        if rotation.waiting_for().is_empty() {
            next.retired.push(Retired { fingerprint: rotation.old.fingerprint(), until: now });
            next.current = Some(Held { key: rotation.new, since: rotation.began });
            next.hosts = rotation.proven;
            next.abandoned = rotation.abandoned;
        } else {
            next.rotation = Some(rotation);
        }
        next
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ssh::pair::Pair;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn begun() -> ControlState {
        let key = || Pair::generate("").unwrap().public().clone();
        let rotation = Rotation {
            id: "1".into(),
            began: Moment(OffsetDateTime::UNIX_EPOCH),
            key: "/k".into(),
            from: "/k".into(),
            old: key(),
            new: key(),
            recovery: key(),
            hosts: BTreeSet::new(),
            proven: BTreeMap::new(),
            abandoned: BTreeSet::new(),
        };
        ControlState { rotation: Some(rotation), ..ControlState::default() }
    }

    #[test]
    fn the_old_key_is_kept_until_every_host_is_proven_or_abandoned_by_name() {
        let (hosts, now) = (set(&["a", "b", "c"]), Moment(OffsetDateTime::UNIX_EPOCH));
        let begun = begun();
        let first = begun.advanced(&hosts, &set(&["a"]), &set(&[]), now);
        assert_eq!(first.rotation.as_ref().unwrap().waiting_for(), ["b", "c"]);
        assert!(first.retired.is_empty());
        // A later run, in which only another host takes part; the third is given up by name.
        let second = first.advanced(&hosts, &set(&["b"]), &set(&["c", "typo"]), now);
        let rotation = begun.rotation.unwrap();
        assert_eq!(second.rotation, None);
        assert_eq!(second.current.unwrap().key, rotation.new);
        assert_eq!(second.retired[0].fingerprint, rotation.old.fingerprint());
        assert_eq!((second.hosts.len(), second.abandoned), (2, set(&["c"])));
    }

    #[test]
    fn a_host_that_left_the_inventory_is_not_waited_for() {
        let now = Moment(OffsetDateTime::UNIX_EPOCH);
        let state = begun().advanced(&set(&["a", "b"]), &set(&["a"]), &set(&[]), now);
        assert!(state.rotation.is_some());
        assert!(state.advanced(&set(&["a"]), &set(&[]), &set(&[]), now).rotation.is_none());
    }
}
