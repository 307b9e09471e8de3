//! The commands. To add one: a variant here, a file beside this one.

use clap::Subcommand;

use super::answer::{Answer, Failure};
use super::files::{Files, With};
use super::{
    certs, check, completions, enrol, explain, handover, init, keys, lock, man, members, plan, purge,
    rebalance, user_data,
};
use crate::services::schema;

/// What the operator wants to know or do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a directory of your own ready: settings of Ansible, links to the playbooks, a first services.yml
    Init(init::Options),
    /// Read all files and report every error in them; change nothing
    Check(With<check::Options>),
    /// Show what moves, comes and goes, compared with services.lock, and what becomes of data; change nothing
    Plan(With<plan::Options>),
    /// Show why a service runs where it runs
    Explain(With<explain::Options>),
    /// Propose moves that even out the load; with --write, record them in services.lock
    Rebalance(With<rebalance::Options>),
    /// Record the placement in services.lock, as site.yml does before it changes a host
    Lock(Files),
    /// List the certificates that were issued last for each credential, and when these end
    Certs(With<certs::Options>),
    /// List the keys that open the hosts: fingerprints, ages, hosts, and a rotation under way
    Keys(With<keys::Options>),
    /// Show what a service that was turned down left on the hosts; with --remove, remove it
    Purge(With<purge::Options>),
    /// Print the boot configuration with which machines become a cluster; it holds the cluster secret
    UserData(user_data::Options),
    /// Enter this machine into the cluster that an election made; the election runs it
    #[command(hide = true)]
    Enrol(enrol::Options),
    /// Write the members of the election into `hosts`, as the leader does
    #[command(hide = true)]
    Members(With<members::Options>),
    /// Move the cluster's secrets from its leader to this control node, and leave none behind
    Handover(handover::Options),
    /// Print a JSON Schema of services.yml for editors
    Schema,
    /// Print the script with which a shell completes commands and options
    Completions(completions::Options),
    /// Write the manual pages, one for each command
    Man(man::Options),
}

impl Command {
    /// Runs the command.
    pub(super) fn run(self, files: Files) -> Result<Answer, Failure> {
        match self {
            Self::Init(options) => init::run(&options),
            Self::Check(it) => it.run(files, |files, options| check::run(files, &options)),
            Self::Plan(it) => it.run(files, |files, options| plan::run(&files.workspace()?, &options)),
            Self::Explain(it) => it.run(files, |files, options| explain::run(&files.workspace()?, &options)),
            Self::Rebalance(it) => it.run(files, |files, options| rebalance::run(files, &options)),
            Self::Lock(own) => lock::run(own.or(files)),
            Self::Certs(it) => it.run(files, |files, options| certs::run(files, &options)),
            Self::Keys(it) => it.run(files, |files, options| keys::run(files, &options)),
            Self::Purge(it) => it.run(files, |files, options| purge::run(&files.workspace()?, &options)),
            Self::UserData(options) => user_data::run(options),
            Self::Enrol(options) => enrol::run(options),
            Self::Handover(options) => handover::run(options),
            Self::Members(it) => it.run(files, members::run),
            Self::Completions(options) => completions::run(&options),
            Self::Man(options) => man::run(&options),
            Self::Schema => Ok(format!("{:#}\n", schema()).into()),
        }
    }
}
