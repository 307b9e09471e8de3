//! Every certificate that was issued, a JSON line each, and which of them must not be believed any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    ssh::certificate::{Certificate, Kind},
    system::files::{JsonLine, JsonLines},
};

/// What a person does about an index that is damaged.
pub(super) const REMEDY: &str = "without it, what was revoked would be believed again. Restore private_dir from a backup, or \
                          rebuild the index from what the hosts hold: `ansible-playbook site.yml -e ssh_index_rebuild=true`";

/// One certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issued {
    /// Its number.
    pub serial: u64,
    /// Whether it is a host's; else a user's.
    pub host: bool,
    /// The host's name in the inventory, or the user's.
    pub id: String,
    /// Names and addresses, or accounts.
    pub principals: BTreeSet<String>,
    /// Fingerprint of the key.
    pub key: String,
    /// The key's type.
    pub kind: String,
    /// Until when, in seconds since 1970.
    pub not_after: u64,
}

impl JsonLine for Issued {
    const REMEDY: &'static str = REMEDY;
}

impl From<&Certificate> for Issued {
    fn from(it: &Certificate) -> Self {
        Self {
            serial: it.serial,
            host: it.kind == Kind::Host,
            id: it.id.clone(),
            principals: it.principals.iter().cloned().collect(),
            key: it.key.fingerprint(),
            kind: it.key.kind().into(),
            not_after: it.not_after,
        }
    }
}

/// All of them, in the order of issue.
pub(super) type Index = JsonLines<Issued>;

impl Index {
    /// Whether a certificate with this number was issued.
    pub fn knows(&self, serial: u64) -> bool {
        self.records.iter().any(|it| it.serial == serial)
    }

    /// Numbers of those that have ended.
    pub fn ended(&self, now: u64) -> BTreeSet<u64> {
        self.records.iter().filter(|it| it.not_after <= now).map(|it| it.serial).collect()
    }

    /// Serial numbers to revoke, of hosts' certificates or of users': of whoever is no longer `known`, and
    /// what has been replaced by one that says less or is of another key. What has ended needs no revoking.
    pub fn revoked(&self, host: bool, known: &BTreeSet<String>, now: u64) -> BTreeSet<u64> {
        let own: Vec<_> = self.records.iter().filter(|it| it.host == host).collect();
        let latest: BTreeMap<_, _> = own.iter().map(|it| ((&it.id, &it.kind), *it)).collect();
        let stale = |it: &&&Issued| {
            let last = latest[&(&it.id, &it.kind)];
            !known.contains(&it.id) || last.key != it.key || !it.principals.is_subset(&last.principals)
        };
        own.iter().filter(stale).filter(|it| it.not_after > now).map(|it| it.serial).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(serial: u64, id: &str, principals: &[&str], key: &str) -> Issued {
        let principals = principals.iter().map(|it| (*it).to_owned()).collect();
        let (id, key, kind) = (id.into(), key.into(), "ssh-ed25519".into());
        Issued { serial, host: true, id, principals, key, kind, not_after: 100 }
    }

    #[test]
    fn what_says_too_much_or_is_of_nobody_is_revoked() {
        let issued = vec![
            issued(1, "a", &["a", "x"], "k1"),
            issued(2, "a", &["a"], "k1"),
            issued(3, "a", &["a"], "k1"),
            issued(4, "b", &["b"], "k2"),
            issued(5, "c", &["c"], "k3"),
            issued(6, "c", &["c"], "k4"),
        ];
        let index = Index { records: issued, sealed: true };
        let known = ["a", "c"].map(str::to_owned).into();
        assert_eq!(index.revoked(true, &known, 50), [1, 4, 5].into());
        assert!(index.revoked(true, &known, 100).is_empty(), "they have ended");
        assert!(index.revoked(false, &known, 50).is_empty());
    }
}
