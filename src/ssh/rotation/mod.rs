//! The module `ssh_key_rotation`: the host's part of a rotation. It adds a key, revokes another under a
//! rollback, confirms, or restores.

mod edit;
mod journal;
mod plan;
mod revoked;
mod rollback;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;
use time::OffsetDateTime;

pub use edit::Edit;
pub use plan::{Plan, RECOVERY};
pub use revoked::LIST;
use rollback::{Guard, Record, RollbackState};

use super::{
    key::PublicKey,
    sshd::{Connection, Sshd},
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{
        fault,
        files::{self, LockGuard},
    },
};

crate::arguments! {
    /// Whose keys are exchanged.
    #[derive(Clone)]
    pub struct UserKeys {
        /// The user.
        pub user: String => Argument::str().required(),
        /// Public keys that open the account from now on.
        pub new: Vec<PublicKey> => Argument::list(Argument::str()).default(json!([])),
        /// Public keys that shall open it no more.
        pub old: Vec<PublicKey> => Argument::list(Argument::str()).default(json!([])),
        /// Whether every other key goes too; else a user's unrelated keys stay.
        pub exclusive: bool => Argument::bool().default(false),
    }
}

crate::arguments! {
    /// A login that proves the new key.
    #[derive(Clone)]
    pub struct Proof {
        /// The user who logged in.
        pub user: String => Argument::str().required(),
        /// The key's fingerprint.
        pub fingerprint: String => Argument::str().required(),
        /// The connection, as `ssh_login` returned it.
        pub connection: Connection => Argument::dict().required(),
    }
}

crate::arguments! {
    /// Options of `ssh_key_rotation`.
    pub struct Params {
        /// `add` the new keys beside the old, `revoke` the old under a rollback, `confirm` that all is well, or restore
        /// (`rollback`; `expire` is what the host itself does at the deadline).
        pub step: String => Argument::str().required().choices(&["add", "revoke", "confirm", "rollback", "expire"]),
        /// The rotation, as `ssh_control_key` names it.
        pub id: String => Argument::str().required(),
        /// Keys by user.
        pub keys: Vec<UserKeys> => Argument::list(Argument::options::<UserKeys>()).default(json!([])),
        /// A login of the control node, as `ssh_login` returned it: sshd is asked what holds for such ones.
        pub connection: Option<Connection> => Argument::dict(),
        /// With `revoke`: the login that proves a new key; the host's own sshd must have logged it.
        pub proof: Option<Proof> => Argument::options::<Proof>(),
        /// With `revoke`: public key, made for this rotation alone, that a rollback lets in beside what was there.
        pub recovery: Option<PublicKey> => Argument::str(),
        /// With `revoke`: whether the old keys may never open anything on this host again, whoever adds them (sshd's
        /// `RevokedKeys`); they are then removed from every account, and no rollback restores them.
        pub for_good: bool => Argument::bool().default(false),
        /// With `revoke`: seconds until the host restores what was there, unless told that all is well.
        pub window: u32 => Argument::int().default(300),
        /// With `confirm`: files with copies of the old key, to be removed.
        pub remove: Vec<PathBuf> => Argument::list(Argument::path()).default(json!([])),
        /// Where the host keeps what it needs for a rollback.
        pub directory: PathBuf => Argument::path().default("/var/lib/minicluster/ssh_rotation"),
        /// Where the host's own systemd units lie.
        pub unit_directory: PathBuf => Argument::path().default("/etc/systemd/system"),
        /// The host's sshd.
        pub sshd: PathBuf => Argument::path().default("/usr/sbin/sshd"),
        /// Its configuration.
        pub sshd_config: PathBuf => Argument::path().default("/etc/ssh/sshd_config"),
        /// Its unit.
        pub sshd_unit: String => Argument::str().default("ssh.service"),
    }
}

/// The module.
pub struct SshKeyRotation;

impl Module for SshKeyRotation {
    const NAME: &'static str = "ssh_key_rotation";
    const ABOUT: &'static str = "Exchange the keys that open this host, so that nobody is locked out";
    type Params = Params;
    type Plan = Plan;

    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        // What is added decides nothing.
        (params.step != "add").then(|| Guard::lock(&params.directory)).transpose()
    }

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let sshd = Sshd {
            program: params.sshd.clone(),
            config: params.sshd_config.clone(),
            unit: params.sshd_unit.clone(),
        };
        let guard = Guard::read(&params.directory, &params.unit_directory)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        match params.step.as_str() {
            "add" => plan::add(params, sshd, guard),
            "revoke" => plan::revoke(params, sshd, guard, now, task.check_mode),
            _ => Ok(Plan { edits: Vec::new(), revoked: None, arm: None, now, sshd, guard, params }),
        }
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        plan.outcome()
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        match plan.params.step.as_str() {
            "add" | "revoke" => apply_edits(plan, predicted),
            "confirm" => confirm(plan, predicted),
            _ => restore(plan, predicted),
        }
    }
}

fn apply_edits(mut plan: Plan, outcome: Outcome) -> Result<Outcome> {
    if let Some(record) = plan.arm.take() {
        plan.guard.arm(record, plan.params.window, &plan.sshd)?;
    }
    if let Some(revoked) = plan.revoked.take() {
        revoked.apply(&plan.sshd)?;
        fault::point("ssh_key_rotation:revoked");
    }
    for (_, edit) in &plan.edits {
        edit.write()?;
        fault::point("ssh_key_rotation:edited");
    }
    Ok(outcome)
}

/// Under the lock: either this happens or the expiry. What the deadline has passed counts as expired,
/// also when the timer has not come to it yet.
fn confirm(mut plan: Plan, mut outcome: Outcome) -> Result<Outcome> {
    if let Some(record) = plan.guard.record.clone().filter(|it| it.id == plan.params.id) {
        if record.state == RollbackState::Armed && plan.now >= record.deadline {
            plan.guard.roll_back(&plan.sshd)?;
        }
        if plan.guard.record.as_ref().is_some_and(|it| it.state == RollbackState::RolledBack) {
            plan.guard.tidy()?;
            bail!(
                "the old keys were restored because nobody confirmed in time: run again, with a longer window if the \
                 way to the host is slow"
            );
        }
        let old: Vec<PublicKey> = plan.params.keys.iter().flat_map(|it| it.old.clone()).collect();
        let ended = journal::end_sessions(&old)?;
        fault::point("ssh_key_rotation:sessions");
        plan.guard.confirm()?;
        fault::point("ssh_key_rotation:confirmed");
        outcome.changed |= ended > 0;
        outcome.values.insert("sessions_ended".into(), json!(ended));
    }
    for path in &plan.params.remove {
        files::remove(path)?;
        fault::point("ssh_key_rotation:removed");
    }
    plan.guard.tidy()?;
    Ok(outcome)
}

fn restore(mut plan: Plan, mut outcome: Outcome) -> Result<Outcome> {
    if plan.concerns_armed() {
        let done = plan.guard.roll_back(&plan.sshd);
        if plan.params.step == "expire" && done.as_ref().is_ok_and(|it| *it) {
            // For the journal: this is the host's own doing, and nobody else says it.
            let id = &plan.params.id;
            done.map(drop).context("")?;
            outcome.msg = Some(format!("rotation {id} was not confirmed in time: the old keys are restored"));
            plan.guard.tidy()?;
            return Ok(outcome);
        }
        done?;
    }
    plan.guard.tidy()?;
    Ok(outcome)
}
