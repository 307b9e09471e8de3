//! Ansible module `user_data` (control node): the boot configuration with which machines become a cluster.
//!
//! It makes the cluster secret once, below `private_dir`, and writes cloud-config that holds it (mode 0600).
//! Check mode makes nothing. It never shows the secret, and puts a private key into the file only when it is
//! told to (`bootstrap_key`).

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::user_data::UserData>()
}
