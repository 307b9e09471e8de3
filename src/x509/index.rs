//! The index of issued certificates: one JSON record a line, appended and on the disk before a
//! certificate leaves the control node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::service::Side;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A certificate was signed.
    Issued(Issued),
    /// A certificate is not to be accepted any more.
    Revoked(Revoked),
}

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// Serial number in hexadecimal digits.
    pub serial: String,
    /// Key identifier of the CA.
    pub issuer: String,
    /// For which host.
    pub host: String,
    /// For which service.
    pub service: String,
    /// Of which credential.
    pub credential: String,
    /// Client or server.
    pub side: Side,
    /// DNS names and addresses.
    pub names: BTreeSet<String>,
    /// First moment of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// SHA-256 of the public key, in hexadecimal digits.
    pub key: String,
}

/// A certificate that is not to be accepted any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its serial number.
    pub serial: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Why, for a person.
    pub reason: String,
}

/// All records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    records: Vec<Record>,
}

impl Index {
    /// Reads the index; where there is no file, an empty one. A last line without its end was cut off
    /// by a crash before its certificate left: it counts for nothing.
    ///
    /// # Errors
    /// It cannot be read, or another line is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let records = whole.lines().enumerate().map(|(at, line)| {
            serde_json::from_str(line).with_context(|| {
                format!(
                    "{}:{}: the record is damaged; restore the file from a backup",
                    path.display(),
                    at + 1
                )
            })
        });
        Ok(Self { records: records.collect::<Result<_>>()? })
    }

    /// Appends records; they are on the disk when this returns. The caller holds the lock.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn append(&mut self, path: &Path, records: Vec<Record>) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if records.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for record in &records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let write = || -> Result<()> {
            let new = !path.exists();
            let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
            let text = fs::read(path)?;
            let whole = text.iter().rposition(|it| *it == b'\n').map_or(0, |end| end + 1);
            file.set_len(u64::try_from(whole)?)?;
            file.write_all(&lines)?;
            file.sync_all()?;
            if new && let Some(directory) = path.parent() {
                crate::ansible::files::sync_directory(directory)?;
            }
            Ok(())
        };
        write().with_context(|| format!("cannot record issued certificates in {}", path.display()))?;
        self.records.extend(records);
        Ok(())
    }

    /// Every certificate that was signed, oldest first.
    #[must_use]
    pub fn issued(&self) -> impl DoubleEndedIterator<Item = &Issued> {
        self.records.iter().filter_map(|it| match it {
            Record::Issued(issued) => Some(issued),
            Record::Revoked(_) => None,
        })
    }

    /// The last certificate of each host, credential and side, revoked or not.
    pub fn current(&self) -> impl Iterator<Item = &Issued> {
        let key = |it: &'_ Issued| (it.host.clone(), it.credential.clone(), it.side);
        let last: BTreeMap<_, _> = self.issued().map(|it| (key(it), it)).collect();
        last.into_values()
    }

    /// Every revocation, oldest first.
    pub fn revoked(&self) -> impl Iterator<Item = &Revoked> {
        self.records.iter().filter_map(|it| match it {
            Record::Revoked(revoked) => Some(revoked),
            Record::Issued(_) => None,
        })
    }

    /// Serial numbers of revoked certificates.
    #[must_use]
    pub fn revoked_serials(&self) -> BTreeSet<&str> {
        self.revoked().map(|it| it.serial.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn revoked(serial: &str) -> Record {
        Record::Revoked(Revoked {
            serial: serial.into(),
            at: datetime!(2026-01-01 0:00 UTC),
            reason: "x".into(),
        })
    }

    #[test]
    fn a_line_that_was_cut_off_counts_for_nothing_and_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issued.jsonl");
        let mut index = Index::read(&path).unwrap();
        index.append(&path, vec![revoked("01")]).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for cut in ["{", "{\"revoked\":{\"serial\":\"02\"", "nonsense"] {
            fs::write(&path, format!("{whole}{cut}")).unwrap();
            let mut index = Index::read(&path).unwrap();
            assert_eq!(index.revoked_serials().len(), 1, "{cut}");
            index.append(&path, vec![revoked("03")]).unwrap();
            assert_eq!(Index::read(&path).unwrap(), index, "{cut}");
            assert_eq!(index.revoked_serials().into_iter().collect::<Vec<_>>(), ["01", "03"]);
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issued.jsonl");
        Index::default().append(&path, vec![revoked("01")]).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}nonsense\n{whole}")).unwrap();
        let error = Index::read(&path).unwrap_err().to_string();
        assert!(error.contains("issued.jsonl:2: the record is damaged"), "{error}");
    }
}
