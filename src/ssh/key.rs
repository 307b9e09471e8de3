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
    /// The key in these bytes, as SSH sends it: of a type and a size that OpenSSH takes, and whole.
    pub fn from_blob(blob: &[u8], comment: &str) -> Result<Self> {
        let mut reader = Reader(blob);
        let name = reader.text().context("this is no public key")?;
        check_fields(name, &mut reader)
            .with_context(|| format!("this is no public key of the type {name:?}"))?;
        if !reader.is_empty() {
            bail!("this is no public key: something follows it");
        }
        Ok(Self { blob: blob.to_vec(), comment: comment.into() })
    }

    /// Whether certificates are made for keys of its type. Those in hardware have certificates of a shape of their own, and
    /// DSA is out of use.
    pub fn can_be_certified(&self) -> bool {
        !self.kind().contains('@') && self.kind() != "ssh-dss"
    }

    /// The type: `ssh-ed25519`, say.
    pub fn kind(&self) -> &str {
        Reader(&self.blob).text().unwrap_or_default()
    }

    /// The bytes that SSH sends.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The 32 bytes of an Ed25519 key.
    pub fn ed25519(&self) -> Option<[u8; 32]> {
        let mut reader = Reader(&self.blob);
        (reader.text().ok()? == "ssh-ed25519").then(|| reader.string().ok()?.try_into().ok()).flatten()
    }

    /// `SHA256:…`, as ssh-keygen and sshd's log write it.
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.blob);
        format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest))
    }

    /// Fingerprint, type and comment, for a diff.
    pub fn describe(&self) -> String {
        format!("{} {} {}", self.fingerprint(), self.kind(), self.comment).trim_end().into()
    }
}

/// What follows the name of the type (RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709; `PROTOCOL.u2f`).
fn check_fields(name: &str, reader: &mut Reader) -> Result<()> {
    match name {
        "ssh-ed25519" => exactly(reader, 32),
        "ssh-rsa" => {
            let (_exponent, modulus) = (number(reader)?, number(reader)?);
            // OpenSSH takes no others either.
            if !(1024..=16384).contains(&modulus) {
                bail!("{modulus} bits, where 1024 to 16384 are allowed");
            }
            Ok(())
        }
        "ssh-dss" => (0..4).try_for_each(|_| number(reader).map(drop)),
        "ecdsa-sha2-nistp256" => point(reader, "nistp256", 65),
        "ecdsa-sha2-nistp384" => point(reader, "nistp384", 97),
        "ecdsa-sha2-nistp521" => point(reader, "nistp521", 133),
        "sk-ssh-ed25519@openssh.com" => exactly(reader, 32).and_then(|()| reader.string().map(drop)),
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            point(reader, "nistp256", 65).and_then(|()| reader.string().map(drop))
        }
        _ => bail!("there is no such type"),
    }
}

fn exactly(reader: &mut Reader, length: usize) -> Result<()> {
    let found = reader.string()?.len();
    if found != length {
        bail!("{found} bytes, where it has {length}");
    }
    Ok(())
}

/// A positive number, and how many bits it has. Zeros before it say nothing, as for sshd: what opens there has to be a key here.
fn number(reader: &mut Reader) -> Result<usize> {
    let bytes = reader.string()?;
    if bytes.first().is_some_and(|it| it.leading_zeros() == 0) {
        bail!("a number in it is negative");
    }
    let digits = &bytes[bytes.iter().position(|it| *it != 0).unwrap_or(bytes.len())..];
    let Some(first) = digits.first() else { bail!("a number in it is zero") };
    Ok(digits.len() * 8 - first.leading_zeros() as usize)
}

/// A point on this curve, not compressed.
fn point(reader: &mut Reader, curve: &str, length: usize) -> Result<()> {
    if reader.text()? != curve {
        bail!("it names another curve");
    }
    let point = reader.string()?;
    if point.len() != length || point.first() != Some(&4) {
        bail!("it holds no point of that curve");
    }
    Ok(())
}

/// Whether a word is the name of a key type, as it begins a line of `authorized_keys`.
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
    use crate::ssh::wire::Writer;

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

    fn line(kind: &str, fields: &[&[u8]]) -> String {
        let blob = fields.iter().fold(Writer::default().string(kind), Writer::string).public();
        format!("{kind} {}", BASE64_STANDARD.encode(blob))
    }

    #[test]
    fn a_key_is_of_a_known_type_and_whole() {
        let modulus = |bytes: usize| [&[0][..], &vec![0xff; bytes]].concat();
        let point = |length: usize| [&[4][..], &vec![7; length - 1]].concat();
        let (e, p256) = (&[1, 0, 1][..], point(65));
        for good in [
            line("ssh-rsa", &[e, &modulus(256)]),
            line("ssh-rsa", &[e, &modulus(2048)]),
            line("ssh-rsa", &[e, &[&[0, 0], &modulus(256)[..]].concat()]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &p256]),
            line("ecdsa-sha2-nistp521", &[b"nistp521", &point(133)]),
            line("sk-ssh-ed25519@openssh.com", &[&[7; 32], b"ssh:"]),
            line("sk-ssh-ed25519@openssh.com", &[&[7; 32], b"\xff"]),
        ] {
            assert!(good.parse::<PublicKey>().is_ok(), "{good}");
        }
        for (bad, expected) in [
            (line("ssh-nonsense", &[&[7; 32]]), "no such type"),
            (line("ssh-ed25519-cert-v01@openssh.com", &[&[7; 32]]), "no such type"),
            (line("ssh-ed25519", &[&[7; 31]]), "31 bytes"),
            (line("ssh-ed25519", &[&[7; 32], b"x"]), "something follows"),
            (line("ssh-ed25519", &[]), "cut short"),
            (line("ssh-rsa", &[e, &modulus(64)]), "512 bits"),
            (line("ssh-rsa", &[e, &modulus(4096)]), "32768 bits"),
            (line("ssh-rsa", &[e, &[0xff; 256]]), "negative"),
            (line("ssh-rsa", &[e, &[0, 0, 0xff]]), "8 bits"),
            (line("ssh-rsa", &[e, &[]]), "is zero"),
            (line("ecdsa-sha2-nistp256", &[b"nistp384", &p256]), "another curve"),
            (line("ecdsa-sha2-nistp256", &[b"nistp256", &point(64)]), "no point"),
            (line("ssh-rsa", &[e, &modulus(256)])[..340].to_owned(), "cut short"),
        ] {
            let error = format!("{:#}", bad.parse::<PublicKey>().unwrap_err());
            assert!(error.contains(expected), "{bad}: {error}");
        }
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
