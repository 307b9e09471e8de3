//! Ansible module `service_units`: the units of a service are enabled, running, and running with what is
//! on disk. Check mode predicts starts and restarts and touches no unit. Data is never touched.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::ServiceUnits>()
}
