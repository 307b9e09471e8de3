//! Ansible module `boot_residue` (host): a machine forgets what it was given at boot.
//!
//! It removes the cluster secret, the bootstrap key, and what cloud-init keeps of the boot configuration, and
//! switches cloud-init off; only where the machine is locked to its cluster. Check mode lists it and removes
//! nothing. What lies outside of the machine it can only report.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::bootstrap::BootResidue>()
}
