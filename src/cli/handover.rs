//! `minicluster handover`: the cluster's secrets move from the leader to this control node.

use std::path::PathBuf;

use clap::Args;

use super::answer::{Answer, Failure};
use super::init;
use super::table::{counted, listed};
use crate::enrolment::Handover;

/// Options of `handover`.
#[derive(Args)]
pub(super) struct Options {
    /// The leader, as ssh takes it: provision@10.0.0.1
    leader: String,
    /// Where this control node keeps the cluster's secrets
    #[arg(long, value_name = "DIRECTORY")]
    private_dir: PathBuf,
    /// Where the operator's directory (hosts, services.yml, …) comes to lie
    #[arg(long, value_name = "DIRECTORY")]
    into: PathBuf,
    /// An option of ssh for reaching the leader, such as '-i key'; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    ssh: Vec<String>,
    /// A host that need not answer; may be repeated
    #[arg(long, value_name = "HOST")]
    unreachable: Vec<String>,
}

/// Moves them.
pub(super) fn run(options: Options) -> Result<Answer, Failure> {
    let Options { leader, private_dir, into, ssh, unreachable } = options;
    let ssh = ssh.iter().flat_map(|it| it.split_whitespace()).map(str::to_owned).collect();
    let place = private_dir.display().to_string();
    let handover = Handover { leader: leader.clone(), ssh, private_dir, operator: into.clone(), unreachable };
    let moved = handover.run()?;
    // What the leader had as links to its own programs. All has been moved, whatever comes of this.
    let next = match init::prepare(&into) {
        Ok(_) => "`ansible-playbook site.yml`, and soon `ansible-playbook rotate.yml`".to_owned(),
        Err(error) => format!("link site.yml and rotate.yml there first ({error:#}); soon run rotate.yml"),
    };
    Ok(format!(
        "{} moved from {leader} to {place} and {}; none is left there.\nThe control key opens {} from here. Whoever had \
         the leader had it. In {}: {next}.\n",
        counted(moved.files, "file"),
        into.display(),
        listed(&moved.opened),
        into.display()
    )
    .into())
}
