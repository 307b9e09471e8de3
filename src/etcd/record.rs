//! What the control node remembers of the cluster: that it was founded, and who it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Data, Id, cluster_id};
use crate::system::files::Persisted;

/// How far a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundingState {
    /// Its first members may have been started; nothing shows yet that they elected a leader.
    Founding,
    /// It exists. Nobody founds one again.
    Founded,
}

/// The file `etcd.json` below `private_dir`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// How far the cluster is.
    pub state: FoundingState,
    /// Who it is.
    pub cluster_id: Id,
    /// What distinguishes this founding from every other.
    pub token: String,
    /// Host → peer URL of those that found it.
    pub members: BTreeMap<String, String>,
    /// Foundings that were given up before any leader was elected, and how many founders each had. What is left of
    /// them holds nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub abandoned: BTreeMap<Id, u64>,
}

impl Persisted for Record {
    const REMEDY: &'static str = "remove it, and the next run rebuilds it from the members' data";
}

impl Record {
    /// A founding that begins.
    pub fn founding(token: &str, members: &BTreeMap<String, String>) -> Self {
        let cluster_id = cluster_id(token, members);
        let members = members.clone();
        Self {
            state: FoundingState::Founding,
            cluster_id,
            token: token.to_owned(),
            members,
            abandoned: BTreeMap::new(),
        }
    }

    /// A cluster that exists, as its members' data tells.
    pub fn rebuilt(cluster_id: Id) -> Self {
        Self { state: FoundingState::Founded, cluster_id, ..Self::founding("", &BTreeMap::new()) }
    }

    /// This founding elected no leader: `next` takes its place.
    pub fn given_up_for(&self, next: Self) -> Self {
        let mut abandoned = self.abandoned.clone();
        abandoned.insert(self.cluster_id, self.founders());
        abandoned.remove(&next.cluster_id);
        Self { abandoned, ..next }
    }

    /// How many found it.
    pub fn founders(&self) -> u64 {
        u64::try_from(self.members.len()).unwrap_or(u64::MAX)
    }

    /// Whether `data` is what a founding left that was given up.
    pub fn has_abandoned(&self, data: Data) -> bool {
        is_abandoned(&self.abandoned, data)
    }
}

/// Whether `data` is of one of these foundings, and none elected a leader in it: the log has no more than its founders.
pub(super) fn is_abandoned(foundings: &BTreeMap<Id, u64>, data: Data) -> bool {
    foundings.get(&data.cluster_id).is_some_and(|founders| data.last_index <= *founders)
}
