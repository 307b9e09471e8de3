//! One certificate on its way into use on a host.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;

use super::{
    certificate::{self, Certificate},
    key::PrivateKey,
    layout::Layout,
    messages::{Delivery, KeyAction},
    service::Wanted,
};
use crate::{
    system::{
        Secret, fault,
        files::{self, Attributes, File},
    },
    text::Diff,
};

/// One certificate.
pub struct Installation {
    /// What it is.
    pub wanted: Wanted,
    /// The certificate itself, and what becomes of the key.
    pub delivery: Delivery,
    group: String,
    before: String,
    after: String,
}

impl Installation {
    /// Compares it with what is in use.
    pub fn new(layout: &Layout, wanted: Wanted, delivery: Delivery, group: String) -> Self {
        let live = layout.live(&wanted.credential, wanted.side).join("cert.pem");
        let before = files::text(live).map(|it| describe(&it)).unwrap_or_default();
        let after = match &delivery.chain {
            Some(chain) => describe(chain),
            None => format!("a new certificate ({})\n", delivery.reason),
        };
        Self { wanted, delivery, group, before, after }
    }

    /// The key whose certificate this is.
    fn key_path(&self, layout: &Layout) -> PathBuf {
        let (credential, side) = (&self.wanted.credential, self.wanted.side);
        let folder = match self.delivery.key {
            KeyAction::Keep => layout.live(credential, side),
            KeyAction::New => layout.staged(credential, side),
        };
        folder.join("private_key.pem")
    }

    /// Nothing is replaced by what would not work: chain, host and key must fit.
    pub fn verify(
        &self,
        layout: &Layout,
        host: &str,
        anchors: &[Certificate],
        now: OffsetDateTime,
    ) -> Result<()> {
        let Some(chain) = &self.delivery.chain else { return Ok(()) };
        let chain = certificate::read_all(chain)?;
        certificate::verify(&chain, anchors, now)?;
        let path = self.key_path(layout);
        let key = files::content(&path).with_context(|| {
            format!("cannot read {}: another run may have made new requests; run again", path.display())
        })?;
        let key = PrivateKey::from_pem(&Secret::new(key))?;
        if chain.first().is_none_or(|leaf| leaf.public_key != key.public_key()) {
            bail!("does not belong to {}: another run may have made new requests; run again", path.display());
        }
        let subject = format!("{}@{host}", self.wanted.service);
        if chain.first().is_none_or(|leaf| leaf.common_name != subject) {
            bail!("is not for '{subject}'");
        }
        Ok(())
    }

    /// Whether it replaces one that is in use.
    pub const fn replaces(&self) -> bool {
        !self.before.is_empty()
    }

    /// The files that it rewrites.
    pub fn files(&self, layout: &Layout) -> impl Iterator<Item = PathBuf> {
        let folder = layout.live(&self.wanted.credential, self.wanted.side);
        let key = (self.delivery.key == KeyAction::New).then(|| folder.join("private_key.pem"));
        [folder.join("cert.pem")].into_iter().chain(key)
    }

    /// Puts it into use.
    pub fn apply(&self, layout: &Layout) -> Result<()> {
        let chain = self.delivery.chain.as_deref().context("there is no certificate")?;
        let (credential, side) = (&self.wanted.credential, self.wanted.side);
        let folder = match self.delivery.key {
            KeyAction::Keep => layout.live(credential, side),
            KeyAction::New => layout.staged(credential, side),
        };
        File::public(folder.join("cert.pem"), chain, Attributes::mode(0o644)).plan()?.apply()?;
        fault::point("x509_install:certificate");
        if self.delivery.key == KeyAction::Keep {
            return Ok(());
        }
        let path = folder.join("private_key.pem");
        let key =
            Secret::new(files::content(&path).with_context(|| format!("cannot read {}", path.display()))?);
        File::secret(path, key, key_attributes(&self.group)).plan()?.apply()?;
        fault::point("x509_install:key");
        layout.make_credential(credential)?;
        fault::point("x509_install:folder");
        layout.exchange(credential, side)?;
        fault::point("x509_install:exchange");
        Ok(())
    }

    /// What changes, for `--diff`.
    pub fn diff(&self, layout: &Layout) -> Diff {
        let path = layout.live(&self.wanted.credential, self.wanted.side).display().to_string();
        let key = match self.delivery.key {
            KeyAction::Keep => "same key",
            KeyAction::New => "new key",
        };
        Diff {
            before: self.before.clone(),
            after: self.after.clone(),
            before_header: path.clone(),
            after_header: format!("{path} ({key}; {})", self.delivery.reason),
        }
    }
}

/// Mode and owner of a private key that is in use: root's, readable by `group`.
pub fn key_attributes(group: &str) -> Attributes {
    let attributes = Attributes::mode(0o640);
    // Only root can give files away, and on a managed node it is root who runs this.
    if rustix::process::geteuid().is_root() { attributes.owned_by("root", group) } else { attributes }
}

/// A chain for a diff: what changes from one certificate to the next.
fn describe(chain: &str) -> String {
    match certificate::read_all(chain).ok().and_then(|it| it.into_iter().next()) {
        None => "an unreadable certificate\n".into(),
        Some(leaf) => {
            let addresses = leaf.addresses.iter().map(ToString::to_string);
            let names: Vec<_> = leaf.dns.iter().cloned().chain(addresses).collect();
            format!(
                "subject: {}\nserial_number: {}\nissuer: {}\nnot_after: {}\nsubject_alt_name: {}\n",
                leaf.common_name,
                leaf.serial,
                leaf.issuer_key_id.unwrap_or_default(),
                leaf.not_after,
                names.join(", ")
            )
        }
    }
}
