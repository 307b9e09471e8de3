//! OpenSSH certificates (`PROTOCOL.certkeys`): signed by one of this cluster's CAs, and read back.

use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::system::random;

use super::{
    key::PublicKey,
    pair::Pair,
    wire::{Reader, Writer},
};

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user who logs in.
    User = 1,
    /// A host that is logged in to.
    Host = 2,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// The key that it certifies.
    pub key: PublicKey,
    /// Its number, unique to its CA.
    pub serial: u64,
    /// For whom.
    pub kind: Kind,
    /// A name for logs.
    pub id: String,
    /// Names and addresses of a host, or the accounts that a user may log in to.
    pub principals: Vec<String>,
    /// From when, in seconds since 1970.
    pub not_before: u64,
    /// Until when, in seconds since 1970.
    pub not_after: u64,
    /// The CA that signed it.
    pub authority: PublicKey,
}

/// What a user may do beside logging in: as ssh-keygen grants by default.
const EXTENSIONS: &[&str] = &[
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
];

const SUFFIX: &str = "-cert-v01@openssh.com";

impl Certificate {
    /// The line of a `-cert.pub` file, signed by `authority`.
    pub fn sign(&self, authority: &Pair) -> Result<String> {
        if self.principals.is_empty() {
            bail!("a certificate for '{}' without principals would hold for everybody", self.id);
        }
        let nonce = random::bytes::<32>()?;
        let name = format!("{}{SUFFIX}", self.key.kind());
        let mut own = Reader(self.key.blob());
        own.string()?;
        let principals = self.principals.iter().fold(Writer::default(), Writer::string);
        let granted = if self.kind == Kind::User { EXTENSIONS } else { &[] };
        let extensions = granted.iter().fold(Writer::default(), |all, it| all.string(it).string(""));
        let body = Writer::default()
            .string(&name)
            .string(nonce)
            .raw(own.0)
            .long(self.serial)
            .number(self.kind as u32)
            .string(&self.id)
            .string(principals.finish())
            .long(self.not_before)
            .long(self.not_after)
            .string("")
            .string(extensions.finish())
            .string("")
            .string(authority.public().blob())
            .public();
        let signature = Writer::default().string("ssh-ed25519").string(authority.sign(&body)?).public();
        let whole = Writer::default().raw(&body).string(signature).public();
        Ok(format!("{name} {} {}", BASE64_STANDARD.encode(whole), self.id))
    }

    /// Reads a line that one of this cluster's CAs signed; its signature is verified.
    pub fn read(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let (name, encoded) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let plain = name.strip_suffix(SUFFIX).context("this is no certificate of OpenSSH")?;
        let bytes = BASE64_STANDARD.decode(encoded).ok().context("this certificate is damaged")?;
        let mut reader = Reader(&bytes);
        reader.expect(&Writer::default().string(name).public())?;
        reader.string()?;
        let begin = reader.0;
        // Ed25519 and RSA keys and those of elliptic curves: so many strings each.
        for _ in 0..if plain == "ssh-ed25519" { 1 } else { 2 } {
            reader.string()?;
        }
        let own = &begin[..begin.len() - reader.0.len()];
        let key = PublicKey::from_blob(&Writer::default().string(plain).raw(own).public(), "")?;
        let serial = reader.long()?;
        let kind = match reader.number()? {
            1 => Kind::User,
            2 => Kind::Host,
            other => bail!("this certificate is of the unknown kind {other}"),
        };
        let id = reader.text()?.to_owned();
        let mut names = Reader(reader.string()?);
        let mut principals = Vec::new();
        while !names.is_empty() {
            principals.push(names.text()?.to_owned());
        }
        let (not_before, not_after) = (reader.long()?, reader.long()?);
        let (_critical, _extensions, _reserved) = (reader.string()?, reader.string()?, reader.string()?);
        let authority = PublicKey::from_blob(reader.string()?, "")?;
        let signed = &bytes[..bytes.len() - reader.0.len()];
        let mut signature = Reader(reader.string()?);
        let by = authority.ed25519().context("this certificate was signed by no Ed25519 key")?;
        signature.expect(&Writer::default().string("ssh-ed25519").public())?;
        UnparsedPublicKey::new(&ED25519, by)
            .verify(signed, signature.string()?)
            .ok()
            .context("this certificate's signature is wrong")?;
        Ok(Self { key, serial, kind, id, principals, not_before, not_after, authority })
    }

