//! The module `x509_request`: what a host's certificates need, and requests for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{
    addresses::{self, Network},
    certificate::{self, Certificate},
    crl,
    examine::{Found, Need, Want, examine},
    group,
    key::{KeyType, PrivateKey},
    layout::Layout,
    messages::{CertificateRequest, Held, KeyAction},
    names::Host,
    policy::Policy,
    service::{Services, Wanted, units, wanted},
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    node::Records,
    system::{
        Secret, fault,
        files::{self, Attributes, File},
    },
};

crate::arguments! {
    /// Options of `x509_request`.
    pub struct Params {
        /// The host's name in the inventory.
        pub host: String => Argument::str().required(),
        /// The cluster's internal domain.
        pub domain: String => Argument::str().required(),
        /// Metadata of the services that run on this host, by name.
        pub services: Services => Argument::dict().required(),
        /// The address by which Ansible reaches the host; a name is passed over.
        pub ansible_host: Option<String> => Argument::str(),
        /// The host's further addresses.
        pub addresses: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Whether addresses that this host has inside `cluster_networks` enter its certificates too.
        pub report_addresses: bool => Argument::bool().default(false),
        /// Networks in which hosts of the cluster may have addresses.
        pub cluster_networks: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Where credentials lie.
        pub directory: PathBuf => Argument::path().default("/etc/credentials"),
        /// Where the host's ledger lies.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
        /// The cluster's trust anchors in PEM, the CA that signs first; empty while there is none.
        pub trust_anchors: String => Argument::str().default(""),
        /// The cluster's revocation lists in PEM.
        pub crl: String => Argument::str().default(""),
        /// Whether to report all certificates and revocation lists that the host holds: to check or rebuild the index with.
        pub evidence: bool => Argument::bool().default(false),
        /// How long a certificate is valid from its issue.
        pub lifetime: String => Argument::str().default("365d"),
        /// How long before its issue a certificate is valid already.
        pub backdate: String => Argument::str().default("1h"),
        /// A certificate is renewed when this part of its lifetime is left.
        pub renew_fraction: f64 => Argument::float().default(0.333),
        /// What this host's variables say of the whole cluster; returned, for `x509_sign` to compare.
        pub settings: Map<String, Value> => Argument::dict().default(json!({})),
        /// The type of new private keys.
        pub key_type: KeyType => Argument::str().default("ecdsa_p256").choices(KeyType::CHOICES),
    }
}

/// The module.
pub struct X509Request;

/// What was found, and what is asked for.
pub struct Plan {
    host: String,
    layout: Layout,
    policy: Policy,
    asked: Vec<Asked>,
    groups: BTreeMap<String, String>,
    anchors: BTreeSet<String>,
    issuers: BTreeSet<String>,
    restarts_owed: bool,
    reported: BTreeSet<IpAddr>,
    held: Vec<Held>,
    crl: Option<String>,
    settings: Map<String, Value>,
}

struct Asked {
    wanted: Wanted,
    need: Need,
    key: Option<PrivateKey>,
}

impl Module for X509Request {
    const NAME: &'static str = "x509_request";
    const ABOUT: &'static str =
        "Decide for every certificate of this host whether it must be issued, and ask for it";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        look(&params, OffsetDateTime::now_utc())
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        plan.outcome(&plan.asked.iter().map(|it| it.request(None)).collect::<Vec<_>>())
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        let pending = plan.layout.pending();
        if plan.asked.is_empty() && !pending.exists() {
            return Ok(predicted);
        }
        let _lock = plan.layout.lock()?;
        crate::system::files::remove(&pending)?;
        fault::point("x509_request:purged");
        let mut requests = Vec::new();
        for asked in &plan.asked {
            let made;
            let key = if let Some(key) = &asked.key {
                key
            } else {
                made = plan.make_key(asked)?;
                &made
            };
            let csr = key.request(&format!("{}@{}", asked.wanted.service, plan.host))?;
            requests.push(asked.request(Some(csr)));
        }
        Ok(plan.outcome(&requests))
    }
}

impl Plan {
    /// Makes a key beside the one in use, readable by root alone.
    fn make_key(&self, asked: &Asked) -> Result<PrivateKey> {
        let key = PrivateKey::generate(self.policy.key_type)?;
        let folder = self.layout.staged(&asked.wanted.credential, asked.wanted.side);
        self.layout.make_pending(&folder)?;
        fault::point("x509_request:folder");
        let path = folder.join("private_key.pem");
        File::secret(path, key.to_pem(), Attributes::mode(0o600)).plan()?.apply()?;
        fault::point("x509_request:key");
        Ok(key)
    }

