//! The module `x509_ca`: the cluster's CA on the control node, its rollover and its revocation lists.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;
use time::OffsetDateTime;

use super::{
    crl, duration,
    evidence::Evidence,
    index::{REMEDY, Record, Revoked},
    issue::{Authority, Validity},
    key::{KeyType, PrivateKey},
    messages::Reports,
    revocation,
    rollover::{CaState, Standing},
    serial,
    store::Store,
    trusted_variables,
    vault::Vault,
    whole_second,
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{fault, files::LockGuard},
    text::hex,
};

crate::arguments! {
    /// Options of `x509_ca`.
    pub struct Params {
        /// Where the control node keeps its secrets.
        pub private_dir: PathBuf => Argument::path().absolute().required(),
        /// Ansible's setting of this name. Where it is true, hosts could set the variables that are decided from: nothing is done.
        pub inject_facts_as_vars: bool => Argument::bool().required(),
        /// The cluster's internal domain; it appears in the name of a new CA.
        pub domain: String => Argument::str().required(),
        /// Every host of the inventory, also those that take no part in this run.
        pub hosts: BTreeSet<String> => Argument::list(Argument::str()).required(),
        /// What `x509_request` returned, by host: as JSON text, or as it is.
        pub reports: Reports => Argument::dict().required(),
        /// How long a new CA is valid.
        pub lifetime: String => Argument::str().default("3650d"),
        /// How long before its making a new CA is valid already.
        pub backdate: String => Argument::str().default("1h"),
        /// The type of a new CA's key.
        pub key_type: KeyType => Argument::str().default("ecdsa_p256").choices(KeyType::CHOICES),
        /// For how long a revocation list is valid.
        pub crl_lifetime: String => Argument::str().default("365d"),
        /// Key identifier of the CA to be replaced, or its beginning. Says nothing once that CA signs no more.
        pub replace: String => Argument::str().default(""),
        /// Allow to make a CA although hosts already trust another, whose key is lost.
        pub new_ca: bool => Argument::bool().default(false),
        /// Hosts for which a rollover does not wait.
        pub abandon: BTreeSet<String> => Argument::list(Argument::str()).default(json!([])),
        /// Rebuild the index of issued certificates from what is left of it and what the hosts hold.
        pub rebuild_index: bool => Argument::bool().default(false),
        /// Vault password file with which the CA's key is encrypted at rest; empty: it is not.
        pub vault_password_file: String => Argument::path().default(""),
        /// The `ansible-vault` to run.
        pub vault_command: String => Argument::str().default("ansible-vault"),
    }
}

/// The module.
pub struct X509Ca;

/// What is to be done.
pub struct Plan {
    params: Params,
    store: Store,
    vault: Vault,
    now: OffsetDateTime,
    found: bool,
    replace: bool,
    /// The state afterwards, unless a new CA is made.
    state: Option<CaState>,
    revoked: Vec<Revoked>,
    crl: bool,
    /// Of the next revocation list.
    number: u64,
    warnings: Vec<String>,
}

impl Module for X509Ca {
    const NAME: &'static str = "x509_ca";
    const ABOUT: &'static str =
        "Make the cluster's CA, keep it, replace it, and revoke what removed hosts hold";
    type Params = Params;
    type Plan = Plan;

    fn check(params: &Params) -> Result<()> {
        trusted_variables::refuse_facts(params.inject_facts_as_vars)
    }

    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        Store::lock(&params.private_dir).map(Some)
    }

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let read = if params.rebuild_index { Store::salvage } else { Store::read };
        let store = read(&params.private_dir)?;
        decide(params, store, OffsetDateTime::now_utc())
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        // What only signing can tell is left empty: `x509_install` then predicts that it changes.
        let bundle = match &plan.state {
            Some(next) if !plan.replace => plan.store.bundle_of(next),
            _ => Ok(String::new()),
        };
        let crl = if plan.crl { Ok(String::new()) } else { plan.store.crl() };
        plan.outcome(&bundle.unwrap_or_default(), &crl.unwrap_or_default())
    }

    fn apply(mut plan: Plan, _predicted: Outcome) -> Result<Outcome> {
        let path = plan.store.index_path();
        if plan.params.rebuild_index {
            plan.store.index.rewrite(&path)?;
        } else if plan.found || !plan.store.index.sealed && plan.params.reports.understood().next().is_some()
        {
            // From before an index had a head: what hosts hold is in it.
            plan.store.index.seal(&path)?;
        }
        fault::point("x509_ca:sealed");
        if plan.found || plan.replace {
            plan.make_authority()?;
        } else if let Some(state) = plan.state.clone().filter(|it| plan.store.state.as_ref() != Some(it)) {
            plan.store.save(state)?;
        }
        fault::point("x509_ca:state");
        let revoked = plan.revoked.iter().cloned().map(Record::Revoked).collect();
        plan.store.index.append(&path, revoked)?;
        fault::point("x509_ca:index");
        let crl = if plan.crl { plan.make_crl()? } else { plan.store.crl()? };
        let bundle = plan.store.bundle()?;
        plan.store.publish(&bundle, &crl)?;
        Ok(plan.outcome(&bundle, &crl))
    }
}

