//! Ansible module `ssh_ca` (control node): one CA for hosts, one for users, below `private_dir`.
//!
//! It certifies hosts under the names that the inventory gives them, users for the accounts that the
//! operator names, and revokes what has to go. Check mode makes nothing and says what would be signed. It never
//! prints a private key.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::ssh::ca::SshCa>()
}
