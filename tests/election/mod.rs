//! `zeroconf_election` on machines that share a network: namespaces, real multicast, real processes, real kills.

mod network;
mod node;

mod hostile;
mod trouble;
mod whole;
