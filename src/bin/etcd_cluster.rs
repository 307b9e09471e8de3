//! `etcd_cluster`: remembers, on the control node, that an etcd cluster was founded, and decides what each of
//! its hosts does.
//!
//! Check mode decides the same and writes nothing. It never talks to a host, and never decides on a founding
//! where a cluster was or may be.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::etcd::EtcdCluster>()
}
