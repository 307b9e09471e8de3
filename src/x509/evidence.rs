//! What hosts hold, as proof of what was issued and revoked: only what a CA of this cluster has signed counts, so that no
//! host can invent any of it. An index that lacks something of it is damaged, or older than what hosts were given.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::{
    certificate::{self, Certificate},
    crl,
    csr::fingerprint,
    index::{Index, Issued, Record, Revoked},
    messages::{Held, Reports},
    store::Store,
};

/// Records that there must have been.
#[derive(Default)]
pub struct Evidence {
    /// By serial number.
    issued: BTreeMap<String, Issued>,
    revoked: BTreeMap<String, Revoked>,
    /// The highest number of a list that a host holds, and which host.
    pub number: Option<(u64, String)>,
}

impl Evidence {
    /// Collects what hosts report, and the revocation lists that they were last given.
    pub fn collect(store: &Store, reports: &Reports) -> anyhow::Result<Self> {
        let known =
            store.state.iter().flat_map(|it| it.trusted().chain(it.retired.iter().map(String::as_str)));
        // Those of a lost CA, whose hosts were taken over, are only known by name.
        let authorities: Vec<_> = known.filter_map(|id| store.certificate(id).ok()).collect();
        let mut found = Self::default();
        // A damaged list is made anew.
        let own = crl::read_all(&store.crl()?).unwrap_or_default();
        for list in own {
            found.add_list(list, "the list that hosts were last given");
        }
        for (host, report) in reports.understood() {
            let issued = report.held.iter().filter_map(|held| proven(host, held, &authorities));
            found.issued.extend(issued.map(|it| (it.serial.clone(), it)));
            let lists = report.crl.as_deref().map(crl::read_all);
            for list in lists.and_then(Result::ok).unwrap_or_default() {
                if !authorities.iter().any(|it| list.is_signed_by(it)) {
                    continue;
                }
                found.number = found.number.max(list.number.map(|it| (it, host.clone())));
                found.add_list(list, &format!("the list that host '{host}' holds"));
            }
        }
        Ok(found)
    }

    fn add_list(&mut self, list: crl::Crl, which: &str) {
        let at = list.this_update;
        let record = |serial: String| {
            let reason = format!("it was on {which}");
            (serial.clone(), Revoked { serial, at, reason })
        };
        self.revoked.extend(list.serials.into_iter().map(record));
    }

    /// What the index lacks.
    pub fn missing(self, index: &Index, now: OffsetDateTime) -> Vec<Record> {
        let issued: BTreeSet<_> = index.issued().map(|it| it.serial.clone()).collect();
        let revoked: BTreeSet<_> = index.revoked_serials().into_iter().map(str::to_owned).collect();
        let lost = self.issued.into_values().filter(|it| it.not_after > now && !issued.contains(&it.serial));
        let lost = lost.map(Record::Issued);
        let forgotten =
            self.revoked.into_values().filter(|it| !revoked.contains(&it.serial)).map(Record::Revoked);
        lost.chain(forgotten).collect()
    }
}

/// The record of a certificate that `host` shows, where one of the CAs signed it for that host.
fn proven(host: &str, held: &Held, authorities: &[Certificate]) -> Option<Issued> {
    let leaf = certificate::read_all(&held.certificate).ok()?.into_iter().next()?;
    let issuer = authorities.iter().find(|it| leaf.is_signed_by(it))?;
    let (service, _) = leaf.common_name.split_once('@').filter(|(_, name)| *name == host)?;
    let addresses = leaf.addresses.iter().map(ToString::to_string);
    Some(Issued {
        issuer: issuer.key_id.clone()?,
        host: host.into(),
        service: service.into(),
        credential: held.credential.clone(),
        side: held.side,
        names: leaf.dns.iter().cloned().chain(addresses).collect(),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        key: fingerprint(&leaf.public_key),
        serial: leaf.serial,
    })
}
