//! `zeroconf_election` on machines that share a network: namespaces, real multicast, real processes, real kills.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "the tests of what goes wrong use the rest")]
mod network;
#[allow(dead_code, reason = "the tests of what goes wrong use the rest")]
mod node;

mod whole;
