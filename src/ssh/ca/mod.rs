//! The module `ssh_ca` (control node): one CA for hosts, one for users, the certificates that they sign,
//! and the list of those that must not be believed.

mod evidence;
mod folder;
mod index;

pub use evidence::FIRST_MOMENT;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use self::{
    folder::Folder,
    index::{Index, Issued},
};
use super::{
    certificate::{Certificate, Kind},
    control::store::Store,
    hostname,
    key::PublicKey,
    known_hosts,
    krl::RevocationList,
    pair::Pair,
};
use crate::{
    module::{Argument, Module, Outcome, Reports, Task},
    system::{fault, files::LockGuard, random},
    text::{Diff, duration},
};

crate::arguments! {
    /// A user who gets a certificate.
    #[derive(Clone)]
    pub struct User {
        /// The user's name, for logs and for the file's name.
        pub name: String => Argument::str().required(),
        /// The user's public key.
        pub key: PublicKey => Argument::str().required(),
        /// The accounts that the user may log in to.
        pub principals: Vec<String> => Argument::list(Argument::str()).required(),
        /// How long the certificate is valid.
        pub lifetime: String => Argument::str().default("12h"),
    }
}

crate::arguments! {
    /// Options of `ssh_ca`.
    pub struct Params {
        /// Where the control node keeps its secrets.
        pub private_dir: PathBuf => Argument::path().required(),
        /// Names and addresses of every host of the inventory, by host, also of those that take no part in this run.
        pub hosts: BTreeMap<String, Vec<String>> => Argument::dict().required(),
        /// What `ssh_trust` returned, by host: as JSON text, or as it is.
        pub reports: Reports<Report> => Argument::dict().default(json!({})),
        /// Users who get a certificate; whoever is named no more loses it.
        pub users: Vec<User> => Argument::list(Argument::options::<User>()).default(json!([])),
        /// How long a host's certificate is valid.
        pub lifetime: String => Argument::str().default("365d"),
        /// The part of its lifetime that a certificate has left when it is renewed.
        pub renew_fraction: f64 => Argument::float().default(0.333),
        /// How long before its making a certificate is valid already.
        pub backdate: String => Argument::str().default("5m"),
        /// Allow to make CAs although hosts already trust others, whose keys are lost.
        pub new_ca: bool => Argument::bool().default(false),
        /// Rebuild the index of issued certificates from what is left of it and what the hosts hold.
        pub rebuild_index: bool => Argument::bool().default(false),
    }
}

/// What a host says of its keys. All of it is a claim; which names it gets is decided here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    keys: Vec<HostKey>,
    /// The CA of users that it trusts.
    user_ca: Option<PublicKey>,
    /// The version of the list of what is revoked, and where it is asked for the list itself.
    revoked_version: u64,
    revoked: Option<String>,
}

impl Report {
    /// A type of which there are several keys. sshd shows one of them, and which of two certificates to revoke is unknown.
    fn twice(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.keys.iter().map(|it| it.key.kind()).find(|it| !seen.insert(*it))
    }

    /// Those that can be read.
    fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.keys.iter().filter_map(|it| Certificate::read(it.certificate.as_ref()?).ok())
    }
}

#[derive(Clone, Debug, Deserialize)]
struct HostKey {
    key: PublicKey,
    certificate: Option<String>,
}

/// The module.
pub struct SshCa;

/// What is to be done.
pub struct Plan {
    params: Params,
    folder: Folder,
    now: u64,
    /// The CAs, where there are any.
    host: Option<Pair>,
    user: Option<Pair>,
    index: Index,
    revoked: RevocationList,
    /// What hosts hold beside it, where the index is rebuilt.
    adopted: RevocationList,
    /// Certificates to sign, by what they replace them for.
    wanted: Vec<(Wanted, &'static str)>,
    /// Why hosts get no certificate.
    refused: BTreeMap<String, String>,
    changed: bool,
}

#[derive(Clone)]
struct Wanted {
    kind: Kind,
    id: String,
    key: PublicKey,
    principals: Vec<String>,
    lifetime: u64,
}

impl Module for SshCa {
    const NAME: &'static str = "ssh_ca";
    const ABOUT: &'static str = "Keep the cluster's SSH CAs: certify hosts and users, and revoke";
    type Params = Params;
    type Plan = Plan;

    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        Store::lock(&params.private_dir).map(Some)
    }

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        decide(params, u64::try_from(OffsetDateTime::now_utc().unix_timestamp())?)
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let signed: Vec<_> = plan.wanted.iter().map(|(it, reason)| (it.clone(), *reason, None)).collect();
        let [host, user] = [&plan.host, &plan.user].map(|it| it.as_ref().map(Pair::public));
        plan.outcome(host, user, &signed, &plan.foreseen())
    }

    fn apply(mut plan: Plan, _predicted: Outcome) -> Result<Outcome> {
        plan.folder.make()?;
        if plan.params.rebuild_index {
            plan.index.rewrite(&plan.folder.index())?;
        } else if plan.host.is_none()
            || !plan.index.sealed && plan.params.reports.understood().next().is_some()
        {
            // Before there is a CA; or from before an index had a head: what hosts hold is in it.
            plan.index.seal(&plan.folder.index())?;
        }
        fault::point("ssh_ca:sealed");
        let [host, user] = [plan.folder.make_authority("host")?, plan.folder.make_authority("user")?];
        fault::point("ssh_ca:authorities");
        let mut signed = Vec::new();
        let mut issued = Vec::new();
        for (wanted, reason) in &plan.wanted {
            let authority = if wanted.kind == Kind::Host { &host } else { &user };
            let certificate = wanted.certificate(&plan.params, authority.public(), plan.now, serial()?)?;
            issued.push(Issued::from(&certificate));
            signed.push((wanted.clone(), *reason, Some(certificate.sign(authority)?)));
        }
        plan.index.append(&plan.folder.index(), issued)?;
        fault::point("ssh_ca:index");
        let list = plan.revocations(&plan.index, host.public(), user.public());
        plan.folder.revoke(&list)?;
        fault::point("ssh_ca:revoked");
        for (wanted, _, certificate) in &signed {
            if let (Kind::User, Some(line)) = (wanted.kind, certificate) {
                plan.folder.keep_user(&wanted.id, line)?;
                fault::point("ssh_ca:user");
            }
        }
        plan.folder.recognise(&plan.params.known_hosts(host.public()))?;
        Ok(plan.outcome(Some(host.public()), Some(user.public()), &signed, &list))
    }
}

