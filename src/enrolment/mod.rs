//! What a machine does around its election: it is enrolled, the leader writes down who the members are, and
//! what all of them were given at boot is forgotten.

mod election;
mod enrol;
mod handover;
mod hosts;
mod known_hosts;
mod residue;
mod residue_module;

pub use election::{Election, Member};
pub use enrol::{Machine, enrol};
pub use handover::{Handover, Moved};
pub use hosts::{Cluster, update};
pub use residue::{Residue, admitted, finish};
pub use residue_module::BootResidue;
