//! What the control node keeps below `private_dir/x509`: the CAs and their keys, the state of a
//! rollover, the index of issued certificates, and what hosts are given (`ca.pem`, `crl.pem`).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;

use super::{
    certificate::{self, Certificate},
    index::Index,
    issue::Authority,
    key::PrivateKey,
    rollover::CaState,
    vault::Vault,
};
use crate::system::{
    Secret, fault,
    files::{
        self, Attributes, Directory, File, LockGuard, Persisted as _, check_private_directory, read_text,
    },
};

/// The folder.
pub struct Store {
    directory: PathBuf,
    /// What is known of the CAs; none: there is no CA yet.
    pub state: Option<CaState>,
    /// Every certificate that was issued.
    pub index: Index,
}

impl Store {
    /// Reads it.
    pub fn read(private_dir: &Path) -> Result<Self> {
        Self::load(private_dir, Index::read)
    }

    /// The same, with what can still be read of an index that is damaged.
    pub fn salvage(private_dir: &Path) -> Result<Self> {
        Self::load(private_dir, Index::salvage)
    }

    /// Makes the folder where it is missing, and waits until no other run works on it.
    pub fn lock(private_dir: &Path) -> Result<LockGuard> {
        let directory = private_dir.join("x509");
        if !check_private_directory(private_dir)? {
            make_directory(private_dir)?;
        }
        make_directory(&directory)?;
        files::lock(&directory.join("lock"))
    }

    fn load(private_dir: &Path, read: fn(&Path) -> Result<Index>) -> Result<Self> {
        let directory = private_dir.join("x509");
        let state = CaState::read(&directory.join("state.json"))?;
        let index = read(&directory.join("issued.jsonl"))?;
        Ok(Self { directory, state, index })
    }

    /// Where the index lies.
    pub fn index_path(&self) -> PathBuf {
        self.directory.join("issued.jsonl")
    }

    /// The CA with this key identifier, able to sign.
    pub fn authority(&self, id: &str, vault: &Vault) -> Result<Authority> {
        let folder = self.folder(id);
        let key = vault.read(&folder.join("private_key.pem"))?;
        let open = || Authority::new(&self.certificate_pem(id)?, PrivateKey::from_pem(&key)?);
        open().with_context(|| format!("cannot use the CA in {}", folder.display()))
    }

    /// The CA's certificate in PEM.
    pub fn certificate_pem(&self, id: &str) -> Result<String> {
        let path = self.folder(id).join("certificate.pem");
        files::text(&path).with_context(|| format!("cannot read {}: restore private_dir", path.display()))
    }

    /// The CA's certificate.
    pub fn certificate(&self, id: &str) -> Result<Certificate> {
        let pem = self.certificate_pem(id)?;
        let one: Option<[_; 1]> = certificate::read_all(&pem).ok().and_then(|it| it.try_into().ok());
        let [one] = one.with_context(|| {
            let path = self.folder(id).join("certificate.pem");
            format!(
                "{} is damaged: it is to hold one certificate; restore private_dir from a backup",
                path.display()
            )
        })?;
        Ok(one)
    }

    /// What an expired CA signs has ended already.
    pub fn refuse_expired(&self, now: OffsetDateTime) -> Result<()> {
        let active = &self.state()?.active;
        let end = self.certificate(active)?.not_after;
        if end <= now {
            bail!(
                "the CA {active} has expired on {}: set common_ca_replace={} (`ansible-playbook site.yml -e common_ca_replace={1}`)",
                end.date(),
                &active[..active.len().min(8)]
            );
        }
        Ok(())
    }

    /// Writes a new CA's files. It counts only when a saved state names it.
    pub fn add(&self, authority: &Authority, key: Secret, cross: Option<&str>) -> Result<()> {
        let id = authority.certificate().key_id.as_deref().context("the CA has no key identifier")?;
        let folder = self.folder(id);
        for path in [&self.directory.join("authorities"), &folder] {
            make_directory(path)?;
        }
        File::secret(folder.join("private_key.pem"), key, Attributes::mode(0o600)).plan()?.apply()?;
        fault::point("x509_ca:key");
        write(&folder.join("certificate.pem"), authority.pem())?;
        if let Some(cross) = cross {
            fault::point("x509_ca:certificate");
            write(&folder.join("cross.pem"), cross)?;
        }
        Ok(())
    }

    /// Saves the state: the moment at which a step counts.
    pub fn save(&mut self, state: CaState) -> Result<()> {
        state.file(self.directory.join("state.json"), 0o600)?.plan()?.apply()?;
        self.state = Some(state);
        Ok(())
    }

    /// The trust anchors that hosts are given, the CA that signs first.
    pub fn bundle(&self) -> Result<String> {
        self.state.as_ref().map_or_else(|| Ok(String::new()), |state| self.bundle_of(state))
    }

    /// The same, as it will be in `state`.
    pub fn bundle_of(&self, state: &CaState) -> Result<String> {
        state.trusted().map(|id| self.certificate_pem(id)).collect()
    }

    /// What follows a new leaf in its chain: during a rollover the cross-certificate.
    pub fn chain_tail(&self) -> Result<String> {
        match &self.state {
            Some(CaState { active, leaving: Some(_), .. }) => {
                let path = self.folder(active).join("cross.pem");
                Ok(read_text(&path)?.unwrap_or_default())
            }
            _ => Ok(String::new()),
        }
    }

    /// The revocation lists as hosts were last given them.
    pub fn crl(&self) -> Result<String> {
        Ok(read_text(&self.directory.join("crl.pem"))?.unwrap_or_default())
    }

    /// Writes what tasks read with a file lookup: `ca.pem` and `crl.pem`.
    pub fn publish(&self, bundle: &str, crl: &str) -> Result<()> {
        write(&self.directory.join("crl.pem"), crl)?;
        fault::point("x509_ca:crl");
        write(&self.directory.join("ca.pem"), bundle)
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.directory.join("authorities").join(id)
    }

    /// The state, where there is a CA.
    pub fn state(&self) -> Result<&CaState> {
        match &self.state {
            Some(state) => Ok(state),
            None => bail!("there is no CA in {}: run x509_ca first", self.directory.display()),
        }
    }
}

fn make_directory(path: &Path) -> Result<()> {
    Directory { path: path.into(), attributes: Attributes::mode(0o700) }.plan()?.apply()
}

fn write(path: &Path, text: &str) -> Result<()> {
    File::public(path, text, Attributes::mode(0o600)).plan()?.apply()
}
