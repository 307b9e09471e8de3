//! `zeroconf_election` on machines that share a network: namespaces, real multicast, real processes, real kills.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod network;
mod node;

mod hostile;
mod trouble;
mod whole;
