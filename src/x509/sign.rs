//! The module `x509_sign`: certificates for the requests of a whole play.

use std::{borrow::Borrow, collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{
    addresses::Network,
    approval::{self, Approved, Inventory, Past, approve},
    csr,
    index::{Issued, Record},
    issue::{Authority, Validity, read_one},
    key::KeyType,
    messages::{Answer, Delivery, Report, Reports},
    owners::Owners,
    policy::Policy,
    serial,
    service::Services,
    store::Store,
    trusted_variables,
    vault::Vault,
    whole_second,
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{fault, files::LockGuard},
};

crate::arguments! {
    /// Options of `x509_sign`.
    pub struct Params {
        /// Where the control node keeps its secrets.
        pub private_dir: PathBuf => Argument::path().absolute().required(),
        /// Ansible's setting of this name. Where it is true, hosts could set the variables that are decided from: nothing is done.
        pub inject_facts_as_vars: bool => Argument::bool().required(),
        /// The cluster's internal domain.
        pub domain: String => Argument::str().required(),
        /// Metadata of all services, by name.
        pub services: Services => Argument::dict().required(),
        /// The inventory's groups: hosts by group; the group of a service has its name.
        pub groups: BTreeMap<String, Vec<String>> => Argument::dict().required(),
        /// Variables that hold for the whole cluster. A host for which `x509_request` was given others is refused.
        pub settings: Map<String, Value> => Argument::dict().default(json!({})),
        /// What `x509_request` returned, by host: as JSON text, or as it is.
        pub reports: Reports => Argument::dict().required(),
        /// `ansible_host` by host. With `report_addresses` every host of the inventory is needed.
        pub ansible_hosts: BTreeMap<String, String> => Argument::dict().default(json!({})),
        /// The variable `addresses` by host. With `report_addresses` every host of the inventory is needed.
        pub addresses: BTreeMap<String, Vec<String>> => Argument::dict().default(json!({})),
        /// Whether addresses that a host reports of itself may enter its certificates.
        pub report_addresses: bool => Argument::bool().default(false),
        /// The networks to which such addresses must belong.
        pub cluster_networks: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// How long a certificate is valid from its issue.
        pub lifetime: String => Argument::str().default("365d"),
        /// How long before its issue a certificate is valid already.
        pub backdate: String => Argument::str().default("1h"),
        /// The type of key that is certified.
        pub key_type: KeyType => Argument::str().default("ecdsa_p256").choices(KeyType::CHOICES),
        /// Whether `x509_ca` rebuilds the index before: a check then counts on what is left of it.
        pub rebuild_index: bool => Argument::bool().default(false),
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
    hosts: BTreeMap<String, Result<Vec<Approved>>>,
}

impl Module for X509Sign {
    const NAME: &'static str = "x509_sign";
    const ABOUT: &'static str = "Sign the certificate requests of a play's hosts, with the inventory's names";
    type Params = Params;
    type Plan = Plan;

    fn check(params: &Params) -> Result<()> {
        trusted_variables::refuse_facts(params.inject_facts_as_vars)
    }

    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        Store::lock(&params.private_dir).map(Some)
    }

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let policy = Policy::new(&params.lifetime, &params.backdate, 0.0, params.key_type)?;
        // `x509_ca` has rebuilt it before, unless this is a check.
        let read = if params.rebuild_index && task.check_mode { Store::salvage } else { Store::read };
        let store = read(&params.private_dir)?;
        let networks: Vec<_> =
            params.cluster_networks.iter().map(|it| Network::parse(it)).collect::<Result<_>>()?;
        let inventory = Inventory {
            domain: &params.domain,
            services: &params.services,
            groups: &params.groups,
            owners: Owners::new(
                &params.domain,
                params.services.keys().map(String::as_str),
                params.groups.get("all").into_iter().flatten().map(String::as_str),
            )?,
            ansible_hosts: &params.ansible_hosts,
            addresses: &params.addresses,
            networks: if params.report_addresses { networks } else { Vec::new() },
            key_type: params.key_type,
        };
        let past = Past { state: store.state.as_ref(), index: &store.index, now: OffsetDateTime::now_utc() };
        // Machines that were copied ask with the same key: one of them gets it certified.
        let mut keys: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        let decide = |(name, report): (&String, &Result<Report, String>)| {
            let approved = report.as_ref().map_err(|error| anyhow!("{error}")).and_then(|report| {
                trusted_variables::refuse_others(&params.settings, name, &report.settings)?;
                let approved = approve(&inventory, &past, &params.reports, name, report)?;
                for key in approved.iter().filter_map(|it| it.public_key.as_ref()) {
                    let owner = keys.entry(key.clone()).or_insert_with(|| name.clone());
                    approval::check_one_owner(name, owner)?;
                }
                Ok(approved)
            });
            (name.clone(), approved)
        };
        let hosts = params.reports.all().map(decide).collect();
        Ok(Plan {
            vault: Vault::new(&params.vault_command, &params.vault_password_file),
            policy,
            hosts,
            store,
        })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let answers = plan.hosts.iter().map(|(name, approved)| {
            let approved = approved.as_ref().map(|all| all.iter().map(|it| it.deliver(None)).collect());
            (name.clone(), answer(approved))
        });
        outcome(&answers.collect())
    }

    fn apply(mut plan: Plan, _predicted: Outcome) -> Result<Outcome> {
        let hosts = std::mem::take(&mut plan.hosts);
        let anything = hosts.values().flatten().any(|approved| !approved.is_empty());
        let signer = anything.then(|| plan.signer()).transpose()?;
        let mut answers = BTreeMap::new();
        let mut records = Vec::new();
        for (name, approved) in hosts {
            let done = approved.and_then(|approved| {
                let sign = |it| Some(signer.as_ref()?.sign(it, &plan.policy));
                approved.iter().filter_map(sign).collect::<Result<Vec<_>>>()
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

/// The CA at work.
struct Signer {
    authority: Authority,
    tail: String,
    now: OffsetDateTime,
}

impl Plan {
    fn signer(&self) -> Result<Signer> {
        self.store.refuse_expired(OffsetDateTime::now_utc())?;
        let authority = self.store.authority(&self.store.state()?.active, &self.vault)?;
        Ok(Signer { authority, tail: self.store.chain_tail()?, now: whole_second(OffsetDateTime::now_utc()) })
    }
}

impl Signer {
    fn sign(&self, approved: &Approved, policy: &Policy) -> Result<(Delivery, Issued)> {
        let public_key = approved.public_key.as_deref().context("the request holds no CSR")?;
        let ca = self.authority.certificate();
        let validity = Validity {
            not_before: self.now - policy.backdate,
            not_after: (self.now + policy.lifetime).min(ca.not_after),
        };
        let leaf = self.authority.issue(public_key, &approved.names, approved.usage, validity, serial()?)?;
        let read = read_one(&leaf)?;
        let addresses = read.addresses.iter().map(ToString::to_string);
        let issued = Issued {
            serial: read.serial,
            issuer: ca.key_id.clone().unwrap_or_default(),
            host: approved.host.clone(),
            service: approved.service.clone(),
            credential: approved.request.credential.clone(),
            side: approved.request.side,
            names: read.dns.iter().cloned().chain(addresses).collect(),
            not_before: read.not_before,
            not_after: read.not_after,
            key: csr::fingerprint(public_key),
        };
        Ok((approved.deliver(Some(leaf + &self.tail)), issued))
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
    let changed = hosts.values().any(|it| !it.certificates.is_empty());
    Outcome::new(changed).with_warnings(warnings).with("hosts", hosts)
}
