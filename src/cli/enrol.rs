//! `minicluster enrol`: what `zeroconf_election` runs on every machine when it has learned who the members are.

use std::path::PathBuf;

use clap::Args;
use time::OffsetDateTime;

use super::answer::{Answer, Failure};
use super::table::counted;
use crate::enrolment::{Election, Machine, admitted, enrol, finish};

/// Options of `enrol`.
#[derive(Args)]
pub(super) struct Options {
    /// Forget what the machine was given at boot; it has to be locked to its cluster
    #[arg(long)]
    finish: bool,
    /// Say `admitted` where an operator has let the machine in and there is nothing to elect, else nothing
    #[arg(long, conflicts_with = "finish")]
    admitted: bool,
    /// The user whom the leader logs in as
    #[arg(long, value_name = "NAME", default_value = "provision")]
    user: String,
    /// The directory that is the machine
    #[arg(long, value_name = "DIRECTORY", default_value = "/", hide = true)]
    root: PathBuf,
}

/// Does it, and says what was done.
pub(super) fn run(options: Options) -> Result<Answer, Failure> {
    let machine = Machine { root: options.root, user: options.user };
    if options.admitted {
        let said = if admitted(&machine)? { "admitted\n" } else { "" };
        return Ok(said.to_owned().into());
    }
    if options.finish {
        let residue = finish(&machine)?;
        let forgot = format!("forgot {} of the boot configuration\n", counted(residue.files.len(), "file"));
        let elsewhere = residue.elsewhere.iter().map(|it| {
            format!("the boot configuration still lies outside of this machine, in {it}: remove it there\n")
        });
        let text: String = std::iter::once(forgot).chain(elsewhere).collect();
        return Ok(text.into());
    }
    let election = Election::read(&machine.members_file())?;
    let membership = enrol(&machine, &election, OffsetDateTime::now_utc())?;
    let leader = &election.leader_record()?.name;
    Ok(format!("enrolled in cluster {} ({}), led by {leader}\n", membership.cluster, membership.cluster_id)
        .into())
}
