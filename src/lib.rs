//! minicluster: identical machines, one inventory, one playbook, a cluster.
//!
//! The crate in reading order. Dependencies point one way: `bin` → domain folders → `ansible`;
//! nothing in a domain folder prints or exits.

pub mod ansible;
pub mod bootstrap;
pub mod cli;
pub mod diagnostic;
pub mod election;
pub mod etcd;
pub mod host_name;
pub mod inventory;
pub mod node;
pub mod placement;
pub mod services;
pub mod ssh;
pub mod user_data;
pub mod workspace;
pub mod x509;
pub mod yaml;
