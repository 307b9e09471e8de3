//! Revocation lists: which serial numbers are not to be accepted any more.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, SubjectPublicKeyInfo};

use super::{certificate::Certificate, index::Revoked, issue::Authority};
use crate::text::hex;

/// A list as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Crl {
    /// Key identifier of the CA that signed it.
    pub issuer_key_id: Option<String>,
    /// When it must be replaced.
    pub next_update: Option<OffsetDateTime>,
    /// When it was made.
    pub this_update: OffsetDateTime,
    /// Revoked serial numbers in hexadecimal digits.
    pub serials: BTreeSet<String>,
    /// It grows from list to list.
    pub number: Option<u64>,
    der: Vec<u8>,
}

impl Crl {
    /// Whether the key of `issuer`, a CA, signed this.
    pub fn is_signed_by(&self, issuer: &Certificate) -> bool {
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else { return false };
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(&issuer.public_key) else { return false };
        list.verify_signature(&key).is_ok()
    }
}

/// The highest number of these lists.
pub fn number(lists: &[Crl]) -> Option<u64> {
    lists.iter().filter_map(|it| it.number).max()
}

/// The lists of a PEM text, in its order.
pub fn read_all(pem: &str) -> Result<Vec<Crl>> {
    CertificateRevocationListDer::pem_slice_iter(pem.as_bytes())
        .map(|der| {
            let der = der.ok().context("a revocation list's PEM is damaged")?;
            let (_, list) =
                CertificateRevocationList::from_der(&der).ok().context("not a revocation list")?;
            let issuer = list.extensions().iter().find_map(|it| match it.parsed_extension() {
                x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
                    id.key_identifier.as_ref().map(|it| hex::encode(it.0))
                }
                _ => None,
            });
            Ok(Crl {
                issuer_key_id: issuer,
                next_update: list.next_update().map(|it| it.to_datetime()),
                this_update: list.last_update().to_datetime(),
                serials: list
                    .iter_revoked_certificates()
                    .map(|it| hex::encode(&it.serial().to_bytes_be()))
                    .collect(),
                number: list.crl_number().and_then(|it| u64::try_from(it).ok()),
                der: der.to_vec(),
            })
        })
        .collect()
}

/// A list of all `revoked` serial numbers in PEM, whichever CA of the cluster issued them: some
/// programs read only the first list of a file. `number` is higher than that of every list before.
pub fn make<'a>(
    authority: &Authority,
    revoked: impl IntoIterator<Item = &'a Revoked>,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
    number: u64,
) -> Result<String> {
    let revoked_certs = revoked.into_iter().map(|it| {
        let serial = hex::decode(&it.serial).context("a serial number in the index is damaged")?;
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: it.at,
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: None,
        })
    });
    let parameters = CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect::<Result<_>>()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    parameters
        .signed_by(authority.issuer())
        .context("cannot sign a revocation list")?
        .pem()
        .context("cannot write it")
}
