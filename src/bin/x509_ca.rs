//! Ansible module `x509_ca` (control node): the cluster's CA below `private_dir`.
//!
//! It makes the CA when there is none, replaces it step by step, and revokes what removed hosts hold.
//! Check mode makes nothing and reports what would be made. It never prints a private key, and never
//! makes a second CA for hosts that already trust one unless it is told to.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::x509::authority::X509Ca>()
}
