//! Which certificates are to be revoked, and whether hosts need new revocation lists: pure decisions.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use time::OffsetDateTime;

use super::{
    crl::{self, Crl},
    index::{Index, Revoked},
    rollover::CaState,
    whole_second,
};

/// What hosts hold that are no longer in the inventory.
pub fn of_removed_hosts(
    index: &Index,
    hosts: &BTreeSet<String>,
    now: OffsetDateTime,
) -> Result<Vec<Revoked>> {
    let known = index.revoked_serials();
    let live = || index.issued().filter(|it| it.not_after > now && !known.contains(&*it.serial));
    if live().next().is_some() && !live().any(|it| hosts.contains(&it.host)) {
        bail!(
            "none of the hosts that hold certificates of this CA is in the inventory: is this the inventory of \
             another cluster? Give each cluster its own private_dir"
        );
    }
    let removed = live().filter(|it| !hosts.contains(&it.host)).map(|it| Revoked {
        serial: it.serial.clone(),
        at: whole_second(now),
        reason: format!("host '{}' was removed", it.host),
    });
    Ok(removed.collect())
}

/// Revocations of certificates that would otherwise still be valid, as far as is known.
pub fn live(index: &Index, now: OffsetDateTime) -> impl Iterator<Item = &Revoked> {
    let ended: BTreeSet<&str> =
        index.issued().filter(|it| it.not_after <= now).map(|it| &*it.serial).collect();
    index.revoked().filter(move |it| !ended.contains(&*it.serial))
}

/// Whether hosts need other revocation lists than `pem`, which they were given: of each CA that is
/// trusted in the state `next`, with everything that is revoked, not soon out of date.
pub fn is_due(pem: &str, index: &Index, next: &CaState, now: OffsetDateTime) -> bool {
    // A damaged list is made anew.
    let lists = crl::read_all(pem).unwrap_or_default();
    let issuers: Vec<_> = lists.iter().filter_map(|it| it.issuer_key_id.as_deref()).collect();
    let stale = |it: &Crl| {
        let until = it.next_update.unwrap_or(it.this_update);
        (until - now) * 3 < until - it.this_update
            || live(index, now).any(|one| !it.serials.contains(&one.serial))
    };
    issuers != next.trusted().collect::<Vec<_>>() || lists.iter().any(stale)
}
