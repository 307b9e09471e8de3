//! Who runs where: a pure function of hosts, services and the lock file.

mod cluster;
mod demand;
mod lock;
mod place;
mod rank;

pub use cluster::{Cluster, HostId};
pub use demand::{Demand, Demands, Index};
pub use lock::{Instances, Lock};
pub use place::{Assignment, Placement, place};
pub use rank::{NameHash, Purpose, preference};
