//! `minicluster lock`: records the placement.

use super::answer::{Answer, Failure};
use super::files::Files;
use super::plan;
use crate::workspace::{Workspace, lock_file};

/// Writes the lock file if it says anything else.
pub(super) fn run(files: Files) -> Result<Answer, Failure> {
    let paths = files.paths();
    let _turn = lock_file::take_turn(&paths.lock)?;
    let directories = paths.variable_directories();
    let workspace = Workspace::read(paths, &directories, None)?;
    let refused = workspace.refusals(false);
    if !refused.is_empty() {
        return Err(refused.into());
    }
    let lock = workspace.new_lock();
    let text = plan::show(&workspace.changes(&lock));
    lock_file::plan(&workspace.paths.lock, &lock)?.apply()?;
    Ok(text.into())
}
