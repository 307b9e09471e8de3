//! What a step of a rotation will change on the host, decided before anything is.

use anyhow::{Context, Result, bail};

use super::{Edit, Guard, Params, Proof, Record, RollbackState, UserKeys, journal, revoked::Revoked};
use crate::{
    module::Outcome,
    ssh::{authorized_keys::AuthorizedKeys, key::PublicKey, sshd::Sshd},
    system::accounts,
    text::Diff,
};

/// What the comment of a recovery key begins with.
pub const RECOVERY: &str = "minicluster recovery ";

/// What is to be done.
pub struct Plan {
    /// Files as they are, and as they shall be.
    pub(super) edits: Vec<(Edit, Edit)>,
    /// Keys that never open anything again.
    pub(super) revoked: Option<Revoked>,
    /// The rollback to arm before.
    pub(super) arm: Option<Record>,
    pub(super) now: i64,
    pub(super) sshd: Sshd,
    pub(super) guard: Guard,
    pub(super) params: Params,
}

/// The files of keys that a step may change: as they are, and as they shall be.
#[derive(Default)]
struct Files(Vec<(Edit, AuthorizedKeys)>);

impl Files {
    /// Where in this list a user's files are. sshd is asked: it alone knows where it looks.
    fn of(&mut self, keys: &UserKeys, params: &Params, sshd: &Sshd) -> Result<Vec<usize>> {
        let name = &keys.user;
        let account = accounts::user(name)?
            .with_context(|| format!("option 'keys': there is no user '{name}'; create it first"))?;
        let connection = params.connection.as_ref().or(params.proof.as_ref().map(|it| &it.connection));
        let paths = sshd.effective(name, connection)?.authorized_keys_files(&account)?;
        let mut found = Vec::new();
        for path in paths {
            let known = self.0.iter().position(|(it, _)| it.path == path);
            if let Some(at) = known {
                found.push(at);
                continue;
            }
            let before = Edit::of(&path, &account).found()?;
            found.push(self.0.len());
            self.0.push((before.clone(), read(&before)));
        }
        Ok(found)
    }

    /// Removes keys from every other account of this host that has them.
    fn remove_everywhere(&mut self, old: &[PublicKey], params: &Params, sshd: &Sshd) -> Result<()> {
        for account in accounts::users()? {
            let keys = UserKeys { user: account.name, new: Vec::new(), old: old.to_vec(), exclusive: false };
            // An account whose files cannot be read opens nothing, and the list of revoked keys holds for it too.
            for at in self.of(&keys, params, sshd).unwrap_or_default() {
                self.0[at].1.remove(old);
            }
        }
        Ok(())
    }

    fn has(&self, at: &[usize], key: &PublicKey) -> bool {
        at.iter().any(|it| self.0[*it].1.has(key))
    }

    /// What changes.
    fn edits(self) -> Vec<(Edit, Edit)> {
        let changes = self.0.into_iter().filter(|(before, after)| read(before) != *after);
        changes
            .map(|(before, after)| (before.clone(), Edit { text: Some(after.to_text()), ..before }))
            .collect()
    }
}

fn read(file: &Edit) -> AuthorizedKeys {
    AuthorizedKeys::read(file.text.as_deref().unwrap_or_default())
}

/// The new keys beside the old ones.
pub(super) fn add(params: Params, sshd: Sshd, guard: Guard) -> Result<Plan> {
    let mut files = Files::default();
    for keys in &params.keys {
        let own = files.of(keys, &params, &sshd)?;
        // Where an old key stands, so that its options hold for the new one; else in the first file.
        let old = own.iter().find(|at| keys.old.iter().any(|it| files.has(&[**at], it)));
        let beside = *old.or(own.first()).context("sshd reads no file of keys")?;
        for key in &keys.new {
            if !files.has(&own, key) {
                files.0[beside].1.add(key, &keys.old);
            }
        }
    }
    Ok(Plan { edits: files.edits(), revoked: None, arm: None, now: 0, sshd, guard, params })
}

