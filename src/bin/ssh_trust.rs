//! Ansible module `ssh_trust` (host): the host's SSH certificates, the CAs, revocations and users' keys.
//!
//! `ask` reads which host keys there are; `install` puts into use what `ssh_ca` returned, and takes it back
//! when sshd refuses it. Check mode changes nothing. It never reads a private key.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::ssh::trust::SshTrust>()
}
