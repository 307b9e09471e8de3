//! The module `ssh_login` (control node): which keys open a host, by real logins.

use std::{
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};

use super::{
    client::{Attempt, Destination},
    key::PublicKey,
    pair,
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    text::words,
};

crate::arguments! {
    /// Options of `ssh_login`.
    pub struct Params {
        /// The host's name in the inventory, for messages.
        pub host: String => Argument::str().required(),
        /// Where it is reached; else its name.
        pub address: Option<String> => Argument::str(),
        /// The port, where it is not the usual one.
        pub port: Option<u16> => Argument::int(),
        /// The user to log in as.
        pub user: String => Argument::str().required(),
        /// Private keys, tried one after another, each in a login of its own; a file that is not there is passed over.
        pub keys: Vec<PathBuf> => Argument::list(Argument::path()).required(),
        /// `opened`: one of them opens, and the first that does is returned. `refused`: the host refuses every one.
        pub expect: String => Argument::str().default("opened").choices(&["opened", "refused"]),
        /// Further options of ssh, as in `ansible_ssh_common_args`.
        pub ssh_args: String => Argument::str().default(""),
        /// Seconds after which the host counts as silent.
        pub timeout: u32 => Argument::int().default(10),
        /// For how many seconds a silent host is tried again.
        pub patience: u64 => Argument::int().default(0),
    }
}

/// Options of ssh as an operator writes them into the inventory, split as Ansible splits them.
fn arguments(text: &str) -> Result<Vec<String>> {
    let words = words::split(text, false).map_err(|error| anyhow!("option 'ssh_args': {error}: {text}"))?;
    Ok(words.into_iter().map(|it| it.text).collect())
}

/// The module.
pub struct SshLogin;

/// What the logins showed.
pub struct Plan {
    opened: Option<(PathBuf, PublicKey, super::sshd::Connection)>,
    refused: Vec<PublicKey>,
}

impl Module for SshLogin {
    const NAME: &'static str = "ssh_login";
    const ABOUT: &'static str = "Prove by real logins which keys open a host, and which do not";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let destination = Destination {
            address: params
                .address
                .clone()
                .filter(|it| !it.is_empty())
                .unwrap_or_else(|| params.host.clone()),
            port: params.port,
            user: params.user.clone(),
            arguments: arguments(&params.ssh_args)?,
            timeout: params.timeout.clamp(1, 600),
        };
        let wants_open = params.expect == "opened";
        let mut plan = Plan { opened: None, refused: Vec::new() };
        for path in params.keys.iter().filter(|it| it.exists()) {
            let key = pair::public_half(path)?;
            match patiently(&params, &destination, path, &key)? {
                Attempt::Opened(_) if !wants_open => {
                    bail!("{} still opens for user '{}': {}", params.host, params.user, key.describe());
                }
                Attempt::Opened(connection) => {
                    plan.opened = Some((path.clone(), key, connection));
                    return Ok(plan);
                }
                Attempt::Refused => plan.refused.push(key),
                Attempt::Unclear(said) => bail!("cannot log in to {}: {said}", params.host),
            }
        }
        if wants_open {
            let shown: Vec<_> = plan.refused.iter().map(PublicKey::describe).collect();
            let shown = if shown.is_empty() { "none is there".into() } else { shown.join(", ") };
            bail!("no key opens {} for user '{}' (tried: {shown})", params.host, params.user);
        }
        Ok(plan)
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let refused: Vec<_> = plan.refused.iter().map(PublicKey::fingerprint).collect();
        let outcome = Outcome::default().with("refused", refused);
        let Some((path, key, connection)) = &plan.opened else { return outcome };
        outcome.with("key", path).with("fingerprint", key.fingerprint()).with("connection", connection)
    }
}

/// A host whose sshd is just reading its configuration anew does not answer for a moment.
fn patiently(params: &Params, to: &Destination, path: &std::path::Path, key: &PublicKey) -> Result<Attempt> {
    let until = Instant::now() + Duration::from_secs(params.patience);
    loop {
        match to.login(path, key)? {
            Attempt::Unclear(_) if Instant::now() < until => sleep(Duration::from_millis(500)),
            other => return Ok(other),
        }
    }
}
