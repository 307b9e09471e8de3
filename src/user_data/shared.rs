//! What machines share until they have met, made once below `private_dir`: the cluster secret and, where it
//! is wanted, the bootstrap key pair.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

use crate::{
    ssh::pair::Pair,
    system::{
        Secret, fault,
        files::{Attributes, Directory, File, lock, read_private},
        random,
    },
};

/// What goes into every machine's boot configuration. It has no `Debug` and no `Serialize`.
pub struct Shared {
    /// The cluster secret, as text in one line.
    pub secret: Zeroizing<String>,
    /// The private and the public half of the bootstrap key.
    pub bootstrap_key: Option<(Zeroizing<String>, String)>,
    /// Whether something of it is not on the disk yet.
    pub new: bool,
}

impl Shared {
    /// Reads what is there and makes the rest, in memory only.
    pub fn plan(private_dir: &Path, bootstrap_key: bool) -> Result<Self> {
        let (secret, mut new) = match read(&secret_path(private_dir))? {
            Some(text) if text.trim().len() >= 32 && !text.trim().contains(char::is_whitespace) => {
                (Zeroizing::new(text.trim().to_owned()), false)
            }
            Some(_) => bail!(
                "{} holds no cluster secret (one line of 32 characters or more): restore it, or remove it and make the \
                 boot configuration of every machine anew",
                secret_path(private_dir).display()
            ),
            None => (make_secret()?, true),
        };
        let path = key_path(private_dir);
        let bootstrap_key = match read(&path)? {
            _ if !bootstrap_key => None,
            Some(text) => {
                let pair = Pair::read(&Secret::new(text.as_bytes()));
                let pair =
                    pair.with_context(|| format!("cannot use the bootstrap key {}", path.display()))?;
                Some((text, pair.public_file()))
            }
            None => {
                new = true;
                let pair = Pair::generate("minicluster bootstrap")?;
                let text = String::from_utf8(pair.private_file()?.expose().to_vec())?;
                Some((Zeroizing::new(text), pair.public_file()))
            }
        };
        Ok(Self { secret, bootstrap_key, new })
    }

    /// The same, and on the disk when this returns. Of several callers at one time all get the same.
    pub fn keep(private_dir: &Path, bootstrap_key: bool) -> Result<Self> {
        let closed = || Attributes::mode(0o700);
        if !private_dir.exists() {
            Directory { path: private_dir.into(), attributes: closed() }.plan()?.apply()?;
        }
        let _held = lock(&private_dir.join("lock"))?;
        let shared = Self::plan(private_dir, bootstrap_key)?;
        if shared.new {
            let text = format!("{}\n", *shared.secret);
            write(&secret_path(private_dir), text.as_bytes())?;
            fault::point("user_data:secret");
            if let Some((private, public)) = &shared.bootstrap_key {
                Directory { path: private_dir.join("ssh"), attributes: closed() }.plan()?.apply()?;
                let path = key_path(private_dir);
                write(&path, private.as_bytes())?;
                let public =
                    File::public(path.with_extension("pub"), public.as_bytes(), Attributes::mode(0o644));
                public.plan()?.apply()?;
            }
        }
        Ok(shared)
    }
}

fn secret_path(private_dir: &Path) -> PathBuf {
    private_dir.join("cluster_secret")
}

fn key_path(private_dir: &Path) -> PathBuf {
    private_dir.join("ssh/bootstrap")
}

fn make_secret() -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    random::fill(&mut bytes[..])?;
    Ok(bytes.iter().fold(Zeroizing::new(String::with_capacity(64)), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
        text
    }))
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>> {
    let Some(content) = read_private(path)? else { return Ok(None) };
    let text = std::str::from_utf8(content.expose());
    let text = text.ok().with_context(|| format!("cannot read {}: it is not UTF-8", path.display()))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    File::secret(path, Secret::new(content), Attributes::mode(0o600)).plan()?.apply()
}
