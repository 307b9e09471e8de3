//! A member as the others know it, a membership of exactly N of them, and its digest.

use std::{fmt, net::IpAddr};

use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::NodeId;
use crate::text::hex;

/// What a node says of itself, authenticated, once for each of its incarnations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who it is.
    pub id: NodeId,
    /// Which start of its process this is.
    pub incarnation: u64,
    /// The first address of its first interface as an integer: the lowest one leads.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub election_id: u128,
    /// Its host name.
    pub name: String,
    /// Its addresses, as it sees them, the first one first.
    pub addresses: Vec<IpAddr>,
    /// Where it takes connections.
    pub port: u16,
    /// What the machine is for. The election only carries it.
    pub role: Option<String>,
    /// Its SSH host public key. The election only carries it.
    pub host_key: Option<String>,
    /// The SSH public key of its operator account. The election only carries it.
    pub user_key: Option<String>,
}

impl Record {
    /// What decides: the smallest leads.
    pub fn rank(&self) -> (u128, &NodeId) {
        (self.election_id, &self.id)
    }

    /// The first address, as text; empty where there is none.
    pub fn address(&self) -> String {
        self.addresses.first().map(ToString::to_string).unwrap_or_default()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} ({}, {})", self.name, self.address(), self.id.short())
    }
}

/// SHA-256 of a membership, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(String);

impl Digest {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Members in the order of their rank, the leader first, and the digest over all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Sorted by (election id, node id).
    pub members: Vec<Record>,
    /// Covers the cluster's name, N, and every field of every member.
    pub digest: Digest,
}

impl Membership {
    /// Sorts the members and takes their digest.
    pub fn new(cluster: &str, expect: usize, mut members: Vec<Record>) -> Self {
        members.sort_by(|a, b| a.rank().cmp(&b.rank()));
        // JSON of a fixed shape: no two memberships have the same text. Nothing in it can fail to be written.
        let text = serde_json::to_vec(&(cluster, expect, &members)).unwrap_or_default();
        Self { members, digest: Digest(hex::encode(digest::digest(&digest::SHA256, &text).as_ref())) }
    }
}

/// What is voted on: a term, a membership, and the leader that follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// Rises with each attempt.
    pub term: u64,
    /// Of the membership.
    pub digest: Digest,
    /// The member that asked for the vote.
    pub leader: NodeId,
    /// Sorted, as in [`Membership`].
    pub members: Vec<Record>,
}

impl Ballot {
    /// Whether a message that names this term and digest means this ballot.
    pub fn is(&self, term: u64, digest: &Digest) -> bool {
        self.term == term && self.digest == *digest
    }

    /// Whether the node is one of its members.
    pub fn has(&self, id: &NodeId) -> bool {
        self.members.iter().any(|it| it.id == *id)
    }

    /// The leader's record.
    pub fn leader(&self) -> Option<&Record> {
        self.members.iter().find(|it| it.id == self.leader)
    }
}

fn as_text<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// A member for tests.
    pub(crate) fn record(id: &str, election_id: u128) -> Record {
        Record {
            id: NodeId::parse(id).unwrap(),
            incarnation: 1,
            election_id,
            name: format!("name-{id}"),
            addresses: vec![IpAddr::from([10, 0, 0, 1])],
            port: 1,
            role: None,
            host_key: None,
            user_key: None,
        }
    }

    #[test]
    fn the_lowest_election_id_comes_first_then_the_lowest_node_id() {
        let members = vec![record("c", 7), record("b", 7), record("a", 9)];
        let sorted = Membership::new("x", 3, members).members;
        assert_eq!(sorted.iter().map(|it| it.id.as_str()).collect::<String>(), "bca");
    }

    #[test]
    fn the_digest_covers_the_cluster_the_number_and_every_field_but_not_the_order() {
        let (a, b) = (record("a", 1), record("b", 2));
        let digest = |cluster, expect, members| Membership::new(cluster, expect, members).digest;
        let known = digest("x", 2, vec![a.clone(), b.clone()]);
        assert_eq!(known, digest("x", 2, vec![b.clone(), a.clone()]));
        let key = Record { host_key: Some("k".into()), ..b.clone() };
        let restarted = Record { incarnation: 2, ..b.clone() };
        for other in [
            digest("y", 2, vec![a.clone(), b.clone()]),
            digest("x", 3, vec![a.clone(), b]),
            digest("x", 2, vec![a.clone(), key]),
            digest("x", 2, vec![a, restarted]),
        ] {
            assert_ne!(known, other);
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record { election_id: u128::MAX, role: Some("manager".into()), ..record("a", 1) };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
