//! What a node keeps over restarts and crashes: its vote, and how far the election has come with it.

use serde::{Deserialize, Serialize};

use super::{Ballot, Message, NodeId, Status};

/// How far the election has come, for the ballot promised last.
///
/// There is one ballot and one stage, so a lock that is not the latest promise cannot be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Another ballot may be promised.
    #[default]
    Free,
    /// Nothing else will ever be promised.
    Locked,
    /// Leader: all members are locked; the action has started, and has not ended well yet.
    Started,
    /// Leader: the action has ended well; not every member knows of the outcome.
    Ran,
    /// Nothing is left to do.
    Done,
}

/// The persisted state. Every change of it is on the disk before anyone hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElectionState {
    /// The random value behind the node's id, in hexadecimal digits.
    pub seed: String,
    /// Whose votes these are.
    pub id: NodeId,
    /// The highest term ever promised.
    pub term: u64,
    /// The latest promise.
    pub ballot: Option<Ballot>,
    /// How far it has come.
    pub stage: Stage,
    /// Leader: members that know the outcome.
    pub told: Vec<NodeId>,
}

impl ElectionState {
    /// The state of a node that has never voted.
    pub fn new(id: NodeId, seed: String) -> Self {
        Self { seed, id, term: 0, ballot: None, stage: Stage::Free, told: Vec::new() }
    }

    /// What the others must know of it.
    pub fn status(&self) -> Status {
        Status {
            term: self.term,
            digest: self.ballot.as_ref().map(|it| it.digest.clone()),
            locked: self.stage > Stage::Free,
        }
    }

    /// Whether this node leads the ballot it has promised.
    pub fn leads(&self) -> bool {
        self.ballot.as_ref().is_some_and(|it| it.leader == self.id)
    }

    /// Whether nothing was ever voted with it: it may be thrown away.
    pub fn is_new(&self) -> bool {
        self.term == 0
    }

    /// The operator's word: the locked ballot is given up. Its term stays, so that no late message revives it.
    pub fn abandoned(self) -> Self {
        Self { ballot: None, stage: Stage::Free, told: Vec::new(), ..self }
    }

    /// A message about the latest promise.
    pub(super) fn say(&self, kind: fn(u64, super::Digest) -> Message) -> Option<Message> {
        self.ballot.as_ref().map(|it| kind(it.term, it.digest.clone()))
    }
}