    fn outcome(&self, requests: &[CertificateRequest]) -> Outcome {
        Outcome::new(!requests.is_empty())
            .with("requests", requests)
            .with("groups", &self.groups)
            .with("anchors", &self.anchors)
            .with("issuers", &self.issuers)
            .with("restarts_owed", self.restarts_owed)
            .with("reported_addresses", &self.reported)
            .with("settings", &self.settings)
            .with("held", &self.held)
            .with("crl", &self.crl)
    }
}

impl Asked {
    fn request(&self, csr: Option<String>) -> CertificateRequest {
        CertificateRequest {
            credential: self.wanted.credential.clone(),
            side: self.wanted.side,
            reason: self.need.reason.clone(),
            key: self.need.key,
            csr,
        }
    }
}

fn look(params: &Params, now: OffsetDateTime) -> Result<Plan> {
    let policy = Policy::new(&params.lifetime, &params.backdate, params.renew_fraction, params.key_type)?;
    let mut host =
        Host::new(&params.host, &params.domain, params.ansible_host.as_deref(), &params.addresses)?;
    let networks: Vec<_> =
        params.cluster_networks.iter().map(|it| Network::parse(it)).collect::<Result<_>>()?;
    let reported = if params.report_addresses { addresses::own(&networks)? } else { BTreeSet::new() };
    host.addresses.extend(&reported);
    let layout = Layout::new(&params.directory);
    let trusted = certificate::read_all(&params.trust_anchors).context("option 'trust_anchors'")?;
    let lists = crl::read_all(&params.crl).context("option 'crl'")?;
    let held_lists = files::read(&layout.crl())?.map(|it| String::from_utf8_lossy(&it).into_owned());
    let newer = |it: &String| {
        let held = crl::read_all(it).unwrap_or_default();
        params.evidence || crl::number(&held) > crl::number(&lists)
    };
    let held_lists = held_lists.filter(newer);
    let revoked: BTreeSet<String> = lists.into_iter().flat_map(|it| it.serials).collect();
    let wanted = wanted(&params.services)?;
    let mut plan = Plan {
        host: params.host.clone(),
        policy,
        asked: Vec::new(),
        groups: wanted.iter().map(|it| (it.credential.clone(), group::name(&it.credential))).collect(),
        anchors: anchors(&layout.anchors())?,
        issuers: BTreeSet::new(),
        restarts_owed: owed(&params.ledger, &params.services)?,
        layout,
        reported,
        held: Vec::new(),
        crl: held_lists,
        settings: params.settings.clone(),
    };
    for wanted in wanted {
        let folder = plan.layout.live(&wanted.credential, wanted.side);
        let key = found(&folder.join("private_key.pem"), |it| PrivateKey::from_pem(&Secret::new(it)))?;
        let text = files::read(&folder.join("cert.pem"))?.map(|it| String::from_utf8_lossy(&it).into_owned());
        let chain = text.as_deref().map(certificate::read_all);
        if let Some(Ok(chain)) = &chain {
            plan.issuers.extend(chain.first().and_then(|it| it.issuer_key_id.clone()));
        }
        if let Some(text) = text.filter(|_| params.evidence) {
            let end = text.find("-----END CERTIFICATE-----\n").map_or(text.len(), |at| at + 26);
            let (credential, side) = (wanted.credential.clone(), wanted.side);
            plan.held.push(Held { credential, side, certificate: text[..end].into() });
        }
        let want = Want {
            names: &host.names(&wanted)?,
            usage: wanted.usage,
            policy: &policy,
            issuer: trusted.first(),
            revoked: &revoked,
        };
        if let Some(need) = examine(&key, &chain, &want, now) {
            let key = key.and_then(Result::ok).filter(|_| need.key == KeyAction::Keep);
            plan.asked.push(Asked { wanted, need, key });
        }
    }
    Ok(plan)
}

/// Reads a file and what is in it. Only a file that is there and cannot be opened is an error here.
fn found<T>(path: &Path, read: impl FnOnce(Vec<u8>) -> Result<T>) -> Result<Found<T>> {
    Ok(files::read(path)?.map(read))
}

/// Key identifiers of the CAs that the host trusts. A damaged file trusts nobody.
fn anchors(path: &Path) -> Result<BTreeSet<String>> {
    let read = |it: Vec<u8>| certificate::read_all(&String::from_utf8_lossy(&it));
    let all: Vec<Certificate> = found(path, read)?.and_then(Result::ok).unwrap_or_default();
    Ok(all.into_iter().filter_map(|it| it.key_id).collect())
}

/// Whether a unit that uses one of these credentials still has to be restarted.
fn owed(ledger: &Path, services: &Services) -> Result<bool> {
    let records = Records::read(ledger)?;
    let with_credentials = services.iter().filter(|(_, it)| !it.service_credentials.is_empty());
    Ok(with_credentials
        .flat_map(|(name, _)| units(name, services, &records))
        .any(|unit| records.restarts.contains_key(unit)))
}
