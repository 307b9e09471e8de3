//! What members say to each other.

use serde::{Deserialize, Serialize};

use super::{Digest, NodeId};

/// One process of one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Who.
    pub id: NodeId,
    /// Which start of its process.
    pub incarnation: u64,
}

/// What a node has persisted, as far as others must know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The highest term it has promised.
    pub term: u64,
    /// The membership it has promised it for.
    pub digest: Option<Digest>,
    /// Whether it is locked.
    pub locked: bool,
}

/// A message between two members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Are you alive?
    Ping {
        /// Of this ping alone.
        number: u64,
    },
    /// I am, and I had this on disk when I was asked.
    Pong {
        /// The number of the ping.
        number: u64,
        /// What is on disk.
        status: Status,
    },
    /// Candidate to member: promise me this.
    Prepare {
        /// Above every term that any member has promised.
        term: u64,
        /// Of the candidate's membership.
        digest: Digest,
    },
    /// Member to candidate: promised, and on disk.
    Promise {
        /// As asked for.
        term: u64,
        /// As asked for.
        digest: Digest,
    },
    /// Leader to member: all have promised; never choose anything else again.
    Lock {
        /// As promised.
        term: u64,
        /// As promised.
        digest: Digest,
    },
    /// Member to leader: locked, and on disk.
    Locked {
        /// As told.
        term: u64,
        /// As told.
        digest: Digest,
    },
    /// Leader to member: all are locked; the action starts.
    Go {
        /// As locked.
        term: u64,
        /// As locked.
        digest: Digest,
    },
    /// Member to leader: I know, and leave.
    Known {
        /// As told.
        term: u64,
        /// As told.
        digest: Digest,
    },
    /// A locked node to one that is not a member: the cluster is complete.
    Complete {
        /// Who leads it.
        leader: String,
        /// Who is in it.
        members: Vec<String>,
    },
}
