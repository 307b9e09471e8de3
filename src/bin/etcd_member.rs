//! `etcd_member`: looks at one host's etcd, or carries out the step that `etcd_cluster` decided for it.
//!
//! Check mode says what the step would do and does not touch etcd. It never removes data (what a removed
//! member leaves behind is renamed), and never founds a cluster unless told to.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::etcd::EtcdMember>()
}
