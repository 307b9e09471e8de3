//! Ansible module `service_turndown`: stops what no longer runs on this host and removes its credentials
//! and files. Check mode lists what would go. Data directories are never removed.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::ServiceTurndown>()
}
