//! The module `x509_sign`: certificates for the requests of a whole play.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use time::OffsetDateTime;

use super::{
    csr,
    index::{Issued, Record},
    issue::{Authority, Validity, read_one},
    key::KeyType,
    names::Host,
    policy::Policy,
    report::{Answer, Delivery, Report, Reports, Request},
    serial,
    service::{Services, Wanted, wanted},
    store::Store,
    vault::Vault,
    whole_second,
};
use crate::ansible::{Argument, Module, Outcome, Task, fault};

crate::arguments! {
    /// Options of `x509_sign`.
    pub struct Params {
        /// Where the control node keeps its secrets.
        pub private_dir: PathBuf => Argument::path().required(),
        /// The cluster's internal domain.
        pub domain: String => Argument::str().required(),
        /// Metadata of all services, by name.
        pub services: Services => Argument::dict().required(),
        /// The inventory's groups: hosts by group; the group of a service has its name.
        pub groups: BTreeMap<String, Vec<String>> => Argument::dict().required(),
        /// What `x509_request` returned, by host.
        pub reports: Reports => Argument::dict().required(),
        /// `ansible_host` by host.
        pub ansible_hosts: BTreeMap<String, String> => Argument::dict().default(json!({})),
        /// The variable `addresses` by host.
        pub addresses: BTreeMap<String, Vec<String>> => Argument::dict().default(json!({})),
        /// How long a certificate is valid from its issue.
        pub lifetime: String => Argument::str().default("365d"),
        /// How long before its issue a certificate is valid already.
        pub backdate: String => Argument::str().default("1h"),
        /// The type of key that is certified.
        pub key_type: KeyType => Argument::str().default("ecdsa_p256").choices(KeyType::CHOICES),
        /// Vault password file with which the CA's key is encrypted at rest; empty: it is not.
        pub vault_password_file: String => Argument::path().default(""),
        /// The `ansible-vault` to run.
        pub vault_command: String => Argument::str().default("ansible-vault"),
    }
}

/// The module.
pub struct X509Sign;

/// What is to be signed, and who is refused.
pub struct Plan {
    store: Store,
    vault: Vault,
    policy: Policy,
    hosts: BTreeMap<String, Result<Vec<Granted>>>,
}

/// A request that may be signed.
struct Granted {
    request: Request,
    wanted: Wanted,
    host: Host,
    /// DER `SubjectPublicKeyInfo`; none in check mode.
    public_key: Option<Vec<u8>>,
}

impl Module for X509Sign {
    const NAME: &'static str = "x509_sign";
    const ABOUT: &'static str = "Sign the certificate requests of a play's hosts, with the inventory's names";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let policy = Policy::new(&params.lifetime, &params.backdate, 0.0, params.key_type)?;
        let store = if task.check_mode {
            Store::read(&params.private_dir)?
        } else {
            Store::lock(&params.private_dir)?
        };
        let password_file =
            (!params.vault_password_file.is_empty()).then(|| params.vault_password_file.clone().into());
        let vault = Vault { command: params.vault_command.clone(), password_file };
        let grant = |(name, report): (&String, &Report)| (name.clone(), grant(&params, &store, name, report));
        let hosts = params.reports.iter().map(grant).collect();
        Ok(Plan { store, vault, policy, hosts })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let answers = plan.hosts.iter().map(|(name, granted)| {
            let delivered = |it: &Granted| it.deliver(None);
            let granted = granted.as_ref().map(|all| all.iter().map(delivered).collect());
            (name.clone(), answer(granted))
        });
        outcome(&answers.collect())
    }

    fn apply(mut plan: Plan, _task: &Task) -> Result<Outcome> {
        let hosts = std::mem::take(&mut plan.hosts);
        let anything = hosts.values().flatten().any(|granted| !granted.is_empty());
        let signer = anything.then(|| plan.signer()).transpose()?;
        let mut answers = BTreeMap::new();
        let mut records = Vec::new();
        for (name, granted) in hosts {
            let done = granted.and_then(|granted| {
                granted
                    .iter()
                    .filter_map(|it| Some(signer.as_ref()?.sign(it, &plan.policy)))
                    .collect::<Result<Vec<_>>>()
            });
            let delivered = done.map(|done| {
                let (deliveries, issued): (Vec<_>, Vec<_>) = done.into_iter().unzip();
                records.extend(issued.into_iter().map(Record::Issued));
                deliveries
            });
            answers.insert(name, answer(delivered));
        }
        fault::point("x509_sign:signed");
        let path = plan.store.index_path();
        plan.store.index.append(&path, records)?;
        fault::point("x509_sign:index");
        Ok(outcome(&answers))
    }
}

