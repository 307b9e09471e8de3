//! The commands. To add one: a variant here, a file beside this one.

use clap::Subcommand;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::{certs, check, explain, keys, lock, plan, rebalance};
use crate::services::schema;

/// What the operator wants to know or do.
#[derive(Subcommand)]
pub enum Command {
    /// Read all files and report every mistake in them; change nothing
    Check(check::Options),
    /// Show what moves, comes and goes, compared with services.lock; change nothing
    Plan(plan::Options),
    /// Show why a service runs where it runs
    Explain(explain::Options),
    /// Propose moves that even out the load; with --write, record them in services.lock
    Rebalance(rebalance::Options),
    /// Record the placement in services.lock, as site.yml does before it changes a host
    Lock,
    /// List the certificates that hosts hold, and when these end
    Certs(certs::Options),
    /// List the keys that open the hosts: fingerprints, ages, hosts, and a rotation under way
    Keys(keys::Options),
    /// Print a JSON Schema of services.yml for editors
    Schema,
}

impl Command {
    /// Runs the command.
    pub fn run(self, files: Files) -> Result<Answer, Failure> {
        match self {
            Self::Check(options) => check::run(&files.workspace()?, &options),
            Self::Plan(options) => plan::run(&files.workspace()?, &options),
            Self::Explain(options) => explain::run(&files.workspace()?, &options),
            Self::Rebalance(options) => rebalance::run(files, &options),
            Self::Lock => lock::run(files),
            Self::Certs(options) => certs::run(files, &options),
            Self::Keys(options) => keys::run(files, &options),
            Self::Schema => Ok(format!("{:#}\n", schema()).into()),
        }
    }
}
