//! Key pairs: Ed25519 pairs are made here; of any other pair that ssh can use the public half is read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::{
    key::PublicKey,
    wire::{Reader, Writer},
};
use crate::system::{Secret, files, random};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// What a private key file begins with (`PROTOCOL.key` of OpenSSH).
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// An Ed25519 key pair. It has no `Debug` and no `Serialize`.
pub struct Pair {
    seed: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl Pair {
    /// Makes one from the system's randomness.
    pub fn generate(comment: &str) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        random::fill(&mut seed[..])?;
        Self::from_seed(seed, comment)
    }

    fn from_seed(seed: Zeroizing<[u8; 32]>, comment: &str) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).ok().context("this is no Ed25519 key")?;
        let blob = Writer::default().string("ssh-ed25519").string(pair.public_key()).public();
        Ok(Self { seed, public: PublicKey::from_blob(&blob, comment)? })
    }

    /// Reads a private key file that holds an Ed25519 key without passphrase.
    pub fn read(file: &Secret) -> Result<Self> {
        let (_, section) = open(file)?;
        let mut section = Reader(&section);
        if section.number()? != section.number()? || section.text()? != "ssh-ed25519" {
            bail!("it is not an Ed25519 key without passphrase");
        }
        let public = section.string()?;
        let both = section.string()?;
        let seed = both.get(..32).and_then(|it| it.try_into().ok()).context("it is cut short")?;
        let pair = Self::from_seed(Zeroizing::new(seed), section.text()?)?;
        if pair.public.ed25519().as_ref().map(<[u8; 32]>::as_slice) != Some(public) {
            bail!("its two halves do not belong together");
        }
        Ok(pair)
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The text of a `.pub` file.
    pub fn public_file(&self) -> String {
        format!("{}\n", self.public)
    }

    /// The text of a private key file, as ssh reads it.
    pub fn private_file(&self) -> Result<Secret> {
        let check = u32::from_be_bytes(random::bytes()?);
        let public = self.public.ed25519().context("not an Ed25519 key")?;
        let both = Zeroizing::new([self.seed.as_slice(), &public].concat());
        let mut section = Writer::default()
            .number(check)
            .number(check)
            .string("ssh-ed25519")
            .string(public)
            .string(&both[..])
            .string(&self.public.comment)
            .finish();
        // Filled up to a whole block with 1, 2, 3, …
        for it in (1..=u8::MAX).take(section.len().next_multiple_of(8) - section.len()) {
            section.push(it);
        }
        let file = Writer::default()
            .raw(MAGIC)
            .string("none")
            .string("none")
            .string("")
            .number(1)
            .string(self.public.blob())
            .string(&section[..])
            .finish();
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(&file[..]));
        let mut text = Zeroizing::new(String::with_capacity(1024));
        *text += BEGIN;
        for line in encoded.as_bytes().chunks(70) {
            *text += "\n";
            // Base64 is ASCII.
            *text += &String::from_utf8_lossy(line);
        }
        *text += "\n";
        *text += END;
        *text += "\n";
        Ok(Secret::new(text.as_bytes()))
    }

    /// Signs with it.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed[..]).ok().context("not an Ed25519 key")?;
        Ok(pair.sign(message).as_ref().to_vec())
    }
}

/// Where the public half of a pair lies: beside the private half, with `.pub`.
pub fn public_path(private: &Path) -> PathBuf {
    let mut path = private.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

/// The public half of the pair whose private half lies at `path`: as the file itself says, else the
/// file beside it with `.pub`.
pub fn public_half(path: &Path) -> Result<PublicKey> {
    let name = path.display();
    let file =
        Secret::new(files::content(path).with_context(|| format!("cannot read the private key {name}"))?);
    let beside = public_path(path);
    let comment = files::text(&beside).ok().and_then(|it| it.parse::<PublicKey>().ok());
    match open(&file) {
        Ok((public, _)) => {
            let comment = comment.filter(|it| *it == public).map(|it| it.comment).unwrap_or_default();
            Ok(PublicKey { comment, ..public })
        }
        Err(error) if file.expose().starts_with(BEGIN.as_bytes()) => {
            Err(error).with_context(|| format!("cannot use the private key {name}"))
        }
        // An older format, which ssh reads and this program does not.
        Err(_) => comment.with_context(|| {
            format!(
                "{name} is no private key of OpenSSH's format; put its public half into {}",
                beside.display()
            )
        }),
    }
}

/// The public key and the private section of a private key file.
fn open(file: &Secret) -> Result<(PublicKey, Zeroizing<Vec<u8>>)> {
    let text = std::str::from_utf8(file.expose()).ok().context("it is not text")?;
    let inside = text.trim().strip_prefix(BEGIN).and_then(|it| it.strip_suffix(END));
    let inside = inside.context("it is no private key of OpenSSH's format")?;
    let encoded: Zeroizing<String> = Zeroizing::new(inside.split_whitespace().collect());
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(encoded.as_bytes()).ok().context("it is damaged")?);
    let mut reader = Reader(&bytes);
    reader.expect(MAGIC)?;
    let cipher = reader.text()?;
    let (_kdf, _options) = (reader.string()?, reader.string()?);
    if reader.number()? != 1 {
        bail!("it holds more than one key");
    }
    let public = PublicKey::from_blob(reader.string()?, "")?;
    if cipher != "none" {
        bail!("it has a passphrase, and nobody is there to type it: use a key without, below private_dir");
    }
    Ok((public, Zeroizing::new(reader.string()?.to_vec())))
}
