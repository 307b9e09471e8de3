//! What is wrong with a certificate that is there: a pure function of what was found and what is wanted.

use std::collections::BTreeSet;

use anyhow::Result;
use time::OffsetDateTime;

use super::{
    certificate::Certificate, key::PrivateKey, messages::KeyAction, names::Names, policy::Policy,
    service::Usage,
};

/// A file that is not there, cannot be read, or holds something.
pub type Found<T> = Option<Result<T>>;

/// What the cluster wants of one certificate.
pub struct Want<'a> {
    /// Its names.
    pub names: &'a Names,
    /// Its usages.
    pub usage: Usage,
    /// Lifetime, renewal, key type.
    pub policy: &'a Policy,
    /// The CA that signs now; none: there is no CA yet.
    pub issuer: Option<&'a Certificate>,
    /// Serial numbers that are revoked.
    pub revoked: &'a BTreeSet<String>,
}

/// Why a certificate is requested, and what becomes of the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// For a person; begins with one word that names the case.
    pub reason: String,
    /// What becomes of the private key.
    pub key: KeyAction,
}

impl Need {
    fn new(key: KeyAction, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), key }
    }
}

/// Decides on one key and its chain. `None`: they are fine.
pub fn examine(
    key: &Found<PrivateKey>,
    chain: &Found<Vec<Certificate>>,
    want: &Want<'_>,
    now: OffsetDateTime,
) -> Option<Need> {
    use KeyAction::{Keep, New};
    let key = match key {
        None if chain.is_none() => return Some(Need::new(New, "missing")),
        None => return Some(Need::new(New, "missing: the private key is gone")),
        Some(Err(error)) => return Some(Need::new(New, format!("unreadable: {error:#}"))),
        Some(Ok(key)) => key,
    };
    if key.kind() != Some(want.policy.key_type) {
        return Some(Need::new(New, "policy: another type of key is wanted"));
    }
    let leaf = match chain {
        None => return Some(Need::new(Keep, "missing: the certificate is gone")),
        Some(Err(error)) => return Some(Need::new(Keep, format!("unreadable: {error:#}"))),
        Some(Ok(chain)) => match chain.first() {
            None => return Some(Need::new(Keep, "unreadable: there is no certificate in the file")),
            Some(leaf) => leaf,
        },
    };
    if leaf.public_key != key.public_key() {
        // Which of the two is right cannot be known.
        return Some(Need::new(New, "mismatch: key and certificate are not a pair"));
    }
    if want.revoked.contains(&leaf.serial) {
        return Some(Need::new(New, "revoked"));
    }
    if leaf.common_name != want.names.common_name {
        // Another host's, on a machine that was copied: its key must not be shared.
        let (found, wanted) = (&leaf.common_name, &want.names.common_name);
        return Some(Need::new(New, format!("policy: the subject is '{found}', not '{wanted}'")));
    }
    wrong_issuer(leaf, want.issuer)
        .or_else(|| policy(leaf, want))
        .or_else(|| expiring(leaf, want.policy, now))
        .map(|reason| Need::new(Keep, reason))
}

fn wrong_issuer(leaf: &Certificate, issuer: Option<&Certificate>) -> Option<String> {
    match issuer {
        None => Some("issuer: the cluster has no CA yet".into()),
        Some(issuer) if leaf.is_signed_by(issuer) => None,
        Some(issuer) => Some(format!("issuer: it is to be signed by '{}'", issuer.common_name)),
    }
}

/// Compares what the certificate says, never its age: a changed policy is seen at once, and an
/// unchanged one never reissues.
fn policy(leaf: &Certificate, want: &Want<'_>) -> Option<String> {
    let names = want.names;
    if leaf.dns != names.dns || leaf.addresses != names.addresses {
        let (gone, new) = (difference(leaf, names), difference_back(leaf, names));
        return Some(format!("policy: names change (added: {}; removed: {})", list(&new), list(&gone)));
    }
    if leaf.usage != Some(want.usage) || leaf.is_ca {
        return Some("policy: it has other usages".into());
    }
    let lifetime = leaf.not_after - leaf.not_before;
    let capped = want.issuer.is_some_and(|it| leaf.not_after == it.not_after);
    let wanted = want.policy.lifetime + want.policy.backdate;
    if lifetime > wanted || (lifetime < wanted && !capped) {
        return Some("policy: it has another lifetime".into());
    }
    None
}

fn expiring(leaf: &Certificate, policy: &Policy, now: OffsetDateTime) -> Option<String> {
    if now < leaf.not_before {
        return Some(format!(
            "early: it is valid only from {}; is this host's clock right?",
            leaf.not_before
        ));
    }
    let left = leaf.not_after - now;
    // Backdating is not part of the life: an hour of it would make a short-lived certificate old at its issue.
    let lifetime = leaf.not_after - leaf.not_before - policy.backdate;
    let threshold = lifetime.as_seconds_f64() * policy.renew_fraction;
    if left.is_negative() {
        return Some(format!("expired: since {}", leaf.not_after));
    }
    (left.as_seconds_f64() <= threshold).then(|| format!("expiring: on {}", leaf.not_after))
}

fn difference(leaf: &Certificate, names: &Names) -> Vec<String> {
    let addresses = leaf.addresses.difference(&names.addresses).map(ToString::to_string);
    leaf.dns.difference(&names.dns).cloned().chain(addresses).collect()
}

fn difference_back(leaf: &Certificate, names: &Names) -> Vec<String> {
    let addresses = names.addresses.difference(&leaf.addresses).map(ToString::to_string);
    names.dns.difference(&leaf.dns).cloned().chain(addresses).collect()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;
    use crate::x509::{
        issue::{Authority, Serial, Validity, read_one},
        key::KeyType,
    };

    const ISSUED: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    /// What is said of a 90-day certificate after these days, with a third of 87 days left as the mark.
    fn after(days: i64) -> Option<Need> {
        let key = || PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        let until = |days| Validity { not_before: ISSUED, not_after: ISSUED + Duration::days(days) };
        let ca = Authority::found("CA", key(), until(3650), Serial::new([1; 16])).unwrap();
        let names = Names { common_name: "a@b".into(), dns: BTreeSet::new(), addresses: BTreeSet::new() };
        let key = key();
        let leaf =
            ca.issue(&key.public_key(), &names, Usage::Client, until(90), Serial::new([2; 16])).unwrap();
        let policy = Policy::new("87d", "3d", 1.0 / 3.0, KeyType::EcdsaP256).unwrap();
        let want = Want {
            names: &names,
            usage: Usage::Client,
            policy: &policy,
            issuer: Some(ca.certificate()),
            revoked: &BTreeSet::new(),
        };
        let chain = vec![read_one(&leaf).unwrap()];
        examine(&Some(Ok(key)), &Some(Ok(chain)), &want, ISSUED + Duration::days(days))
    }

    #[test]
    fn time_alone_decides_between_fine_expiring_and_expired() {
        for (days, expected) in [
            (-1, Some("early:")),
            (0, None),
            (60, None),
            (61, Some("expiring:")),
            (90, Some("expiring:")),
            (91, Some("expired:")),
        ] {
            let found = after(days);
            assert_eq!(found.is_some(), expected.is_some(), "after {days} days: {found:?}");
            if let (Some(need), Some(expected)) = (found, expected) {
                assert!(need.reason.starts_with(expected) && need.key == KeyAction::Keep, "{need:?}");
            }
        }
    }
}
