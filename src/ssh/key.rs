//! A public key as a line of `authorized_keys` or of a `.pub` file holds it, and its fingerprint.

use std::{fmt, str::FromStr};

use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::wire::Reader;

/// A public key. Two are equal when they open the same doors, whatever their comments say.
#[derive(Clone)]
pub struct PublicKey {
    pub(super) blob: Vec<u8>,
    /// What stands behind it, for people.
    pub comment: String,
}

impl PublicKey {
    /// The key in these bytes, as SSH sends it.
    ///
    /// # Errors
    /// They do not begin with the name of a key type.
    pub fn from_blob(blob: &[u8], comment: &str) -> Result<Self> {
        let name = Reader(blob).text().context("this is no public key")?;
        if !is_key_type(name) {
            bail!("'{name}' is no type of key");
        }
        Ok(Self { blob: blob.to_vec(), comment: comment.into() })
    }

    /// The type: `ssh-ed25519`, say.
    #[must_use]
    pub fn kind(&self) -> &str {
        Reader(&self.blob).text().unwrap_or_default()
    }

    /// The bytes that SSH sends.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The 32 bytes of an Ed25519 key.
    #[must_use]
    pub fn ed25519(&self) -> Option<[u8; 32]> {
        let mut reader = Reader(&self.blob);
        (reader.text().ok()? == "ssh-ed25519").then(|| reader.string().ok()?.try_into().ok()).flatten()
    }

    /// `SHA256:…`, as ssh-keygen and sshd's log write it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.blob);
        format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest))
    }

    /// Fingerprint, type and comment, for a diff.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} {} {}", self.fingerprint(), self.kind(), self.comment).trim_end().into()
    }
}

/// Whether a word is the name of a key type, as it begins a line of `authorized_keys`.
#[must_use]
pub fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|it| word.starts_with(it))
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for PublicKey {}

impl FromStr for PublicKey {
    type Err = anyhow::Error;

    /// Reads `type base64 [comment]`.
    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.trim().splitn(3, [' ', '\t']);
        let (kind, encoded) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !is_key_type(kind) {
            bail!("this is no public key: it begins with none of ssh-…, ecdsa-sha2-…, sk-…");
        }
        let blob = BASE64_STANDARD_NO_PAD
            .decode(encoded.trim_end_matches('='))
            .ok()
            .with_context(|| format!("this is no public key: what follows {kind} is not base64"))?;
        let key = Self::from_blob(&blob, words.next().unwrap_or_default().trim())?;
        if key.kind() != kind {
            bail!("this public key says {kind} and is {}", key.kind());
        }
        Ok(key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.kind(), BASE64_STANDARD.encode(&self.blob))?;
        if self.comment.is_empty() { Ok(()) } else { write!(to, " {}", self.comment) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.describe())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = String::deserialize(deserializer)?;
        line.parse().map_err(|error| serde::de::Error::custom(format!("{error:#}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // Made by ssh-keygen, which also gave the fingerprint.
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO6muNyOxWojosm+3A2SZcbzB7lXe0xIhVqYMCl78k2/ two words";

    #[test]
    fn a_line_is_read_and_written() {
        let key: PublicKey = LINE.parse().unwrap();
        assert_eq!((key.kind(), key.comment.as_str()), ("ssh-ed25519", "two words"));
        assert_eq!(key.to_string(), LINE);
        assert_eq!(key.fingerprint(), "SHA256:EaMsGN+8r1MsUGKSIAICT54p6hFqyLRomq+z3+6i20M");
        assert!(key.ed25519().is_some());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for line in
            ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5", "command=x ssh-ed25519 A"]
        {
            assert!(line.parse::<PublicKey>().is_err(), "{line}");
        }
    }
}
