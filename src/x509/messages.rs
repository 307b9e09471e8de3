//! What the modules tell each other through Ansible: requests, certificates, refusals.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{rollover::Standing, service::Side};

/// What becomes of the private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    /// The certificate is replaced, the key stays.
    Keep,
    /// A new key replaces the one in use together with its certificate.
    New,
}

/// A certificate that a host asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// Of which credential.
    pub credential: String,
    /// Client or server.
    pub side: Side,
    /// Why.
    pub reason: String,
    /// What becomes of the private key.
    pub key: KeyAction,
    /// The request in PEM; none in check mode, where no key is made.
    #[serde(default)]
    pub csr: Option<String>,
}

/// What `x509_request` reports of a host, as the control node reads it. Everything in it is a claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// What it asks for.
    pub requests: Vec<CertificateRequest>,
    /// What it trusts and holds.
    #[serde(flatten)]
    pub standing: Standing,
    /// What its variables say of the whole cluster.
    pub settings: Map<String, Value>,
    /// Addresses that it has, where these are asked for.
    pub reported_addresses: Vec<IpAddr>,
    /// The certificates that it holds, where these are asked for.
    pub held: Vec<Held>,
    /// The revocation lists that it holds, where these are asked for or newer than those of the control node.
    pub crl: Option<String>,
}

/// A certificate that a host holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Of which credential.
    pub credential: String,
    /// Client or server.
    pub side: Side,
    /// The leaf in PEM.
    pub certificate: String,
}

/// Reports by host.
pub type Reports = crate::module::Reports<Report>;

/// A certificate that was issued, on its way to the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Of which credential.
    pub credential: String,
    /// Client or server.
    pub side: Side,
    /// Why it was issued.
    pub reason: String,
    /// What becomes of the private key.
    pub key: KeyAction,
    /// The leaf, then intermediates, in PEM; none in check mode.
    #[serde(default)]
    pub chain: Option<String>,
}

/// What `x509_sign` returns for a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its certificates.
    pub certificates: Vec<Delivery>,
    /// Why it gets none.
    pub refused: Vec<String>,
}
