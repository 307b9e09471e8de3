//! `minicluster rebalance`: moves that even out the load, no more than asked for.

use clap::Args;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::plan;
use super::table::counted;
use crate::placement::{Lock, Plan, rebalance};
use crate::workspace::{Workspace, lock_file};

/// Options of `rebalance`.
#[derive(Args)]
pub(super) struct Options {
    /// Propose at most this many moves
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    moves: usize,
    /// Move services that hold data, too
    #[arg(long)]
    stateful: bool,
    /// Record the moves in services.lock; the next run of site.yml carries them out
    #[arg(long)]
    write: bool,
}

/// Proposes moves, and records them if asked to.
pub(super) fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    let paths = files.paths();
    let _turn = if options.write { Some(lock_file::take_turn(&paths.lock)?) } else { None };
    let directories = paths.variable_directories();
    let workspace = Workspace::read(paths, &directories, None)?;
    let Workspace { cluster, demands, .. } = &workspace;
    let mut placement = workspace.placement.clone();
    let spread = |load: &[usize]| {
        format!(
            "{} to {}",
            load.iter().min().copied().unwrap_or_default(),
            load.iter().max().copied().unwrap_or_default()
        )
    };
    let before = spread(&placement.load);
    let moves = rebalance(cluster, demands, &mut placement, options.moves, options.stateful);
    let lock = Lock::of(cluster, demands, &placement, &workspace.uids);
    let plan = Plan::between(&workspace.new_lock(), &lock, |name| workspace.is_stateful(name));
    let mut text = plan::data(&plan);
    text.append(plan::show(&plan));
    text.push(format!(
        "Limited instances on a host: {before} before, {} after {}\n",
        spread(&placement.load),
        counted(moves, "move")
    ));
    if options.write {
        let refused = workspace.refusals(false);
        if !refused.is_empty() {
            return Err(refused.into());
        }
        lock_file::plan(&workspace.paths.lock, &lock)?.apply()?;
    } else if moves > 0 {
        text.push(
            "Nothing is written: '--write' records this, and the next run of site.yml carries it out\n",
        );
    }
    Ok(text.into())
}
