//! `placement`: validates `hosts` and `services.yml` and records in `services.lock` who runs where.
//!
//! Runs on the control node, before the first host is changed. Check mode writes nothing and shows every
//! move; all mistakes are reported at once. It never touches a host, and never moves an instance that may
//! stay.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::workspace::RecordPlacement>()
}
