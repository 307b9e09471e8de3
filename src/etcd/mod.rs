//! The membership of an etcd cluster without a special first node: one founding, ever.
//!
//! Each host reports what its disk and its etcd say ([`Observation`]); the control node keeps a small
//! [`Record`] and decides what every host does ([`decide`], pure); the host carries it out.
//! No decision looks at a host's position in the inventory.

mod agreement;
mod client;
mod cluster;
mod decision;
mod identity;
mod member;
mod names;
mod observation;
mod record;
mod steps;
mod wal;

pub use agreement::{Verdict, verdict, words_needed};
pub use client::{Client, Member};
pub use cluster::EtcdCluster;
pub use decision::{Decision, Situation, Step, decide, restore};
pub use identity::{Id, cluster_id, member_id};
pub use member::EtcdMember;
pub use observation::Observation;
pub use record::{FoundingState, Record};
pub use wal::Data;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
