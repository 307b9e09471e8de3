//! Users' keys, exactly as the inventory has them; and who was removed from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::Params;
use crate::{
    ssh::{authorized_keys::AuthorizedKeys, key::PublicKey, rotation::Edit, sshd::Sshd},
    system::{
        accounts, fault,
        files::{Attributes, File, read},
    },
    text::Diff,
};

/// What is to be done.
#[derive(Default)]
pub(super) struct Users {
    edits: Vec<(Edit, Edit)>,
    /// Where it is written down who has keys, as it is and as it shall be.
    record: Option<(PathBuf, Record, Record)>,
}

/// Keys by user.
type Record = BTreeMap<String, Vec<PublicKey>>;

fn recorded(path: &Path) -> Result<Record> {
    let record = read(path)?.map(|it| serde_json::from_slice(&it)).transpose();
    let record = record.with_context(|| {
        let remedy = "look through every user's `authorized_keys` by hand, then remove it";
        format!("{} is damaged: {remedy}", path.display())
    });
    Ok(record?.unwrap_or_default())
}

fn save(path: &Path, record: &Record) -> Result<()> {
    let text = serde_json::to_string_pretty(record)? + "\n";
    File::public(path, text, Attributes::mode(0o600)).plan()?.apply()
}

impl Users {
    /// Compares what is there with what shall be.
    pub(super) fn plan(params: &Params, sshd: &Sshd) -> Result<Self> {
        let path = params.directory.join("ssh_users.json");
        let recorded = recorded(&path)?;
        let mut wanted = Record::default();
        for it in &params.users {
            if it.user == params.control_user {
                bail!(
                    "option 'users': '{}' is the user that Ansible logs in as; its keys are rotated, not listed",
                    it.user
                );
            }
            wanted.entry(it.user.clone()).or_default().extend(it.keys.iter().cloned());
        }
        let mut users = Self::default();
        for (user, keys) in &wanted {
            let keep = |it: &PublicKey| keys.contains(it);
            users
                .edits
                .extend(edits(user, sshd, keys, keep)?.with_context(|| {
                    format!("option 'users': there is no user '{user}'; create it first")
                })?);
        }
        for (user, keys) in recorded.iter().filter(|(it, _)| !wanted.contains_key(*it)) {
            // Only what was written here; and an account that is gone has nothing left to remove.
            let keep = |it: &PublicKey| !keys.contains(it);
            users.edits.extend(edits(user, sshd, &[], keep)?.unwrap_or_default());
        }
        users.edits.retain(|(before, after)| before != after);
        if recorded != wanted {
            users.record = Some((path, recorded, wanted));
        }
        Ok(users)
    }

    /// Writes the keys. Whoever may have some is on record before, whoever has none any more until after.
    pub(super) fn apply(self) -> Result<()> {
        if let Some((path, before, wanted)) = &self.record {
            let mut both = before.clone();
            for (user, keys) in wanted {
                both.entry(user.clone()).or_default().extend(keys.iter().cloned());
            }
            save(path, &both)?;
            fault::point("ssh_trust:record");
        }
        for (_, after) in &self.edits {
            after.write()?;
            fault::point("ssh_trust:user");
        }
        self.record.map_or(Ok(()), |(path, _, wanted)| save(&path, &wanted))
    }

    pub(super) fn diff(&self) -> Vec<Diff> {
        let describe = |it: &Edit| AuthorizedKeys::read(it.text.as_deref().unwrap_or_default()).describe();
        let mut all: Vec<_> = self
            .edits
            .iter()
            .map(|(before, after)| Diff::of(before.path.display(), describe(before), describe(after)))
            .collect();
        if let (true, Some((path, ..))) = (all.is_empty(), &self.record) {
            all.push(Diff::of(path.display(), "", "who has keys here\n"));
        }
        all
    }
}

/// The user's files with `keys` in the first and only what `keep` says in all; none: there is no such user.
fn edits(
    user: &str,
    sshd: &Sshd,
    keys: &[PublicKey],
    keep: impl Fn(&PublicKey) -> bool,
) -> Result<Option<Vec<(Edit, Edit)>>> {
    let Some(account) = accounts::user(user)? else { return Ok(None) };
    let mut edits = Vec::new();
    for (at, path) in sshd.effective(user, None)?.authorized_keys_files(&account)?.iter().enumerate() {
        let before = Edit::of(path, &account).found()?;
        let mut text = AuthorizedKeys::read(before.text.as_deref().unwrap_or_default());
        text.retain(&keep);
        if at == 0 {
            for it in keys {
                text.add(it, &[]);
            }
        }
        // A file that is not there needs none to be empty.
        let nothing = before.text.is_none() && text == AuthorizedKeys::default();
        let after = Edit { text: (!nothing).then(|| text.to_text()), ..before.clone() };
        edits.push((before, after));
    }
    Ok(Some(edits))
}