fn decide(params: Params, now: u64) -> Result<Plan> {
    let mut params = params;
    params.hosts.values_mut().for_each(|it| *it = hostname::all(it));
    let folder = Folder::of(&params.private_dir);
    let mut plan = Plan {
        now,
        host: folder.authority("host")?,
        user: folder.authority("user")?,
        index: if params.rebuild_index {
            Index::salvage(&folder.index())?
        } else {
            Index::read(&folder.index())?
        },
        revoked: folder.revoked()?,
        adopted: RevocationList::default(),
        wanted: Vec::new(),
        refused: BTreeMap::new(),
        changed: true,
        folder,
        params,
    };
    plan.consider()?;
    let lifetime = seconds("lifetime", &plan.params.lifetime)?;
    for (name, report) in plan.params.reports.all() {
        let Some(names) = plan.params.hosts.get(name) else {
            bail!("option 'reports': '{name}' is no host of the inventory");
        };
        let report = match report {
            Ok(report) => report,
            Err(reason) => {
                plan.refused.insert(name.clone(), reason.clone());
                continue;
            }
        };
        if plan.refused.contains_key(name) {
            continue;
        }
        if let Some(kind) = report.twice() {
            let reason = format!("it has two host keys of the type {kind}: name one of them in sshd_config");
            plan.refused.insert(name.clone(), reason);
            continue;
        }
        for HostKey { key, certificate } in report.keys.iter().filter(|it| it.key.can_be_certified()) {
            let (id, key, principals) = (name.clone(), key.clone(), names.clone());
            let wanted = Wanted { kind: Kind::Host, id, key, principals, lifetime };
            let found = certificate.as_ref().and_then(|it| Certificate::read(it).ok());
            plan.wanted.extend(plan.need(wanted, found.as_ref())?);
        }
    }
    for it in &plan.params.users {
        check_name(&it.name)?;
        if it.principals.is_empty() {
            bail!("option 'users': '{}' has no principals, and would be let in everywhere", it.name);
        }
        if !it.key.can_be_certified() {
            bail!("option 'users': keys of the type {} are not certified; give another", it.key.kind());
        }
        let wanted = Wanted {
            kind: Kind::User,
            id: it.name.clone(),
            key: it.key.clone(),
            principals: it.principals.clone(),
            lifetime: seconds("lifetime", &it.lifetime)?,
        };
        let found = plan.folder.user(&it.name)?;
        let need = plan.need(wanted, found.as_ref())?;
        plan.wanted.extend(need);
    }
    plan.changed = plan.changes()?;
    Ok(plan)
}

/// A user's name becomes a file's name.
fn check_name(name: &str) -> Result<()> {
    let fits = name.starts_with(|it: char| it.is_ascii_alphanumeric())
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_.-@".contains(&it))
        && !["host", "user"].contains(&name);
    if !fits {
        bail!("option 'users': '{name}' cannot be a name; use letters, digits, '-', '_', '.' and '@'");
    }
    Ok(())
}

fn seconds(option: &str, text: &str) -> Result<u64> {
    Ok(u64::try_from(duration::parse(option, text)?.whole_seconds())?)
}

fn serial() -> Result<u64> {
    Ok(u64::from_be_bytes(random::bytes()?))
}

impl Wanted {
    fn certificate(
        &self,
        params: &Params,
        authority: &PublicKey,
        now: u64,
        serial: u64,
    ) -> Result<Certificate> {
        Ok(Certificate {
            key: self.key.clone(),
            serial,
            kind: self.kind,
            id: self.id.clone(),
            principals: self.principals.clone(),
            not_before: now - seconds("backdate", &params.backdate)?,
            not_after: now + self.lifetime,
            authority: authority.clone(),
        })
    }
}

