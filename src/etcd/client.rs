//! Talking to etcd through Debian's `etcdctl`, with the credentials of the host.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::Id;

/// A member as the cluster lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: Id,
    /// Its name; empty: added, but never started.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
}

impl Member {
    /// Whether it stands for one of `hosts` (host → peer URL), by name or by address.
    pub fn is_of(&self, hosts: &BTreeMap<String, String>) -> bool {
        hosts.contains_key(&self.name) || hosts.values().any(|it| self.peer_urls.contains(it))
    }
}

/// What `etcdctl` needs to know.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Client URLs of members.
    pub endpoints: Vec<String>,
    /// CA, certificate and private key; `None`: etcd without TLS.
    pub credentials: Option<[PathBuf; 3]>,
}

#[derive(Deserialize)]
struct Health {
    endpoint: String,
    health: bool,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    members: Vec<ListedMember>,
}

#[derive(Deserialize)]
struct ListedMember {
    #[serde(rename = "ID")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
}

impl Client {
    /// This client, talking only to a member that has the majority behind it: it answers a consistent read.
    pub fn with_majority(&self) -> Option<Self> {
        if self.endpoints.is_empty() {
            return None;
        }
        // Fails as a whole when one endpoint does, and still prints all of them.
        let output = self.run(&["endpoint", "health"]).ok()?;
        let health: Vec<Health> = serde_json::from_slice(&output.stdout).ok()?;
        let healthy = health.into_iter().find(|it| it.health)?;
        Some(Self { endpoints: vec![healthy.endpoint], ..self.clone() })
    }

    /// All members.
    pub fn members(&self) -> Result<Vec<Member>> {
        let listed: Listed =
            serde_json::from_slice(&self.ask(&["member", "list"])?).context("etcdctl member list")?;
        let member = |it: ListedMember| Member { id: Id(it.id), name: it.name, peer_urls: it.peer_urls };
        Ok(listed.members.into_iter().map(member).collect())
    }

    /// Announces a member before it starts for the first time.
    pub fn add(&self, name: &str, peer_url: &str) -> Result<()> {
        self.ask(&["member", "add", name, &format!("--peer-urls={peer_url}")]).map(drop)
    }

    /// Removes a member for good; its number never comes back.
    pub fn remove(&self, id: Id) -> Result<()> {
        self.ask(&["member", "remove", &id.to_string()]).map(drop)
    }

    /// Tells the others where a member is now.
    pub fn readdress(&self, id: Id, peer_url: &str) -> Result<()> {
        self.ask(&["member", "update", &id.to_string(), &format!("--peer-urls={peer_url}")]).map(drop)
    }

    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let error = errors.lines().rev().find(|it| it.starts_with("Error: ")).unwrap_or(&errors);
            bail!("etcdctl {}: {}", arguments.join(" "), error.trim());
        }
        Ok(output.stdout)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args([
            "--command-timeout=5s",
            "--dial-timeout=2s",
            "--write-out=json",
        ]);
        command.arg(format!("--endpoints={}", self.endpoints.join(",")));
        if let Some([ca, certificate, key]) = &self.credentials {
            command.arg("--cacert").arg(ca).arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command.args(arguments).output().context("cannot run etcdctl (Debian package etcd-client)")
    }
}