/// Without the old keys, and what a rollback would restore.
pub(super) fn revoke(params: Params, sshd: Sshd, guard: Guard, now: i64, check_mode: bool) -> Result<Plan> {
    let armed = guard.record.clone().filter(|it| it.state == RollbackState::Armed);
    if let Some(other) = armed.as_ref().filter(|it| it.id != params.id) {
        bail!(
            "rotation {} is not confirmed yet: finish it, or wait until it is rolled back ({} s)",
            other.id,
            (other.deadline - now).max(0)
        );
    }
    let mut files = Files::default();
    for keys in &params.keys {
        let own = files.of(keys, &params, &sshd)?;
        if let Some(missing) = keys.new.iter().find(|it| !check_mode && !files.has(&own, it)) {
            bail!("user '{}' has no key {}: add it before another is revoked", keys.user, missing.describe());
        }
        for at in own {
            let text = &mut files.0[at].1;
            text.remove(&keys.old);
            // A rollback let it in, of this rotation or of one before.
            text.retain(|it| !it.comment.starts_with(RECOVERY));
            if keys.exclusive {
                text.retain(|it| keys.new.contains(it));
            }
        }
    }
    let mut revoked = None;
    if params.for_good {
        let old: Vec<PublicKey> = params.keys.iter().flat_map(|it| it.old.clone()).collect();
        files.remove_everywhere(&old, &params, &sshd)?;
        revoked = Revoked::plan(&old, &sshd, now)?;
    }
    let edits = files.edits();
    if edits.is_empty() && revoked.is_none() && armed.is_none() {
        return Ok(Plan { edits, revoked, arm: None, now, sshd, guard, params });
    }
    if !check_mode {
        let proof = params.proof.as_ref();
        proof
            .context("option 'proof': nothing is revoked without a login that proves a new key")?
            .check(&params.keys)?;
    }
    let mut restore: Vec<Edit> = edits.iter().map(|(before, _)| params.with_recovery(before)).collect();
    restore.extend(revoked.as_ref().and_then(Revoked::restore).cloned());
    // Killed while it revoked: what was there before is what the first attempt saw.
    for kept in armed.map(|it| it.restore).unwrap_or_default() {
        restore.retain(|it| it.path != kept.path);
        restore.push(kept);
    }
    let arm = Record::armed(params.id.clone(), now + i64::from(params.window), restore, params.for_good);
    Ok(Plan { edits, revoked, arm: Some(arm), now, sshd, guard, params })
}

impl Params {
    /// What was there before, with the recovery key where the control node logs in.
    fn with_recovery(&self, before: &Edit) -> Edit {
        let proven = self.proof.as_ref().map(|it| it.user.as_str());
        let concerned = self.keys.iter().find(|it| Some(it.user.as_str()) == proven);
        let mut text = read(before);
        if self.for_good {
            self.keys.iter().for_each(|it| text.remove(&it.old));
        }
        if let (Some(recovery), Some(keys)) = (&self.recovery, concerned) {
            // The file that holds the user's new key is one that sshd reads for this user.
            if keys.new.iter().any(|it| text.has(it)) {
                text.add(recovery, &keys.old);
            }
        }
        Edit { text: Some(text.to_text()), ..before.clone() }
    }
}

impl Proof {
    /// The host's own word: its sshd let this key in, through this connection.
    fn check(&self, keys: &[UserKeys]) -> Result<()> {
        let new = keys.iter().filter(|it| it.user == self.user).flat_map(|it| &it.new);
        if !new.into_iter().any(|it| it.fingerprint() == self.fingerprint) {
            bail!("option 'proof': {} is no new key of user '{}'", self.fingerprint, self.user);
        }
        let seen = journal::logins()?.iter().any(|it| it.is(&self.user, &self.connection, &self.fingerprint));
        if !seen {
            bail!(
                "this host's sshd has not logged a login of '{}' with {} from {} port {}: the key is not proven here \
                 (sshd must log at level INFO or above)",
                self.user,
                self.fingerprint,
                self.connection.client,
                self.connection.client_port
            );
        }
        Ok(())
    }
}

impl Plan {
    /// Whether the record is armed and it is this rotation's.
    pub(super) fn concerns_armed(&self) -> bool {
        let record = self.guard.record.as_ref();
        record.is_some_and(|it| it.state == RollbackState::Armed && it.id == self.params.id)
    }

    pub(super) fn outcome(&self) -> Outcome {
        let edits = self.edits.iter().map(|(before, after)| {
            Diff::of(before.path.display(), read(before).describe(), read(after).describe())
        });
        let step = self.params.step.as_str();
        let decides = matches!(step, "confirm" | "rollback" | "expire");
        let changed = !self.edits.is_empty()
            || self.revoked.is_some()
            || self.arm.is_some()
            || decides && (self.concerns_armed() || self.guard.is_untidy())
            || step == "confirm" && self.params.remove.iter().any(|it| it.symlink_metadata().is_ok());
        Outcome::new(changed)
            .with_diff(edits.chain(self.revoked.iter().map(Revoked::diff)))
            .with("deadline", self.arm.as_ref().map(|it| it.deadline))
    }
}
