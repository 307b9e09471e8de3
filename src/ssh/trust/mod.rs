//! The module `ssh_trust` (host): says which host keys there are, and puts into use what the control node
//! certified: the host's certificates, the CAs, what is revoked, and users' keys.

mod plan;
mod users;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

pub use plan::Plan;

use super::{key::PublicKey, sshd::Sshd};
use crate::module::{Argument, Module, Outcome, Task};

/// A host's certificate on its way.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Delivery {
    /// The host key that it certifies.
    pub key: PublicKey,
    /// The certificate; none in check mode.
    pub certificate: Option<String>,
    /// Why it was issued.
    pub reason: String,
}

crate::arguments! {
    /// A user's keys.
    #[derive(Clone)]
    pub struct UserKeys {
        /// The user.
        pub user: String => Argument::str().required(),
        /// The public keys that open the account: exactly these.
        pub keys: Vec<PublicKey> => Argument::list(Argument::str()).default(json!([])),
    }
}

crate::arguments! {
    /// Options of `ssh_trust`.
    pub struct Params {
        /// `ask` which host keys there are, or `install` what `ssh_ca` returned.
        pub step: String => Argument::str().required().choices(&["ask", "install"]),
        /// This host's certificates, as `ssh_ca` returned them.
        pub certificates: Vec<Delivery> => Argument::list(Argument::dict()).default(json!([])),
        /// Why `ssh_ca` refused this host; the module fails and says so.
        pub refused: String => Argument::str().default(""),
        /// The line with which every host is recognised, as `ssh_ca` returned it.
        pub known_hosts: Option<String> => Argument::str(),
        /// The CA of users, as `ssh_ca` returned it.
        pub user_ca: Option<PublicKey> => Argument::str(),
        /// What must not be believed, as `ssh_ca` returned it.
        pub revoked: String => Argument::str().default(""),
        /// With `ask`, whether to report the whole list of what is revoked here: to rebuild the CA's index with.
        pub evidence: bool => Argument::bool().default(false),
        /// Users whose keys are exactly these; whoever is named no more loses the keys that were written here.
        pub users: Vec<UserKeys> => Argument::list(Argument::options::<UserKeys>()).default(json!([])),
        /// The user that Ansible logs in as, whose keys a rotation exchanges and this module leaves alone.
        pub control_user: String => Argument::str().default(""),
        /// Where the host keeps what it knows of itself.
        pub directory: PathBuf => Argument::path().default("/var/lib/minicluster"),
        /// The host's sshd.
        pub sshd: PathBuf => Argument::path().default("/usr/sbin/sshd"),
        /// Its configuration.
        pub sshd_config: PathBuf => Argument::path().default("/etc/ssh/sshd_config"),
        /// Its unit.
        pub sshd_unit: String => Argument::str().default("ssh.service"),
    }
}

/// The module.
pub struct SshTrust;

impl Module for SshTrust {
    const NAME: &'static str = "ssh_trust";
    const ABOUT: &'static str =
        "Put this host's SSH certificates, the CAs, revocations and users' keys into use";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        if !params.refused.is_empty() {
            bail!("the control node refused this host's certificates: {}", params.refused);
        }
        let sshd = Sshd {
            program: params.sshd.clone(),
            config: params.sshd_config.clone(),
            unit: params.sshd_unit.clone(),
        };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if params.step == "ask" { Plan::ask(&params, sshd) } else { Plan::install(&params, sshd, now) }
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        plan.outcome()
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        plan.apply()?;
        Ok(predicted)
    }
}
