//! Ansible module `ssh_key_rotation` (host): exchanges the keys that open this host.
//!
//! `add` puts a key beside the old one; `revoke` takes the old one away after its own sshd has logged a
//! login with the new one, and arms a rollback that also a reboot does not stop; `confirm` disarms it and ends
//! sessions of the old key. Check mode shows the files' fingerprints before and after. It never sees a private key.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::ssh::rotation::SshKeyRotation>()
}
