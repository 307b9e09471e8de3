//! Machines that share a secret and a number find each other and start one action on one of them: a command
//! for a boot unit, and the Ansible module `zeroconf_election`. Never prints the secret.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::election::main(std::env::args_os().skip(1).collect())
}
