//! Keys that never open anything on this host again: sshd's list of revoked keys, and the setting that
//! makes sshd read it.

use std::path::Path;

use anyhow::{Result, bail};

use super::Edit;
use crate::{
    ssh::{key::PublicKey, krl::RevocationList, sshd::Sshd},
    system::{
        fault,
        files::{Attributes, File, FilePlan},
    },
    text::Diff,
};

/// The list, beside sshd's configuration.
pub const LIST: &str = "minicluster_revoked_keys";
/// The setting. Of several files sshd takes what the first one says.
pub(super) const SETTING: &str = "sshd_config.d/00-minicluster-revoked.conf";

/// What is to be done.
pub(super) struct Revoked {
    list: FilePlan,
    shown: (String, String),
    before: Edit,
    after: Edit,
}

impl Revoked {
    /// The list with these keys in it; nothing where they are all in force.
    pub(super) fn plan(keys: &[PublicKey], sshd: &Sshd, now: i64) -> Result<Option<Self>> {
        let path = sshd.beside(LIST);
        check(sshd.effective("root", None)?.get("revokedkeys"), &path)?;
        let found = RevocationList::read(&path)?;
        let mut list = found.clone().unwrap_or_default();
        list.keys.extend(keys.iter().map(|it| it.blob().to_vec()));
        let changes = found.as_ref().is_none_or(|it| !it.revokes_as(&list));
        if changes {
            // The control node counts; what it gives next is not older than this.
            list.version = list.version.max(1);
            list.generated = u64::try_from(now).unwrap_or_default();
        }
        let shown = (describe(&found.unwrap_or_default()), describe(&list));
        let list = File::public(&path, list.to_bytes(), Attributes::mode(0o644)).plan()?;
        let before = Edit { path: sshd.beside(SETTING), user: None, text: None }.found()?;
        let text = format!("# Written by minicluster.\nRevokedKeys {}\n", path.display());
        let after = Edit { text: Some(text), ..before.clone() };
        let in_force = !changes && !list.changes() && before == after;
        Ok((!in_force).then_some(Self { list, shown, before, after }))
    }

    /// The setting as a rollback restores it. The list stays: a key is revoked for good.
    pub(super) fn restore(&self) -> Option<&Edit> {
        (self.before != self.after).then_some(&self.before)
    }

    /// The list first: sshd lets nobody in by key while it cannot read a list that it is told to.
    pub(super) fn apply(self, sshd: &Sshd) -> Result<()> {
        let path = self.list.path().to_owned();
        self.list.apply()?;
        fault::point("ssh_key_rotation:list");
        if self.before != self.after {
            self.after.write()?;
            fault::point("ssh_key_rotation:setting");
        }
        let effective = sshd.effective("root", None)?;
        if Path::new(effective.get("revokedkeys")) != path {
            bail!(
                "sshd does not read {}: begin {} with `Include /etc/ssh/sshd_config.d/*.conf`, as Debian does",
                self.after.path.display(),
                sshd.config.display()
            );
        }
        sshd.reload()
    }

    /// Fingerprints before and after.
    pub(super) fn diff(&self) -> Diff {
        let (before, after) = self.shown.clone();
        Diff::of(self.list.path().display(), before, after)
    }
}

fn check(now: &str, path: &Path) -> Result<()> {
    if !["", "none"].contains(&now) && Path::new(now) != path {
        bail!(
            "sshd already has a list of revoked keys, {now}: move its keys there by hand, or that setting out of the way"
        );
    }
    Ok(())
}

/// One line a key.
fn describe(list: &RevocationList) -> String {
    let keys = list.keys.iter().filter_map(|it| PublicKey::from_blob(it, "").ok());
    keys.map(|it| it.describe() + "\n").collect::<Vec<_>>().concat()
}
