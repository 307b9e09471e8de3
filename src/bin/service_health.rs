//! Ansible module `service_health`: which units that a run has started did not go on running. It only reads.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::ServiceHealth>()
}
