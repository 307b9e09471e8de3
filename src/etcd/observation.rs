//! What one host knows of etcd: its disk, and what its etcd answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Data, Member};

/// One host, looked at and not touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The identity in its data directory; `None`: no data.
    pub data: Option<Data>,
    /// The membership, where its etcd answers with the majority behind it.
    pub members: Option<Vec<Member>>,
    /// Peer URLs of members that were announced and never started, as its etcd tells without a majority.
    #[serde(default)]
    pub announced: Vec<String>,
    /// Names in the members' peer URLs that a host without data cannot resolve.
    #[serde(default)]
    pub unresolved: Vec<String>,
}

/// Hosts that were looked at. One that could not be reached is missing here.
pub(super) type Observations = BTreeMap<String, Observation>;