fn decide(params: Params, store: Store, now: OffsetDateTime) -> Result<Plan> {
    let vault = Vault::new(&params.vault_command, &params.vault_password_file);
    let mut plan = Plan {
        vault,
        now,
        found: store.state.is_none(),
        replace: false,
        state: None,
        revoked: Vec::new(),
        crl: true,
        number: u64::try_from(now.unix_timestamp())?,
        warnings: Vec::new(),
        params,
        store,
    };
    let Some(state) = plan.store.state.clone() else {
        guard_against_a_second_cluster(&plan.params)?;
        return Ok(plan);
    };
    plan.replace = must_replace(&state, &plan.params)?;
    if !plan.replace {
        plan.store.refuse_expired(now)?;
    }
    let standings =
        plan.params.reports.understood().map(|(host, it)| (host.clone(), Standing::clone(&it.standing)));
    let mut next = state.advanced(&plan.params.hosts, &standings.collect(), &plan.params.abandon);
    plan.consider(Evidence::collect(&plan.store, &plan.params.reports)?)?;
    plan.revoked = revocation::of_removed_hosts(&plan.store.index, &plan.params.hosts, now)?;
    next.retired.extend(plan.strangers());
    // Programs that use OpenSSL ask for a list of each CA in a chain: a new one's comes with its anchor.
    plan.crl |= plan.replace
        || !plan.revoked.is_empty()
        || revocation::is_due(&plan.store.crl()?, &plan.store.index, &next, now);
    let active = plan.store.certificate(&state.active)?;
    // A rollover takes a few runs; leaves shall not be cut short by the end of their CA.
    if (active.not_after - now) * 5 < active.not_after - active.not_before {
        plan.warnings.push(format!(
            "the CA {} expires on {}: replace it (see `common_ca_replace`)",
            state.active,
            active.not_after.date()
        ));
    }
    plan.state = Some(next);
    Ok(plan)
}

/// An empty `private_dir` while hosts trust a CA: it is lost, or another folder is meant.
fn guard_against_a_second_cluster(params: &Params) -> Result<()> {
    let holding: Vec<&str> = params
        .reports
        .understood()
        .filter(|(_, it)| !it.standing.anchors.is_empty())
        .map(|(host, _)| host.as_str())
        .collect();
    if !holding.is_empty() && !params.new_ca {
        bail!(
            "{} holds no CA, but hosts already trust one ({}): correct or restore private_dir; if that CA's key is \
             lost for good, set the option 'new_ca' (`-e common_ca_new=true`) to begin anew",
            params.private_dir.display(),
            holding.join(", ")
        );
    }
    Ok(())
}

fn must_replace(state: &CaState, params: &Params) -> Result<bool> {
    let wanted = params.replace.to_ascii_lowercase();
    if wanted.is_empty() || state.retired.iter().any(|it| it.starts_with(&wanted)) {
        return Ok(false);
    }
    if wanted.len() < 8 {
        bail!("option 'replace': give at least 8 digits of the CA's key identifier, {}", state.active);
    }
    if let Some(leaving) = &state.leaving {
        if leaving.starts_with(&wanted) {
            return Ok(false);
        }
        bail!(
            "option 'replace': the CA {leaving} is still being replaced by {}; wait for {}, or abandon them by name",
            state.active,
            state.waiting_for(&params.hosts, &params.abandon).join(", ")
        );
    }
    if !state.active.starts_with(&wanted) {
        bail!("option 'replace': this cluster has no CA '{wanted}'; the one that signs is {}", state.active);
    }
    Ok(true)
}

impl Plan {
    /// Nothing is decided with an index that lacks what hosts hold; and the next list has a higher number than any before.
    fn consider(&mut self, evidence: Evidence) -> Result<()> {
        let own = crl::number(&crl::read_all(&self.store.crl()?).unwrap_or_default());
        let (held, host) = evidence.number.clone().unzip();
        self.number = self.number.max(own.max(held).map_or(0, |it| it + 1));
        // Where no list lies here, it is made anyway.
        let behind = own.is_some() && held > own;
        let lost = evidence.missing(&self.store.index, self.now);
        if let (Some(first), false) = (lost.first(), self.params.rebuild_index) {
            bail!(
                "{} lacks {} records of what hosts hold or were told, such as {}: {REMEDY}",
                self.store.index_path().display(),
                lost.len(),
                first.describe()
            );
        }
        self.crl = behind || !lost.is_empty();
        self.store.index.records.extend(lost);
        if let Some(host) = host.filter(|_| behind) {
            self.warnings.push(format!(
                "host '{host}' holds a newer revocation list than {}: if that was restored from a backup, run once with \
                 `-e common_index_rebuild=true`, so that certificates issued since are known",
                self.params.private_dir.display()
            ));
        }
        Ok(())
    }