    /// Why it has to be replaced by one that says `wanted`; nothing where it need not be. It is renewed
    /// when `fraction` of its lifetime is left.
    pub fn need(found: Option<&Self>, wanted: &Self, fraction: f64, revoked: bool) -> Option<&'static str> {
        let Some(found) = found else { return Some("there is none") };
        let mut names = [found.principals.clone(), wanted.principals.clone()];
        for it in &mut names {
            it.sort();
        }
        // What was asked for, not what is left: the moment of signing is the only clock here.
        let now = wanted.not_before;
        #[allow(clippy::cast_precision_loss)]
        let left = found.not_after.saturating_sub(now) as f64;
        #[allow(clippy::cast_precision_loss)]
        let life = found.not_after.saturating_sub(found.not_before) as f64;
        if found.authority != wanted.authority || found.kind != wanted.kind {
            Some("another CA signed it")
        } else if found.key != wanted.key {
            Some("it is of another key")
        } else if names[0] != names[1] {
            Some("the names have changed")
        } else if revoked {
            Some("it is revoked")
        } else if found.not_before > now || left < life * fraction {
            Some("it ends soon")
        } else {
            None
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn certificate() -> (Pair, Certificate) {
        let authority = Pair::generate("ca").unwrap();
        let certificate = Certificate {
            key: Pair::generate("").unwrap().public().clone(),
            serial: 7,
            kind: Kind::Host,
            id: "host1".into(),
            principals: vec!["host1".into(), "10.0.0.1".into()],
            not_before: 1000,
            not_after: 4000,
            authority: authority.public().clone(),
        };
        (authority, certificate)
    }

    #[test]
    fn what_was_signed_is_read_and_what_was_changed_is_not() {
        let (authority, certificate) = certificate();
        let line = certificate.sign(&authority).unwrap();
        assert_eq!(Certificate::read(&line).unwrap(), certificate);
        let other = Pair::generate("").unwrap();
        // Says that `authority` signed it, but another did.
        let forged = certificate.sign(&other).unwrap();
        assert_eq!(Certificate::read(&forged).unwrap().authority, *other.public());
        let mut bytes = BASE64_STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap();
        for at in [60, 130, bytes.len() - 1] {
            bytes[at] ^= 1;
            let changed = format!("{} {}", line.split(' ').next().unwrap(), BASE64_STANDARD.encode(&bytes));
            assert!(Certificate::read(&changed).is_err(), "{at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn it_is_renewed_when_something_calls_for_it() {
        let (_, found) = certificate();
        let at = |now: u64| Certificate { not_before: now, not_after: now + 3000, ..found.clone() };
        let need = |wanted: &Certificate| Certificate::need(Some(&found), wanted, 0.33, false);
        assert_eq!(need(&at(1000)), None);
        assert_eq!(need(&at(2900)), None);
        assert_eq!(need(&at(3100)), Some("it ends soon"));
        assert_eq!(need(&at(9000)), Some("it ends soon"));
        let swapped = vec!["10.0.0.1".into(), "host1".into()];
        assert_eq!(need(&Certificate { principals: swapped, ..at(1000) }), None);
        let more = vec!["host1".into(), "10.0.0.1".into(), "host2".into()];
        assert_eq!(need(&Certificate { principals: more, ..at(1000) }), Some("the names have changed"));
        let (_, other) = certificate();
        assert_eq!(need(&Certificate { key: other.key, ..at(1000) }), Some("it is of another key"));
        assert_eq!(
            need(&Certificate { authority: other.authority, ..at(1000) }),
            Some("another CA signed it")
        );
        assert_eq!(Certificate::need(Some(&found), &at(1000), 0.33, true), Some("it is revoked"));
        assert_eq!(Certificate::need(None, &at(1000), 0.33, false), Some("there is none"));
    }

    #[test]
    fn nobody_is_certified_as_everybody() {
        let (authority, certificate) = certificate();
        assert!(Certificate { principals: Vec::new(), ..certificate }.sign(&authority).is_err());
    }
}
