//! Ansible module `x509_install` (managed node): certificates into use.
//!
//! It verifies pair and chain, records in the ledger what it is about to write and which units must
//! then be restarted, and replaces certificates and keys in single steps: killed at any point, the
//! old credentials work and the next run finishes. Check mode writes nothing and shows what changes.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::x509::install::X509Install>()
}
