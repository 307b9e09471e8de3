//! Who runs where: a pure function of hosts, services and the lock file.

mod cluster;
mod demand;
mod explain;
mod lock;
mod place;
mod plan;
mod rank;
mod rebalance;
mod room;
mod seek;
mod uids;

pub use cluster::{Cluster, HostId};
pub use demand::{Demand, Demands, Index};
pub use explain::{Row, Verdict, explain};
pub use lock::{Instances, Lock, Standing};
pub use place::{Assignment, Placement, place};
pub use plan::{Action, Change, Move, Plan};
pub use rank::{NameHash, Purpose, preference};
pub use rebalance::rebalance;
pub use uids::{UIDS, Uids};
