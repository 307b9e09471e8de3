//! Certificates as they are read: what they say, who signed them, whether a chain holds.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context, Result, bail};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509Version};

use super::service::Usage;
use crate::text::hex;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    der: Vec<u8>,
    /// In hexadecimal digits.
    pub serial: String,
    /// The subject's common name.
    pub common_name: String,
    /// `subject_key_identifier`, in hexadecimal digits; a CA has one.
    pub key_id: Option<String>,
    /// `authority_key_identifier`, in hexadecimal digits: the key that signed it.
    pub issuer_key_id: Option<String>,
    /// First moment of validity.
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    pub not_after: OffsetDateTime,
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// `extended_key_usage`, where it is one that is issued here.
    pub usage: Option<Usage>,
    /// Whether it may issue certificates.
    pub is_ca: bool,
    /// DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

/// The certificates of a PEM text, in its order; other blocks are passed over.
pub fn read_all(pem: &str) -> Result<Vec<Certificate>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| Certificate::read(&der.ok().context("a certificate's PEM is damaged")?))
        .collect()
}

impl Certificate {
    /// Reads DER.
    pub fn read(der: &[u8]) -> Result<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok().context("not a certificate")?;
        if !rest.is_empty() || parsed.version() != X509Version::V3 {
            bail!("not a certificate of version 3");
        }
        let moment = |it: x509_parser::time::ASN1Time| it.to_datetime();
        let common_name = parsed.subject().iter_common_name().next().and_then(|it| it.as_str().ok());
        let mut found = Self {
            der: der.to_vec(),
            serial: hex::encode(&parsed.tbs_certificate.serial.to_bytes_be()),
            common_name: common_name.unwrap_or_default().to_owned(),
            key_id: None,
            issuer_key_id: None,
            not_before: moment(parsed.validity().not_before),
            not_after: moment(parsed.validity().not_after),
            dns: BTreeSet::new(),
            addresses: BTreeSet::new(),
            usage: None,
            is_ca: parsed.is_ca(),
            public_key: parsed.public_key().raw.to_vec(),
        };
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => found.key_id = Some(hex::encode(id.0)),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    found.issuer_key_id = id.key_identifier.as_ref().map(|it| hex::encode(it.0));
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    found.usage = match (usage.client_auth, usage.server_auth) {
                        (true, false) => Some(Usage::Client),
                        (false, true) => Some(Usage::Server),
                        (true, true) => Some(Usage::Both),
                        (false, false) => None,
                    };
                }
                ParsedExtension::SubjectAlternativeName(names) => {
                    names.general_names.iter().for_each(|it| found.name(it));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => {
                self.dns.insert((*name).to_owned());
            }
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                self.addresses.extend(four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok());
            }
            _ => {}
        }
    }

    /// Whether the key of `issuer`, a CA, signed this.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let read = |der| X509Certificate::from_der(der).ok().map(|(_, it)| it);
        let (Some(this), Some(other)) = (read(&self.der), read(&issuer.der)) else { return false };
        issuer.is_ca
            && this.issuer() == other.subject()
            && this.verify_signature(Some(other.public_key())).is_ok()
    }

    /// Whether the subject and issuer are one, signed with its own key.
    pub fn is_anchor(&self) -> bool {
        self.is_signed_by(self)
    }

    /// Whether `now` is within the validity.
    pub fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// Whether `chain`, a leaf and then intermediates, leads to one of the `anchors`, all valid at `now`.
pub fn verify(chain: &[Certificate], anchors: &[Certificate], now: OffsetDateTime) -> Result<()> {
    let Some((leaf, intermediates)) = chain.split_first() else { bail!("there is no certificate") };
    let mut current = leaf;
    for step in 0..=intermediates.len() {
        if !current.is_valid_at(now) {
            bail!(
                "certificate '{}' is valid from {} to {}: is this host's clock right?",
                current.common_name,
                current.not_before,
                current.not_after
            );
        }
        if anchors.iter().any(|it| it.is_valid_at(now) && current.is_signed_by(it)) {
            return Ok(());
        }
        match intermediates.get(step) {
            Some(next) if current.is_signed_by(next) => current = next,
            _ => break,
        }
    }
    bail!("certificate '{}' does not lead to a trust anchor of this cluster", leaf.common_name)
}
