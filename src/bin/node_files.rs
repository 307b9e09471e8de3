//! Ansible module `node_files` (host): directories and files with their owners and modes, all in one call.
//!
//! Everything is read before anything is written; each file is replaced in one rename, after the program that is to
//! read it has agreed. Check mode shows what a run would write and writes nothing.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::NodeFiles>()
}
