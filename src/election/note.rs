//! What the election tells a person while it runs.

use std::fmt;

use super::{Ballot, Record};

/// One line of the log.
#[allow(missing_docs, reason = "what the fields hold is said where they are printed")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A node is alive.
    Seen { node: Record, seen: usize, expect: usize },
    /// A node is not alive any more.
    Lost { node: Record, seen: usize, expect: usize },
    /// More than N are there.
    Crowd { seen: usize, expect: usize },
    /// N are there, and for some time nobody has asked for votes, or somebody has not given one.
    Stalled { expect: usize },
    /// A node that is not on the list of allowed ones.
    NotAllowed { node: Record },
    /// All are there; this node asks for their votes.
    Candidate { term: u64, members: usize },
    /// This node has given its vote.
    Promised { term: u64, leader: String },
    /// This node is locked.
    LockedIn { ballot: Box<Ballot> },
    /// A node came too late.
    Late { node: Record },
    /// The program for the lock has failed.
    HookFailed,
    /// A start that did not end well is done again.
    Again,
    /// This node leads and the action starts.
    Leads { term: u64 },
    /// Another node leads and its action has started.
    Follows { leader: String, term: u64 },
    /// The action has ended well; some do not know of the outcome.
    Telling { left: usize },
}

/// How much a line matters, in the words of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Debug,
    /// Who was seen, what is waited for, who leads.
    Info,
    /// What should not be.
    Warning,
    /// Why it failed.
    Error,
    /// The same: the original has five words.
    Critical,
}

impl Note {
    /// How much it matters.
    pub const fn level(&self) -> Level {
        match self {
            Self::Promised { .. } | Self::Candidate { .. } => Level::Debug,
            Self::Crowd { .. }
            | Self::Stalled { .. }
            | Self::NotAllowed { .. }
            | Self::Late { .. }
            | Self::HookFailed => Level::Warning,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Seen { node, seen, expect } => write!(out, "sees {node}: {seen} of {expect} are here"),
            Self::Lost { node, seen, expect } => write!(out, "lost {node}: {seen} of {expect} are here"),
            Self::Crowd { seen, expect } => {
                write!(
                    out,
                    "{seen} nodes are here and {expect} are expected: nobody votes until that changes; \
                     give all the same --expect, or stop those that are too many"
                )
            }
            Self::Stalled { expect } => {
                write!(
                    out,
                    "all {expect} are here, and there is no vote: one of them may expect another number, not see all others, or \
                     be locked by an election before; give all the same --expect, and look at their logs"
                )
            }
            Self::NotAllowed { node } => {
                write!(out, "{node} is not on the list of allowed nodes; ignoring it")
            }
            Self::Candidate { term, members } => {
                write!(out, "all {members} are here; asking for their votes (term {term})")
            }
            Self::Promised { term, leader } => write!(out, "votes for {leader} (term {term})"),
            Self::LockedIn { ballot } => {
                let leader = ballot.leader().map(|it| it.name.as_str()).unwrap_or_default();
                write!(out, "locked: {leader} will lead (term {})", ballot.term)
            }
            Self::Late { node } => {
                write!(out, "{node} is not a member: it came after the vote, and is refused")
            }
            Self::HookFailed => out.write_str("the program for the lock (--on-lock) failed; trying again"),
            Self::Again => out.write_str("the action was started before and did not end well; it runs again"),
            Self::Leads { term } => write!(out, "leads (term {term}); starting the action"),
            Self::Follows { leader, term } => write!(out, "{leader} leads (term {term}) and has started"),
            Self::Telling { left } => {
                write!(
                    out,
                    "the action has ended well; {left} members do not know of it yet, waiting for them"
                )
            }
        }
    }
}
