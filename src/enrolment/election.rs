//! The outcome of an election as `zeroconf_election` hands it to the programs that it runs. Everything in it
//! comes from machines of the cluster, and none of it is believed to be anything but what it must be.

use std::{env, net::IpAddr, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{host_name, ssh::key::PublicKey, system::files};

/// The variable that holds it, as JSON.
pub(super) const VARIABLE: &str = "MINICLUSTER_ELECTION";

/// Who takes part, and who leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Election {
    /// The cluster's name.
    pub cluster: String,
    /// The leader's term.
    pub term: u64,
    /// What all members agreed on, as a digest.
    pub digest: String,
    /// The leader's node id.
    pub leader: String,
    /// This machine's node id.
    #[serde(rename = "self")]
    pub own: String,
    /// All members.
    pub members: Vec<Member>,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its node id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its addresses; the first is the one by which it was met.
    pub addresses: Vec<String>,
    /// `manager` or `worker`.
    pub role: String,
    /// The public key of its sshd.
    pub host_key: String,
    /// The public key with which it would open the others, did it lead.
    pub user_key: String,
}

impl Election {
    /// Reads it from the environment, or from where [`save`](super::enrol) has put it.
    pub fn read(saved: &Path) -> Result<Self> {
        let text = match env::var(VARIABLE) {
            Ok(text) => text,
            Err(_) => files::text(saved).with_context(|| {
                format!(
                    "{VARIABLE} is not set and {} cannot be read: zeroconf_election runs this program",
                    saved.display()
                )
            })?,
        };
        Self::parse(&text).with_context(|| format!("the outcome of the election ({VARIABLE}) is unusable"))
    }

    /// Reads it from JSON.
    pub fn parse(text: &str) -> Result<Self> {
        let election: Self = serde_json::from_str(text)?;
        if !election.members.iter().any(|it| it.id == election.leader) {
            bail!("the leader {} is no member", election.leader);
        }
        election.own_record()?;
        for name in [&election.cluster, &election.digest] {
            word(name)?;
        }
        for (place, member) in election.members.iter().enumerate() {
            member.check().with_context(|| format!("member {}", member.name.escape_debug()))?;
            for other in &election.members[..place] {
                if other.id == member.id || other.name == member.name {
                    bail!("two members are called {} or have its id", member.name);
                }
                if host_name::alike(&other.name, &member.name) {
                    let (one, other) = (&other.name, &member.name);
                    bail!(
                        "two members are called {one} and {other}, which certificates cannot tell apart: rename one"
                    );
                }
            }
        }
        Ok(election)
    }

    /// Whether this machine leads.
    pub fn leads(&self) -> bool {
        self.own == self.leader
    }

    /// The leader's record.
    pub fn leader_record(&self) -> Result<&Member> {
        self.member(&self.leader)
    }

    /// This machine's record.
    pub fn own_record(&self) -> Result<&Member> {
        self.member(&self.own)
    }

    fn member(&self, id: &str) -> Result<&Member> {
        let found = self.members.iter().find(|it| it.id == id);
        found.with_context(|| format!("{id} is no member"))
    }
}

impl Member {
    fn check(&self) -> Result<()> {
        word(&self.name)?;
        if let Some(reason) = host_name::refusal_of_member(&self.name) {
            bail!("it cannot be called so: {reason}");
        }
        word(&self.id)?;
        self.group()?;
        if self.reachable().next().is_none() {
            bail!("it has no address by which others reach it: {}", self.addresses.join(", "));
        }
        for it in [&self.host_key, &self.user_key] {
            it.parse::<PublicKey>()?;
        }
        Ok(())
    }

    /// Addresses that mean the same machine from everywhere: none that need an interface beside them.
    pub fn reachable(&self) -> impl Iterator<Item = IpAddr> {
        let addresses = self.addresses.iter().filter_map(|it| it.parse().ok());
        addresses.filter(|it| match it {
            IpAddr::V4(it) => !it.is_link_local() && !it.is_loopback() && !it.is_unspecified(),
            IpAddr::V6(it) => !it.is_unicast_link_local() && !it.is_loopback() && !it.is_unspecified(),
        })
    }

