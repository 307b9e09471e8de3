//! Certificate requests as the control node reads them: proof that somebody holds a private key, and
//! nothing else. Names, usages and extensions that a request asks for are not even looked at.

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

use super::key::KeyType;
use crate::text::hex;

/// DER of the algorithm identifiers, RFC 5480 and RFC 8410.
const ECDSA_P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// SHA-256 of a public key, in hexadecimal digits: how the index knows it.
pub fn fingerprint(public_key: &[u8]) -> String {
    hex::encode(digest(&SHA256, public_key).as_ref())
}

/// The public key (DER `SubjectPublicKeyInfo`) of a request in PEM whose signature proves that the
/// sender has the private one.
pub fn public_key(pem: &str, kind: KeyType) -> Result<Vec<u8>> {
    let der =
        CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).ok().context("is not a CSR in PEM")?;
    let (rest, request) = X509CertificationRequest::from_der(&der).ok().context("is not a CSR")?;
    if !rest.is_empty() {
        bail!("has something behind the CSR");
    }
    request.verify_signature().ok().context("has a wrong signature")?;
    let key = request.certification_request_info.subject_pki.raw;
    let (name, algorithm) = match kind {
        KeyType::EcdsaP256 => ("ecdsa_p256", ECDSA_P256),
        KeyType::Ed25519 => ("ed25519", ED25519),
    };
    // SEQUENCE, one byte of length for keys this short, then the algorithm.
    if key.get(2..2 + algorithm.len()) != Some(algorithm) {
        bail!("is for another type of key than {name}");
    }
    Ok(key.to_vec())
}
