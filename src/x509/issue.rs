//! Signing: the one place that makes certificates. Every field is set here; rcgen's defaults (a
//! validity of two thousand years, a serial number that repeats with the key) never leave it.

use anyhow::{Context, Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

use super::{
    certificate::{self, Certificate},
    key::PrivateKey,
    names::Names,
    service::Usage,
};

/// 127 random bits and a leading zero one: positive, and never longer than 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial([u8; 16]);

impl Serial {
    /// Makes a serial number of random bytes.
    pub const fn new(mut random: [u8; 16]) -> Self {
        random[0] &= 0x7f;
        // DER drops leading zeros; a first byte that is not zero keeps the length, and so the text, fixed.
        random[0] |= 0x40;
        Self(random)
    }

    fn number(self) -> SerialNumber {
        SerialNumber::from_slice(&self.0)
    }
}

/// First and last moment of a certificate, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validity {
    /// First moment.
    pub not_before: OffsetDateTime,
    /// Last moment.
    pub not_after: OffsetDateTime,
}

/// A CA that can sign: its certificate and the key that belongs to it.
pub struct Authority {
    certificate: Certificate,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Puts certificate and key together.
    pub fn new(pem: &str, key: PrivateKey) -> Result<Self> {
        let [certificate] =
            certificate::read_all(pem)?.try_into().ok().context("not exactly one certificate")?;
        if !certificate.is_ca {
            bail!("certificate '{}' is not a CA's", certificate.common_name);
        }
        // rcgen would sign with any key.
        if certificate.public_key != key.public_key() {
            bail!("the private key does not belong to the certificate '{}'", certificate.common_name);
        }
        let issuer =
            Issuer::from_ca_cert_pem(pem, key.into_signer()).context("cannot use the CA's certificate")?;
        Ok(Self { certificate, pem: pem.to_owned(), issuer })
    }

    /// Makes a CA's self-signed certificate.
    pub fn found(common_name: &str, key: PrivateKey, validity: Validity, serial: Serial) -> Result<Self> {
        let certificate = parameters(common_name, validity, serial, Role::Ca { intermediates: 1 })
            .self_signed(key.signer())?;
        Self::new(&certificate.pem(), key)
    }

    /// Its certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for another CA's name and key: who trusts this CA accepts what that one signs.
    pub fn cross_sign(&self, other: &Self, validity: Validity, serial: Serial) -> Result<String> {
        let parameters =
            parameters(&other.certificate.common_name, validity, serial, Role::Ca { intermediates: 0 });
        self.sign(&parameters, &other.certificate.public_key)
    }

    /// A leaf for `public_key` (DER `SubjectPublicKeyInfo`).
    pub fn issue(
        &self,
        public_key: &[u8],
        names: &Names,
        usage: Usage,
        validity: Validity,
        serial: Serial,
    ) -> Result<String> {
        if !self.certificate.is_valid_at(validity.not_after) {
            bail!("the CA '{}' expires at {}", self.certificate.common_name, self.certificate.not_after);
        }
        let mut parameters = parameters(&names.common_name, validity, serial, Role::Leaf);
        for name in &names.dns {
            parameters.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        parameters.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
        parameters.extended_key_usages = match usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        self.sign(&parameters, public_key)
    }

    fn sign(&self, parameters: &CertificateParams, public_key: &[u8]) -> Result<String> {
        let key =
            SubjectPublicKeyInfo::from_der(public_key).context("keys of this kind cannot be certified")?;
        Ok(parameters.signed_by(&key, &self.issuer).context("cannot sign")?.pem())
    }

    /// For signing revocation lists.
    pub(super) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

/// What a certificate is in a chain.
#[derive(Clone, Copy)]
enum Role {
    Leaf,
    /// So many further CAs may follow it: one, for the cross-certificate of a rollover.
    Ca {
        intermediates: u8,
    },
}

/// Everything that leaves and CAs have in common.
fn parameters(common_name: &str, validity: Validity, serial: Serial, role: Role) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = validity.not_before;
    parameters.not_after = validity.not_after;
    parameters.serial_number = Some(serial.number());
    parameters.use_authority_key_identifier_extension = true;
    if let Role::Ca { intermediates } = role {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(intermediates));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    parameters
}

/// The certificate in PEM as read back: what was really signed.
pub fn read_one(pem: &str) -> Result<Certificate> {
    let [one] = certificate::read_all(pem)?.try_into().ok().context("not exactly one certificate")?;
    Ok(one)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use time::{Duration, macros::datetime};

    use super::*;
    use crate::{system::Secret, x509::key::KeyType};

    const FROM: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn validity(days: i64) -> Validity {
        Validity { not_before: FROM, not_after: FROM + Duration::days(days) }
    }

    fn key() -> PrivateKey {
        PrivateKey::generate(KeyType::EcdsaP256).unwrap()
    }

    fn authority(days: i64) -> Authority {
        Authority::found("CA", key(), validity(days), Serial::new([7; 16])).unwrap()
    }

    fn leaf(authority: &Authority, key: &PrivateKey, days: i64, serial: u8) -> Result<String> {
        let names = Names { common_name: "a@b".into(), dns: BTreeSet::new(), addresses: BTreeSet::new() };
        authority.issue(&key.public_key(), &names, Usage::Client, validity(days), Serial::new([serial; 16]))
    }

    #[test]
    fn a_ca_signs_with_its_own_key_as_long_as_it_lives() {
        let (one, other) = (authority(100), authority(100));
        let Err(error) = Authority::new(one.pem(), key()) else { panic!("another's key signs") };
        assert!(error.to_string().contains("does not belong to the certificate"), "{error}");
        let both = format!("{}{}", one.pem(), other.pem());
        assert!(Authority::new(&both, key()).is_err());
        let error = leaf(&one, &key(), 101, 1).unwrap_err();
        assert!(error.to_string().contains("expires at 2026-04-11"), "{error}");
    }

    #[test]
    fn a_leaf_issues_nothing() {
        let (ca, key) = (authority(100), key());
        let pem = leaf(&ca, &key, 10, 1).unwrap();
        let leaf = read_one(&pem).unwrap();
        assert!(leaf.is_signed_by(ca.certificate()) && !ca.certificate().is_signed_by(&leaf));
        let Err(error) = Authority::new(&pem, key) else { panic!("a leaf signs") };
        assert!(error.to_string().contains("is not a CA's"), "{error}");
    }

    #[test]
    fn the_same_key_gets_another_serial_number() {
        let (ca, key) = (authority(100), key());
        let serial = |with| read_one(&leaf(&ca, &key, 10, with).unwrap()).unwrap().serial;
        assert_ne!(serial(1), serial(2));
        // Positive, and never shorter, whatever the bytes are.
        for bytes in [0x00, 0x80, 0xff] {
            let text = serial(bytes);
            assert!(text.len() == 32 && text.as_bytes()[0] < b'8', "{text}");
        }
    }

    #[test]
    fn keys_that_cannot_be_read_are_refused_without_being_shown() {
        for command in [
            "openssl ecparam -name prime256v1 -genkey -noout",
            "openssl genrsa -traditional 2048",
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:x",
            "openssl genpkey -algorithm X25519",
            "echo secret",
        ] {
            let made = Command::new("sh").args(["-ec", command]).output().unwrap();
            assert!(made.status.success(), "{command}: {made:?}");
            let Err(error) = PrivateKey::from_pem(&Secret::new(made.stdout)) else {
                panic!("{command} is read")
            };
            let said = format!("{error:#}");
            assert!(said.contains("not an unencrypted PKCS#8 key") && !said.contains("secret"), "{said}");
        }
    }
}
