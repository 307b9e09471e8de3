//! Ansible module `x509_request` (managed node): what each certificate of the host needs.
//!
//! One call for all of them: fine, missing, expiring, of another policy, of another CA, not a pair,
//! unreadable, revoked. New keys are made beside those in use. Check mode makes no key and returns
//! the requests without CSRs. It never prints a private key, and never touches one that is in use.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::x509::request::X509Request>()
}
