//! The index of issued certificates: one JSON record a line, appended and on the disk before a
//! certificate leaves the control node.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::service::Side;
use crate::system::files::{JsonLine, JsonLines};

/// What a person does about an index that is damaged.
pub const REMEDY: &str = "without it, what was revoked would be accepted again. Restore private_dir from a backup, or \
                          rebuild the index from what the hosts hold: `ansible-playbook site.yml -e common_index_rebuild=true`";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A certificate was signed.
    Issued(Issued),
    /// A certificate is not to be accepted any more.
    Revoked(Revoked),
}

impl JsonLine for Record {
    const REMEDY: &'static str = REMEDY;
}

impl Record {
    /// For a person.
    pub fn describe(&self) -> String {
        match self {
            Self::Issued(it) => {
                format!(
                    "the {} certificate '{}' of host '{}' ({})",
                    it.side, it.credential, it.host, it.serial
                )
            }
            Self::Revoked(it) => format!("the revocation of {} ({})", it.serial, it.reason),
        }
    }
}

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// Serial number in hexadecimal digits.
    pub serial: String,
    /// Key identifier of the CA.
    pub issuer: String,
    /// For which host.
    pub host: String,
    /// For which service.
    pub service: String,
    /// Of which credential.
    pub credential: String,
    /// Client or server.
    pub side: Side,
    /// DNS names and addresses.
    pub names: BTreeSet<String>,
    /// First moment of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// SHA-256 of the public key, in hexadecimal digits.
    pub key: String,
}

/// A certificate that is not to be accepted any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its serial number.
    pub serial: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Why, for a person.
    pub reason: String,
}

/// All records.
pub type Index = JsonLines<Record>;

impl Index {
    /// Every certificate that was signed, oldest first.
    pub fn issued(&self) -> impl DoubleEndedIterator<Item = &Issued> {
        self.records.iter().filter_map(|it| match it {
            Record::Issued(issued) => Some(issued),
            Record::Revoked(_) => None,
        })
    }

    /// The last certificate of each host, credential and side, revoked or not.
    pub fn current(&self) -> impl Iterator<Item = &Issued> {
        let key = |it: &'_ Issued| (it.host.clone(), it.credential.clone(), it.side);
        let last: BTreeMap<_, _> = self.issued().map(|it| (key(it), it)).collect();
        last.into_values()
    }

    /// Every revocation, oldest first.
    pub fn revoked(&self) -> impl Iterator<Item = &Revoked> {
        self.records.iter().filter_map(|it| match it {
            Record::Revoked(revoked) => Some(revoked),
            Record::Issued(_) => None,
        })
    }

    /// Serial numbers of revoked certificates.
    pub fn revoked_serials(&self) -> BTreeSet<&str> {
        self.revoked().map(|it| it.serial.as_str()).collect()
    }
}
