//! Private keys: made, read, compared by their public half; never shown.

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::system::{Secret, random};

/// Kinds of keys. RSA is read where it lies, never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// ECDSA on P-256.
    EcdsaP256,
    /// Ed25519.
    Ed25519,
}

impl KeyType {
    /// The names of the kinds that can be made, as an option's choices.
    pub const CHOICES: &'static [&'static str] = &["ecdsa_p256", "ed25519"];
}

/// A private key. It has no `Debug` and no `Serialize`.
pub struct PrivateKey(KeyPair);

impl PrivateKey {
    /// Makes one from the system's randomness.
    pub fn generate(kind: KeyType) -> Result<Self> {
        let key = match kind {
            KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyType::Ed25519 => KeyPair::try_from(&PrivatePkcs8KeyDer::from(ed25519()?.as_slice())),
        };
        Ok(Self(key.ok().context("cannot make a private key")?))
    }

    /// Reads PKCS#8 in PEM.
    pub fn from_pem(pem: &Secret) -> Result<Self> {
        let text = std::str::from_utf8(pem.expose()).ok().context("the private key is not text")?;
        let key = KeyPair::from_pem(text)
            .ok()
            .context("the private key is not an unencrypted PKCS#8 key in PEM ('BEGIN PRIVATE KEY')")?;
        Ok(Self(key))
    }

    /// PKCS#8 in PEM.
    pub fn to_pem(&self) -> Secret {
        Secret::new(self.0.serialize_pem())
    }

    /// The public half as a DER `SubjectPublicKeyInfo`.
    pub fn public_key(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// Which kind it is, unless it is one that this library does not make.
    pub fn kind(&self) -> Option<KeyType> {
        let algorithm = self.0.algorithm();
        if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
            Some(KeyType::EcdsaP256)
        } else if algorithm == &rcgen::PKCS_ED25519 {
            Some(KeyType::Ed25519)
        } else {
            None
        }
    }

    /// A request for a certificate, in PEM. It asks for nothing but a subject that a person can read:
    /// names and usages are the control node's to decide.
    pub fn request(&self, common_name: &str) -> Result<String> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, common_name);
        let request = parameters.serialize_request(&self.0).context("cannot sign a certificate request")?;
        request.pem().context("cannot write a certificate request")
    }

    /// For the one place that signs certificates.
    pub(super) const fn signer(&self) -> &KeyPair {
        &self.0
    }

    /// The same, for keeps.
    pub(super) fn into_signer(self) -> KeyPair {
        self.0
    }
}

/// A new Ed25519 key in the first version of PKCS#8 (RFC 8410, section 7). ring's own generator writes
/// the second version, which OpenSSL 3.0 does not read.
fn ed25519() -> Result<Zeroizing<Vec<u8>>> {
    let mut der = Zeroizing::new(vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]);
    let head = der.len();
    der.resize(head + 32, 0);
    random::fill(&mut der[head..])?;
    Ok(der)
}
