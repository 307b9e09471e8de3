//! The commands. To add one: a variant here, a file beside this one.

use clap::Subcommand;

use super::answer::{Answer, Failure};
use super::files::Files;
use crate::services::schema;

/// What the operator wants to know or do.
#[derive(Subcommand)]
pub enum Command {
    /// Read all files, report every mistake in them, change nothing
    Check,
    /// Print a JSON Schema of services.yml for editors
    Schema,
}

impl Command {
    /// Runs the command.
    pub fn run(self, files: Files) -> Result<Answer, Failure> {
        match self {
            Self::Check => {
                let workspace = files.workspace()?;
                let (services, hosts) = (workspace.demands.0.len(), workspace.hosts.len());
                Ok(format!("{services} services on {hosts} hosts: no mistakes\n").into())
            }
            Self::Schema => Ok(format!("{:#}\n", schema()).into()),
        }
    }
}
