//! Ansible module `service_purge` (host): what a service that was turned down left there goes, by name.
//!
//! Shows its directories, users and groups; removes them only with `remove`. It refuses while the host's ledger has the
//! service, what belongs to somebody else, root's accounts and people's. Check mode shows what would go.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::ansible::run::<minicluster::node::ServicePurge>()
}
