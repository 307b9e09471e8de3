//! The certificates that hosts hold, as the index of issued certificates knows them.

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::index::{Index, Issued};

/// What has become of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is accepted.
    Valid,
    /// Its time is over.
    Expired,
    /// It is on the revocation lists.
    Revoked,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry<'a> {
    /// What was issued.
    #[serde(flatten)]
    pub issued: &'a Issued,
    /// What has become of it.
    pub status: Standing,
}

/// The last certificate of each host, credential and side, by host. With `hosts` only theirs; with
/// `expiring` only what ends within that time or has ended, soonest first.
pub fn list<'a>(
    index: &'a Index,
    hosts: &[String],
    expiring: Option<Duration>,
    now: OffsetDateTime,
) -> Vec<Entry<'a>> {
    let revoked = index.revoked_serials();
    let mut entries: Vec<_> = index
        .current()
        .filter(|it| hosts.is_empty() || hosts.contains(&it.host))
        .filter(|it| expiring.is_none_or(|within| it.not_after <= now + within))
        .map(|issued| {
            let status = match issued {
                it if revoked.contains(it.serial.as_str()) => Standing::Revoked,
                it if it.not_after < now => Standing::Expired,
                _ => Standing::Valid,
            };
            Entry { issued, status }
        })
        // What was revoked needs no renewal.
        .filter(|it| expiring.is_none() || it.status != Standing::Revoked)
        .collect();
    if expiring.is_some() {
        entries.sort_by_key(|it| it.issued.not_after);
    }
    entries
}