    fn make_authority(&mut self) -> Result<()> {
        let key = PrivateKey::generate(self.params.key_type)?;
        let sealed = self.vault.seal(key.to_pem())?;
        let now = whole_second(self.now);
        let validity = Validity {
            not_before: now - duration::parse("backdate", &self.params.backdate)?,
            not_after: now + duration::parse("lifetime", &self.params.lifetime)?,
        };
        let name = common_name(&self.params.domain, &key);
        let new = Authority::found(&name, key, validity, serial()?)?;
        let id = new.certificate().key_id.clone().context("the CA has no key identifier")?;
        let next = match &self.store.state {
            None => {
                self.store.add(&new, sealed, None)?;
                CaState::founded(id, self.strangers())
            }
            Some(state) => {
                let old = self.store.authority(&state.active, &self.vault)?;
                let until = validity.not_after.min(old.certificate().not_after);
                let cross = old.cross_sign(&new, Validity { not_after: until, ..validity }, serial()?)?;
                self.store.add(&new, sealed, Some(&cross))?;
                state.replaced_by(id)
            }
        };
        fault::point("x509_ca:authority");
        self.store.save(next)
    }

    /// CAs that hosts trust and this cluster never had: with `new_ca` they are counted as its past, so
    /// that these hosts are served and change to the new one.
    fn strangers(&self) -> Vec<String> {
        let known = |id: &String| self.store.state.as_ref().is_some_and(|it| it.knows(id));
        let trusted = self.params.reports.understood().flat_map(|(_, it)| &it.standing.anchors);
        let strangers: BTreeSet<_> = trusted.filter(|it| self.params.new_ca && !known(it)).cloned().collect();
        strangers.into_iter().collect()
    }

    fn make_crl(&self) -> Result<String> {
        let now = whole_second(self.now);
        let until = now + duration::parse("crl_lifetime", &self.params.crl_lifetime)?;
        let mut lists = String::new();
        for id in self.store.state()?.trusted() {
            let authority = self.store.authority(id, &self.vault)?;
            lists += &crl::make(
                &authority,
                revocation::live(&self.store.index, self.now),
                now,
                until,
                self.number,
            )?;
        }
        Ok(lists)
    }

    fn outcome(&self, bundle: &str, crl: &str) -> Outcome {
        let state = self.store.state.as_ref();
        let abandon = &self.params.abandon;
        // After applying, the stored state is the next one; in check mode it is only planned.
        let next = self.state.as_ref().filter(|_| !self.replace).or(state);
        let phase = match next {
            None => "founding",
            Some(CaState { leaving: Some(_), .. }) => "rollover",
            Some(_) => "steady",
        };
        let advanced = self.state.is_some() && self.state.as_ref() != state;
        let waiting_for = next.map(|it| it.waiting_for(&self.params.hosts, abandon)).unwrap_or_default();
        let msg = next.and_then(|it| it.leaving.as_ref()).map(|leaving| {
            format!("the CA {leaving} is still trusted: waiting for {}", waiting_for.join(", "))
        });
        let changed = self.found || self.replace || self.crl || self.params.rebuild_index || advanced;
        Outcome { changed, msg, warnings: self.warnings.clone(), ..Outcome::default() }
            .with("bundle", bundle)
            .with("crl", crl)
            .with("active", next.map(|it| &it.active))
            .with("phase", phase)
            .with("waiting_for", waiting_for)
            .with("revoked", &self.revoked)
    }
}

/// Own to each CA, because clients look for an issuer by its name. RFC 5280 allows 64 characters.
fn common_name(domain: &str, key: &PrivateKey) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, &key.public_key());
    let id = hex::encode(&digest.as_ref()[..4]);
    format!("CA {id} of {domain}").chars().take(64).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::{Arguments as _, convert};

    #[test]
    fn an_expired_ca_is_replaced_and_signs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plan = |replace: &str, now: OffsetDateTime| {
            let given = json!({
                "private_dir": folder.path(), "inject_facts_as_vars": false, "domain": "example.com",
                "hosts": ["host1"], "reports": {}, "lifetime": "10d", "replace": replace,
            });
            let serde_json::Value::Object(given) = given else { unreachable!() };
            let given = convert::convert(&Params::spec(), given).unwrap();
            let params: Params = serde_json::from_value(given.into()).unwrap();
            decide(params, Store::read(folder.path()).unwrap(), now)
        };
        let now = OffsetDateTime::now_utc();
        let _held = Store::lock(folder.path()).unwrap();
        let founded = X509Ca::apply(plan("", now).unwrap(), Outcome::default()).unwrap();
        let id = founded.values["active"].as_str().unwrap().to_owned();
        let days = |count| now + time::Duration::days(count);
        assert!(plan("", days(1)).unwrap().warnings.is_empty());
        assert!(plan("", days(9)).unwrap().warnings[0].contains("replace it (see `common_ca_replace`)"));
        let error = plan("", days(11)).err().unwrap().to_string();
        assert!(
            error.contains("has expired on") && error.contains(&format!("common_ca_replace={}", &id[..8])),
            "{error}"
        );
        let replaced = X509Ca::apply(plan(&id[..8], days(11)).unwrap(), Outcome::default()).unwrap();
        assert_ne!(replaced.values["active"], json!(id));
        assert!(plan(&id[..8], days(12)).is_ok());
    }
}
