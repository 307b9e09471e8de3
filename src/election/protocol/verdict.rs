//! How an election ends for a node, in words and as an exit status.

use std::fmt;

use super::super::{Ballot, Record};

/// The end of a process.
#[allow(missing_docs, reason = "what the fields hold is said where they are printed")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another node leads, and has started.
    Follows { leader: String },
    /// This node leads; its action has ended with this status.
    Led { status: u8 },
    /// The election was over before this process started.
    AlreadyDone,
    /// Fewer than N were there at the end.
    TooFew { seen: Vec<Record>, gone: Vec<Record>, expect: usize },
    /// More than N were there, at the end or before.
    TooMany { seen: Vec<Record>, expect: usize },
    /// N were there, and yet there was no vote.
    NoAgreement { seen: Vec<Record> },
    /// Two nodes have one id or one name.
    Duplicate { one: Box<Record>, other: Box<Record> },
    /// The others have decided without this node.
    TooLate { leader: String, members: Vec<String> },
    /// This node is locked and does not know of a start.
    Undecided { ballot: Box<Ballot>, missing: Vec<String> },
}

impl Verdict {
    /// The exit status of the program, as `--help` says.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Follows { .. } | Self::AlreadyDone => 0,
            Self::Led { status } => *status,
            Self::TooFew { .. } => 75,
            Self::TooMany { .. } | Self::NoAgreement { .. } => 76,
            Self::Duplicate { .. } => 77,
            Self::TooLate { .. } => 78,
            Self::Undecided { .. } => 79,
        }
    }

    /// Whether the election has an outcome and this node is part of it.
    pub const fn is_decided(&self) -> bool {
        matches!(self, Self::Follows { .. } | Self::Led { .. } | Self::AlreadyDone)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Follows { leader } => write!(out, "{leader} leads"),
            Self::Led { status: 0 } => out.write_str("led; the action has ended well"),
            Self::Led { status } => {
                write!(out, "led, but the action failed with status {status}; run this again to run it again")
            }
            Self::AlreadyDone => out.write_str("the election is over; nothing to do"),
            Self::TooFew { seen, gone, expect } => write!(
                out,
                "{} of {expect} nodes were here at the timeout: this one{}{}{}; start the others, or say how many there are with --expect",
                seen.len() + 1,
                names(seen),
                if gone.is_empty() { "" } else { "; here before" },
                names(gone)
            ),
            Self::TooMany { seen, expect } => write!(
                out,
                "{} nodes were here and {expect} are expected: this one{}; stop those that are too many, or say how many there are with --expect",
                seen.len() + 1,
                names(seen)
            ),
            Self::NoAgreement { seen } => write!(
                out,
                "all are here, this one{}, but they did not agree before the timeout; one of them may expect another number, not see all others, or be locked by an election before; give all the same --expect, and look at their logs",
                names(seen)
            ),
            Self::Duplicate { one, other } if one.id == other.id => write!(
                out,
                "two nodes have the id {}: {} and {}; one was cloned from the other: remove the state directory of one of them",
                one.id.short(),
                place(one),
                place(other)
            ),
            Self::Duplicate { one, other } => write!(
                out,
                "two nodes have the name {}: {} and {}; give each host a name of its own",
                one.name,
                place(one),
                place(other)
            ),
            Self::TooLate { leader, members } => write!(
                out,
                "the cluster is complete without this node: {leader} leads {}; this node came too late, or was installed anew",
                members.join(", ")
            ),
            Self::Undecided { ballot, missing } => {
                let leader = ballot.leader().map(|it| it.name.as_str()).unwrap_or_default();
                write!(
                    out,
                    "undecided: this node is locked with {leader} as its leader, and has not learnt whether it started ({}); \
                     run this again when all its members are up",
                    if missing.is_empty() {
                        "all members are here".into()
                    } else {
                        format!("not here: {}", missing.join(", "))
                    },
                )
            }
        }
    }
}

fn names(seen: &[Record]) -> String {
    seen.iter().flat_map(|it| [", ".into(), it.to_string()]).collect()
}

fn place(node: &Record) -> String {
    format!("{} ({})", node.name, node.address())
}
