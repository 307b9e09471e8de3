//! Ansible module `system_accounts` (host): users and groups of a sysusers.d file, made by systemd-sysusers.
//!
//! A user gets the number that the file names, or the module fails and says who has it. Users that are there keep theirs.
//! Check mode writes nothing and says what systemd-sysusers would make. It removes and renumbers nobody.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::SystemAccounts>()
}
