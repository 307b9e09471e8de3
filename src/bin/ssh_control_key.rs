//! Ansible module `ssh_control_key` (control node): the life of the key that opens the hosts.
//!
//! A rotation keeps the old key, the new one and a recovery key of its own below `private_dir` until every
//! host has proven the new one or is abandoned by name. Check mode makes no key and reports what a real
//! run would do. It never prints a private key.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::ssh::control::SshControlKey>()
}
