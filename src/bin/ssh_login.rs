//! Ansible module `ssh_login` (control node): proves by real logins which keys open a host.
//!
//! Each login uses exactly one key: no agent, no certificate, no shared connection, no key of the
//! operator's own configuration. It changes nothing, so check mode does the same. It never prints a private key.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::ssh::login::SshLogin>()
}
