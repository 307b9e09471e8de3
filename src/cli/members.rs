//! `minicluster members`: the leader writes `hosts` from the members of its election.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::table::counted;
use crate::{
    enrolment::{Cluster, Election, Machine, update},
    node::membership,
    system::files::{Attributes, File, read_text},
};

/// Options of `members`.
#[derive(Args)]
pub(super) struct Options {
    /// The cluster's internal domain, where `hosts` does not say it yet; else <cluster>.internal
    #[arg(long)]
    domain: Option<String>,
    /// The directory that is the machine
    #[arg(long, value_name = "DIRECTORY", default_value = "/", hide = true)]
    root: PathBuf,
}

/// Writes them, in one step.
pub(super) fn run(files: Files, options: Options) -> Result<Answer, Failure> {
    let machine = Machine { root: options.root, user: String::new() };
    let election = Election::read(&machine.members_file())?;
    let node = membership::read(&machine.state())?;
    let node = node.context("this machine is in no cluster yet: `minicluster enrol` comes first")?;
    let domain = options.domain.unwrap_or_else(|| format!("{}.internal", election.cluster));
    let private_dir = machine.private_dir().display().to_string();
    let cluster = Cluster {
        election: &election,
        cluster_id: &node.cluster_id,
        domain: &domain,
        private_dir: &private_dir,
    };
    let path = files.paths().hosts;
    let before = read_text(&path)?.unwrap_or_default();
    let text = update(&path.display().to_string(), &before, &cluster)?;
    let plan = File::public(&path, text, Attributes::mode(0o644)).plan()?;
    let done = if plan.changes() { "written to" } else { "are already in" };
    plan.apply()?;
    Ok(format!("{} {done} {}\n", counted(election.members.len(), "member"), path.display()).into())
}
