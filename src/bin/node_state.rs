//! Ansible module `node_state` (host): `/var/lib/minicluster/node.json`, unlocked → locked, once.
//!
//! Of any number of callers one locks. It never unlocks, never changes a host's cluster, and refuses a host
//! whose state it cannot read. Check mode says what a run would do and writes nothing.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::NodeState>()
}
