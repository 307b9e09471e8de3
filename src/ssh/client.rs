//! A login with exactly one key, by the real `ssh`: no agent, no other key, no shared connection.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use super::{key::PublicKey, sshd::Connection};

/// Where to log in.
pub struct Destination {
    /// The address or name.
    pub address: String,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
    /// The user.
    pub user: String,
    /// Further options of ssh.
    pub arguments: Vec<String>,
    /// Seconds after which the server counts as silent.
    pub timeout: u32,
}

/// How a login ended.
#[derive(Debug, PartialEq)]
pub enum Attempt {
    /// The key opens the account.
    Opened(Connection),
    /// The server was shown this key and refused it.
    Refused,
    /// Neither is certain; what ssh said.
    Unclear(String),
}

/// Settings of the operator that say how the host is reached and recognised. All others, those that name
/// keys above all, are left out: the proof is about one key.
const KEPT: &[&str] = &[
    "hostname",
    "port",
    "user",
    "proxycommand",
    "proxyjump",
    "addressfamily",
    "bindaddress",
    "bindinterface",
    "userknownhostsfile",
    "globalknownhostsfile",
    "knownhostscommand",
    "hostkeyalias",
    "hostkeyalgorithms",
    "stricthostkeychecking",
    "checkhostip",
    "verifyhostkeydns",
];

const MARK: &str = "minicluster-login";

impl Destination {
    /// Tries to log in with the private key at `path`, whose public half is `public`.
    pub fn login(&self, path: &Path, public: &PublicKey) -> Result<Attempt> {
        let mut command = Command::new("timeout");
        command.args([&(self.timeout * 3).to_string(), "ssh", "-F", "none", "-v", "-T"]);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ControlMaster=no",
            "ControlPath=none",
            "PreferredAuthentications=publickey",
            // A certificate beside the key would be another proof than the key's.
            "PubkeyAcceptedAlgorithms=-*-cert-*",
            "UpdateHostKeys=no",
            "ServerAliveInterval=5",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-o", &format!("ConnectTimeout={}", self.timeout), "-i"]).arg(path);
        for (name, value) in self.settings()? {
            command.args(["-o", &format!("{name}={value}")]);
        }
        let ask = format!("echo {MARK} \"$SSH_CONNECTION\"");
        let output = command.args(["--", &self.address, &ask]).output().context("cannot run ssh")?;
        let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok(judge(&said, &log, public))
    }

    /// How ssh would reach the host, the operator's own configuration considered.
    fn settings(&self) -> Result<BTreeMap<String, String>> {
        let mut command = Command::new("ssh");
        command.args(["-G", "-l", &self.user]);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(&self.arguments).args(["--", &self.address]);
        let output = command.output().context("cannot run ssh")?;
        if !output.status.success() {
            bail!("ssh refuses its options: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let kept = pairs.filter(|(name, value)| KEPT.contains(name) && *value != "none");
        Ok(kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

fn judge(said: &str, log: &str, public: &PublicKey) -> Attempt {
    if let Some(found) = said.lines().find_map(|it| it.strip_prefix(MARK)).and_then(Connection::parse) {
        return Attempt::Opened(found);
    }
    let fingerprint = public.fingerprint();
    let offered = log
        .lines()
        .any(|it| it.contains("Offering public key:") && it.split(' ').any(|it| it == fingerprint));
    let log_of_people = || log.lines().filter(|it| !it.starts_with("debug") && !it.starts_with("OpenSSH_"));
    if offered && log_of_people().any(|it| it.contains(": Permission denied (")) {
        return Attempt::Refused;
    }
    let words: Vec<_> = log_of_people().map(str::trim).filter(|it| !it.is_empty()).collect();
    let words = if words.is_empty() { said.trim().to_owned() } else { words.join("; ") };
    Attempt::Unclear(if words.is_empty() { "it did not answer in time".into() } else { words })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn refused_is_only_what_was_offered() {
        let key = super::super::pair::Pair::generate("").unwrap();
        let key = key.public();
        let offer = format!("debug1: Offering public key: /k ED25519 {} explicit\n", key.fingerprint());
        let denied = "a@10.0.0.1: Permission denied (publickey).\n";
        assert_eq!(judge("", &format!("{offer}{denied}"), key), Attempt::Refused);
        assert!(matches!(judge("", denied, key), Attempt::Unclear(it) if it.contains("Permission denied")));
        let down = "debug1: Connecting\nssh: connect to host 10.0.0.1 port 22: Connection refused\n";
        assert!(matches!(judge("", down, key), Attempt::Unclear(it) if it.ends_with("Connection refused")));
        assert!(matches!(judge("", "", key), Attempt::Unclear(it) if it == "it did not answer in time"));
    }

    #[test]
    fn a_greeting_before_the_answer_does_no_harm() {
        let key = super::super::pair::Pair::generate("").unwrap();
        let said = "Welcome!\nminicluster-login 10.0.0.1 4711 10.0.0.2 22\n";
        assert!(matches!(judge(said, "", key.public()), Attempt::Opened(it) if it.client_port == 4711));
    }
}
