//! The host's sshd: what its configuration means for a login, as it says itself, and making it read
//! its configuration again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{node::systemd, system::accounts::Account};

/// How to reach the host's sshd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sshd {
    /// The program.
    pub program: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its systemd unit.
    pub unit: String,
}

/// A connection as the server's side sees it: `SSH_CONNECTION`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// The client's address.
    pub client: String,
    /// The client's port: no other login has it at the same time.
    pub client_port: u16,
    /// The address that the client connected to.
    pub server: String,
    /// The port that the client connected to.
    pub server_port: u16,
}

impl Connection {
    /// Reads `SSH_CONNECTION`.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [client, client_port, server, server_port] = words[..] else { return None };
        Some(Self {
            client: client.into(),
            client_port: client_port.parse().ok()?,
            server: server.into(),
            server_port: server_port.parse().ok()?,
        })
    }
}

/// sshd's settings for one user's login, by lower-case name.
pub struct Effective(BTreeMap<String, String>);

impl Sshd {
    /// The settings for a login of `user` through such a connection, `Match` blocks applied.
    pub fn effective(&self, user: &str, connection: Option<&Connection>) -> Result<Effective> {
        let (client, server, port) = connection
            .map_or(("127.0.0.1", "127.0.0.1", 22), |it| (&*it.client, &*it.server, it.server_port));
        // Without a host name: sshd matches the address, as with `UseDNS no`, its default.
        let login = format!("user={user},host={client},addr={client},laddr={server},lport={port}");
        let text = self.run(&["-T", "-C", &login])?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Effective(pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into())).collect()))
    }

    /// The private halves of the host's keys.
    pub fn host_keys(&self) -> Result<Vec<PathBuf>> {
        let text = self.run(&["-T"])?;
        Ok(text.lines().filter_map(|line| line.strip_prefix("hostkey ")).map(PathBuf::from).collect())
    }

    /// Whether sshd would start with the configuration that is there.
    pub fn test(&self) -> Result<()> {
        self.run(&["-t"]).map(drop)
    }

    /// Makes the running sshd read its configuration; connections stay. One that is started for each
    /// connection reads it anyway.
    pub fn reload(&self) -> Result<()> {
        self.test()?;
        let unit = systemd::full_name(&self.unit)?;
        if systemd::show(std::slice::from_ref(&unit))?.iter().any(systemd::Unit::is_active) {
            systemd::systemctl(&["reload", &unit])?;
        }
        Ok(())
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .arg("-f")
            .arg(&self.config)
            .args(arguments)
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("sshd refuses {}: {}", self.config.display(), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A file of this project's own beside sshd's configuration.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.config.parent().unwrap_or(Path::new("/etc/ssh")).join(name)
    }
}

impl Effective {
    /// A setting; empty where sshd does not print it.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The `authorized_keys` files of a user, the one to write first.
    pub fn authorized_keys_files(&self, account: &Account) -> Result<Vec<PathBuf>> {
        let user = &account.name;
        if self.get("pubkeyauthentication") == "no" {
            bail!("sshd lets user '{user}' in by no key (PubkeyAuthentication no)");
        }
        let home = Path::new(account.home.as_deref().unwrap_or("/"));
        let files: Vec<_> = self
            .get("authorizedkeysfile")
            .split_whitespace()
            .filter(|it| *it != "none")
            .map(|it| home.join(expand(it, account)))
            .collect();
        if files.is_empty() {
            bail!("sshd reads no file of keys for user '{user}' (AuthorizedKeysFile none)");
        }
        Ok(files)
    }
}

/// Replaces the tokens of `AuthorizedKeysFile` (`sshd_config(5)`).
fn expand(pattern: &str, account: &Account) -> String {
    let mut path = String::new();
    let mut rest = pattern.chars();
    while let Some(it) = rest.next() {
        match (it, if it == '%' { rest.next() } else { None }) {
            ('%', Some('h')) => path += account.home.as_deref().unwrap_or("/"),
            ('%', Some('u')) => path += &account.name,
            ('%', Some('U')) => path += &account.id.to_string(),
            ('%', Some(other)) => path.push(other),
            _ => path.push(it),
        }
    }
    path
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { name: "web".into(), id: 7, group: Some(7), home: Some("/srv/web".into()) }
    }

    fn files(setting: &str) -> Result<Vec<PathBuf>> {
        Effective([("authorizedkeysfile".into(), setting.into())].into()).authorized_keys_files(&account())
    }

    #[test]
    fn files_of_keys_are_found_where_sshd_reads_them() {
        let paths = |it: &[&str]| it.iter().map(PathBuf::from).collect::<Vec<_>>();
        let usual = paths(&["/srv/web/.ssh/authorized_keys", "/srv/web/.ssh/authorized_keys2"]);
        assert_eq!(files(".ssh/authorized_keys .ssh/authorized_keys2").unwrap(), usual);
        assert_eq!(files("/etc/keys/%u %h/k%%%U none").unwrap(), paths(&["/etc/keys/web", "/srv/web/k%7"]));
        assert!(files("none").is_err());
    }

    #[test]
    fn a_connection_has_four_words() {
        let it = Connection::parse("fe80::1%eth0 51324 10.0.0.2 22\n").unwrap();
        assert_eq!((it.client.as_str(), it.client_port, it.server_port), ("fe80::1%eth0", 51324, 22));
        assert_eq!(Connection::parse("10.0.0.1 1 10.0.0.2"), None);
    }
}
