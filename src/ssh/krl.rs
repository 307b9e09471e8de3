//! Key revocation lists as sshd loads them (`PROTOCOL.krl` of OpenSSH): keys that never open anything
//! again, and certificates by their serial numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, bail};

use super::{
    key::PublicKey,
    wire::{Reader, Writer},
};
use crate::system::files::read;

const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
const CERTIFICATES: u8 = 1;
const KEYS: u8 = 2;
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RevocationList {
    /// Grows with every change.
    pub version: u64,
    /// When it was made, in seconds since 1970.
    pub generated: u64,
    /// Keys, as SSH sends them.
    pub keys: BTreeSet<Vec<u8>>,
    /// Serial numbers by the key of the CA that signed them.
    pub certificates: BTreeMap<Vec<u8>, BTreeSet<u64>>,
}

impl RevocationList {
    /// Whether this very key is revoked.
    pub fn has(&self, key: &PublicKey) -> bool {
        self.keys.contains(key.blob())
    }

    /// Whether another list revokes nothing else.
    pub fn revokes_as(&self, other: &Self) -> bool {
        self.keys == other.keys && self.certificates == other.certificates
    }

    /// The file's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut file = Writer::default()
            .raw(MAGIC)
            .number(FORMAT)
            .long(self.version)
            .long(self.generated)
            .long(0)
            .string("")
            .string("minicluster");
        for (authority, serials) in self.certificates.iter().filter(|(_, it)| !it.is_empty()) {
            let list = serials.iter().fold(Writer::default(), |list, it| list.long(*it));
            let section =
                Writer::default().string(authority).string("").byte(SERIAL_LIST).string(list.finish());
            file = file.byte(CERTIFICATES).string(section.finish());
        }
        if !self.keys.is_empty() {
            let section = self.keys.iter().fold(Writer::default(), Writer::string);
            file = file.byte(KEYS).string(section.finish());
        }
        file.public()
    }

    /// The list as it lies there; none where there is no file.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let list = read(path)?.map(|it| Self::from_bytes(&it)).transpose();
        list.with_context(|| format!("cannot use {}", path.display()))
    }

    /// Reads a list that this program wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut file = Reader(bytes);
        file.expect(MAGIC).context("this is no revocation list of OpenSSH")?;
        if file.number()? != FORMAT {
            bail!("this revocation list is of a newer format");
        }
        let mut list = Self { version: file.long()?, generated: file.long()?, ..Self::default() };
        let (_flags, _reserved, _comment) = (file.long()?, file.string()?, file.string()?);
        while !file.is_empty() {
            let (kind, content) = (file.byte()?, file.string()?);
            let mut section = Reader(content);
            match kind {
                CERTIFICATES => list.read_certificates(&mut section)?,
                KEYS => {
                    while !section.is_empty() {
                        list.keys.insert(section.string()?.to_vec());
                    }
                }
                _ => bail!("this revocation list has sections of another program: merge the two by hand"),
            }
        }
        Ok(list)
    }

    /// ssh-keygen writes single numbers as a list and neighbours as a range.
    fn read_certificates(&mut self, section: &mut Reader) -> Result<()> {
        let authority = section.string()?.to_vec();
        section.string()?;
        let serials = self.certificates.entry(authority).or_default();
        while !section.is_empty() {
            let (kind, content) = (section.byte()?, section.string()?);
            let mut numbers = Reader(content);
            match kind {
                SERIAL_LIST => {
                    while !numbers.is_empty() {
                        serials.insert(numbers.long()?);
                    }
                }
                SERIAL_RANGE => match (numbers.long()?, numbers.long()?) {
                    (first, last) if last.saturating_sub(first) < 1_000_000 => serials.extend(first..=last),
                    _ => bail!("this revocation list has a range of serial numbers of another program"),
                },
                _ => bail!("this revocation list has sections of another program: merge the two by hand"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let list = RevocationList {
            version: 3,
            generated: 5,
            keys: [b"one".to_vec(), b"two".to_vec()].into(),
            certificates: [(b"authority".to_vec(), [1, u64::MAX].into())].into(),
        };
        let bytes = list.to_bytes();
        assert_eq!(RevocationList::from_bytes(&bytes).unwrap(), list);
        for end in 0..bytes.len() {
            // A list that was cut between two sections is one; nothing else is.
            let cut = RevocationList::from_bytes(&bytes[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|it| !it.revokes_as(&list)), "{end}");
        }
    }
}