/// Decides what of a host's requests may be signed. One bad request refuses the host.
fn grant(params: &Params, store: &Store, name: &str, report: &Report) -> Result<Vec<Granted>> {
    if report.requests.is_empty() {
        return Ok(Vec::new());
    }
    if !params.groups.get("all").is_some_and(|all| all.iter().any(|it| it == name)) {
        bail!("the inventory has no host '{name}'");
    }
    if let Some(state) = &store.state
        && !report.standing.anchors.is_empty()
        && !report.standing.anchors.iter().any(|it| state.knows(it))
    {
        bail!(
            "host '{name}' trusts another cluster's CA: if it is to join this one, remove \
             /etc/credentials/x509/ca.pem there"
        );
    }
    let addresses = params.addresses.get(name).map_or(&[][..], Vec::as_slice);
    let host =
        Host::new(name, &params.domain, params.ansible_hosts.get(name).map(String::as_str), addresses)?;
    unique_short_name(params, &host)?;
    let runs = |service: &str| params.groups.get(service).is_some_and(|it| it.iter().any(|it| it == name));
    let allowed = wanted(params.services.iter().filter(|(service, _)| runs(service)))?;
    let mut seen = BTreeSet::new();
    report
        .requests
        .iter()
        .map(|request| {
            let wanted = allowed
                .iter()
                .find(|it| it.credential == request.credential && it.side == request.side)
                .with_context(|| {
                    format!(
                        "the inventory gives this host no {} certificate '{}'",
                        request.side, request.credential
                    )
                })?;
            if !seen.insert((&request.credential, request.side)) {
                bail!("the {} certificate '{}' is requested twice", request.side, request.credential);
            }
            host.names(wanted)?;
            let read = |csr: &String| csr::public_key(csr, params.key_type);
            let public_key = request.csr.as_ref().map(read).transpose().with_context(|| {
                format!("the request for the {} certificate '{}'", request.side, request.credential)
            })?;
            Ok(Granted { request: request.clone(), wanted: wanted.clone(), host: host.clone(), public_key })
        })
        .collect()
}

/// The short name is in certificates: no two hosts may answer to it.
fn unique_short_name(params: &Params, host: &Host) -> Result<()> {
    let Some(short) = host.short() else { return Ok(()) };
    let all = params.groups.get("all").into_iter().flatten();
    let other = all.filter(|it| **it != host.name).find(|it| {
        let domain = host.domain.clone();
        Host { name: (*it).clone(), domain, addresses: BTreeSet::new() }.short().as_ref() == Some(&short)
    });
    match other {
        Some(other) => bail!("hosts '{}' and '{other}' have the same short name '{short}'", host.name),
        None => Ok(()),
    }
}

/// The CA at work.
struct Signer {
    authority: Authority,
    tail: String,
    now: OffsetDateTime,
}

impl Plan {
    fn signer(&self) -> Result<Signer> {
        let authority = self.store.authority(&self.store.state()?.active, &self.vault)?;
        Ok(Signer { authority, tail: self.store.chain_tail()?, now: whole_second(OffsetDateTime::now_utc()) })
    }
}

impl Signer {
    fn sign(&self, granted: &Granted, policy: &Policy) -> Result<(Delivery, Issued)> {
        let public_key = granted.public_key.as_deref().context("the request holds no CSR")?;
        let names = granted.host.names(&granted.wanted)?;
        let ca = self.authority.certificate();
        let validity = Validity {
            not_before: self.now - policy.backdate,
            not_after: (self.now + policy.lifetime).min(ca.not_after),
        };
        let leaf = self.authority.issue(public_key, &names, granted.wanted.usage, validity, serial()?)?;
        let read = read_one(&leaf)?;
        let addresses = read.addresses.iter().map(ToString::to_string);
        let issued = Issued {
            serial: read.serial,
            issuer: ca.key_id.clone().unwrap_or_default(),
            host: granted.host.name.clone(),
            service: granted.wanted.service.clone(),
            credential: granted.wanted.credential.clone(),
            side: granted.wanted.side,
            names: read.dns.iter().cloned().chain(addresses).collect(),
            not_before: read.not_before,
            not_after: read.not_after,
            key: super::hex::encode(ring::digest::digest(&ring::digest::SHA256, public_key).as_ref()),
        };
        Ok((granted.deliver(Some(leaf + &self.tail)), issued))
    }
}

impl Granted {
    fn deliver(&self, chain: Option<String>) -> Delivery {
        let Request { credential, side, reason, key, .. } = self.request.clone();
        Delivery { credential, side, reason, key, chain }
    }
}

fn answer(delivered: Result<Vec<Delivery>, impl Borrow<anyhow::Error>>) -> Answer {
    match delivered {
        Ok(certificates) => Answer { certificates, refused: Vec::new() },
        Err(error) => Answer { certificates: Vec::new(), refused: vec![format!("{:#}", error.borrow())] },
    }
}

fn outcome(hosts: &BTreeMap<String, Answer>) -> Outcome {
    let refused = hosts.iter().filter(|(_, it)| !it.refused.is_empty());
    let warnings =
        refused.map(|(name, it)| format!("no certificates for '{name}': {}", it.refused.join("; ")));
    let mut outcome = Outcome {
        changed: hosts.values().any(|it| !it.certificates.is_empty()),
        warnings: warnings.collect(),
        ..Outcome::default()
    };
    outcome.values.insert("hosts".into(), json!(hosts));
    outcome
}
