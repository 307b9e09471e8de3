//! Ansible module `x509_sign` (control node): certificates for the requests of a whole play.
//!
//! Of a request it takes the public key; names, usages and lifetime come from the inventory. One bad
//! request refuses one host. Check mode signs nothing. Each certificate is in the index of issued
//! certificates, on the disk, before it leaves; a private key is never printed.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::x509::sign::X509Sign>()
}