    /// The group of `hosts` that the machine's role decides.
    pub fn group(&self) -> Result<&'static str> {
        match self.role.as_str() {
            "manager" => Ok("core"),
            "worker" => Ok("workers"),
            other => bail!("'{}' is no role; expected manager or worker", other.escape_debug()),
        }
    }

    /// A public key of it as it may stand in a file: type and key, without whatever else it says.
    pub fn plain(key: &str) -> Result<String> {
        let key: PublicKey = key.parse()?;
        Ok(PublicKey::from_blob(key.blob(), "")?.to_string())
    }
}

/// A name that can stand in any file without meaning something else there.
fn word(text: &str) -> Result<()> {
    let known = |it: char| it.is_ascii_alphanumeric() || "-.".contains(it);
    let begins = text.starts_with(|it: char| it.is_ascii_alphanumeric());
    if !begins || text.len() > 128 || !text.chars().all(known) {
        bail!("'{}' is no name; expected letters, digits, dashes and dots", text.escape_debug());
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Hk6sJXgvHhAaGkE9Ypr8PKIXb0cUvxdiEzUdkYjbR";

    /// Three machines; the first leads, the last is a worker.
    pub(crate) fn election() -> Value {
        let member = |number: u8, role: &str| {
            json!({"id": format!("id{number}"), "name": format!("host{number}"), "election_id": "1", "role": role,
                "addresses": [format!("10.0.0.{number}"), "fe80::1"], "host_key": KEY, "user_key": format!("{KEY} root@x")})
        };
        json!({"cluster": "demo", "term": 1, "digest": "d1", "leader": "id1", "self": "id1",
            "members": [member(1, "manager"), member(2, "manager"), member(3, "worker")]})
    }

    #[test]
    fn who_leads_and_how_others_reach_whom() {
        let election = Election::parse(&election().to_string()).unwrap();
        assert!(election.leads());
        let last = &election.members[2];
        assert_eq!((last.group().unwrap(), last.reachable().count()), ("workers", 1));
        assert_eq!(Member::plain(&last.user_key).unwrap(), KEY);
    }

    #[test]
    fn what_could_mean_something_else_in_a_file_is_refused() {
        for (pointer, value, expected) in [
            ("/members/1/name", "x ansible_connection=local", "is no name"),
            ("/members/1/name", "x\n[all:vars]", "is no name"),
            ("/members/1/name", "host1", "two members"),
            ("/members/1/name", "Host1", "cannot tell apart"),
            ("/members/1/name", "host1.example.com", "cannot tell apart"),
            ("/members/1/name", "etcd", "cannot be called so"),
            ("/members/1/name", "all", "cannot be called so"),
            (
                "/members/1/name",
                "a-name-of-fifty-two-characters-which-is-two-too-many",
                "cannot be called so",
            ),
            ("/members/1/name", "-oProxyCommand=id", "is no name"),
            ("/members/1/id", "a b", "is no name"),
            ("/members/1/addresses/0", "10.0.0.1 x=y", "no address"),
            ("/members/1/addresses/0", "127.0.0.1", "no address"),
            ("/members/1/role", "core\n", "is no role"),
            ("/members/1/host_key", "ssh-ed25519 AAAA", ""),
            ("/members/1/user_key", "command=\"id\" ssh-ed25519 AAAA", "no public key"),
            ("/leader", "id9", "is no member"),
            ("/self", "id9", "is no member"),
        ] {
            let mut election = election();
            *election.pointer_mut(pointer).unwrap() = value.into();
            let error = format!("{:#}", Election::parse(&election.to_string()).unwrap_err());
            assert!(error.contains(expected), "{pointer} {value}: {error}");
        }
    }
}