impl Params {
    /// The line with which every host is recognised.
    fn known_hosts(&self, authority: &PublicKey) -> String {
        let names: BTreeSet<_> = self.hosts.values().flatten().cloned().collect();
        known_hosts::line(&names.into_iter().collect::<Vec<_>>(), authority)
    }
}

impl Plan {
    /// Whether a certificate has to be signed, and why.
    fn need(&self, wanted: Wanted, found: Option<&Certificate>) -> Result<Option<(Wanted, &'static str)>> {
        let authority = if wanted.kind == Kind::Host { &self.host } else { &self.user };
        let Some(authority) = authority else { return Ok(Some((wanted, "there is no CA yet"))) };
        let like = Certificate {
            not_before: self.now,
            ..wanted.certificate(&self.params, authority.public(), self.now, 0)?
        };
        let serials = self.revoked.certificates.get(authority.public().blob());
        let revoked = found.is_some_and(|found| serials.is_some_and(|it| it.contains(&found.serial)));
        let reason = Certificate::need(found, &like, self.params.renew_fraction, revoked);
        Ok(reason.map(|reason| (wanted, reason)))
    }

    /// What must not be believed: whatever the list before said, as long as it has not ended, and more. The version is
    /// the moment at which something was added.
    fn revocations(&self, index: &Index, host: &PublicKey, user: &PublicKey) -> RevocationList {
        let (before, now) = (&self.revoked, self.now);
        let hosts: BTreeSet<_> = self.params.hosts.keys().cloned().collect();
        let users: BTreeSet<_> = self.params.users.iter().map(|it| it.name.clone()).collect();
        let mut next = before.clone();
        for (key, known, is_host) in [(host, hosts, true), (user, users, false)] {
            let serials = next.certificates.entry(key.blob().to_vec()).or_default();
            serials.extend(index.revoked(is_host, &known, now));
        }
        for (key, serials) in &self.adopted.certificates {
            next.certificates.entry(key.clone()).or_default().extend(serials);
        }
        let ended = index.ended(now);
        next.certificates.values_mut().for_each(|it| it.retain(|serial| !ended.contains(serial)));
        next.certificates.retain(|_, it| !it.is_empty());
        if next.revokes_as(before) && before.version >= FIRST_MOMENT && !self.params.rebuild_index {
            return next;
        }
        let version = now.max(before.version.max(self.adopted.version) + 1);
        RevocationList { version, generated: now, ..next }
    }

    /// What will be revoked once what is wanted has been signed: the certificate of a host's former key, for one.
    fn foreseen(&self) -> RevocationList {
        let (Some(host), Some(user)) = (&self.host, &self.user) else { return self.revoked.clone() };
        let issued = self.wanted.iter().filter_map(|(it, _)| {
            let authority = if it.kind == Kind::Host { host } else { user };
            it.certificate(&self.params, authority.public(), self.now, 0).ok()
        });
        let mut index = self.index.clone();
        index.records.extend(issued.map(|it| Issued::from(&it)));
        self.revocations(&index, host.public(), user.public())
    }

    fn changes(&self) -> Result<bool> {
        let (Some(host), Some(user)) = (&self.host, &self.user) else { return Ok(true) };
        let next = self.revocations(&self.index, host.public(), user.public());
        let (known, with_line) = self.folder.known_hosts(&self.params.known_hosts(host.public()))?;
        Ok(!self.wanted.is_empty() || next != self.revoked || known != with_line)
    }

    fn outcome(
        &self,
        host: Option<&PublicKey>,
        user: Option<&PublicKey>,
        signed: &[(Wanted, &'static str, Option<String>)],
        list: &RevocationList,
    ) -> Outcome {
        let mut hosts: BTreeMap<&str, Vec<Value>> =
            self.params.reports.all().map(|(it, _)| (it.as_str(), Vec::new())).collect();
        let mut diff = Vec::new();
        for (wanted, reason, certificate) in signed {
            let after =
                format!("{} for {} ({reason})\n", wanted.key.describe(), wanted.principals.join(", "));
            diff.push(Diff::of(format!("certificate of {}", wanted.id), "", after));
            if let (Kind::Host, Some(list)) = (wanted.kind, hosts.get_mut(wanted.id.as_str())) {
                list.push(json!({"key": wanted.key, "certificate": certificate, "reason": reason}));
            }
        }
        let warnings = self.refused.iter().map(|(host, it)| format!("no certificates for '{host}': {it}"));
        Outcome::new(self.changed)
            .with_diff(diff)
            .with_warnings(warnings)
            .with("hosts", hosts)
            .with("refused", &self.refused)
            .with("known_hosts", host.map(|it| self.params.known_hosts(it)))
            .with("user_ca", user)
            .with("revoked", BASE64_STANDARD.encode(list.to_bytes()))
    }
}
