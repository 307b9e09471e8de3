//! The steps of a module: check, lock, plan, predict, apply.

use anyhow::Result;

use super::{Arguments, Outcome};
use crate::system::files::LockGuard;

/// What Ansible tells a module about the task, beside its arguments (`_ansible_*`).
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// `--check`: predict, write nothing.
    pub check_mode: bool,
    /// `--diff`: show what changes.
    pub diff: bool,
    /// `-v` count.
    pub verbosity: u8,
}

/// An Ansible module: a real run checks its arguments, locks, plans, predicts and applies; check mode leaves out what writes.
/// So a check cannot write; and a run reports what was predicted before it applied, so a check cannot lie.
pub trait Module {
    /// The module's name, as in a task.
    const NAME: &'static str;
    /// What it manages, in one sentence, for `--help`.
    const ABOUT: &'static str;
    /// The seconds that it has where the control node does not say how long the task may take; none: as long as it
    /// takes.
    const LIMIT: Option<u64> = Some(3600);
    /// Its options.
    type Params: Arguments;
    /// Everything that will be done, decided before anything is.
    type Plan;

    /// Refuses what is wrong with the arguments alone and must not leave even a lock behind.
    fn check(_params: &Self::Params) -> Result<()> {
        Ok(())
    }

    /// Waits until no other run works on what `plan` looks at, and keeps others waiting until `apply` is done. The
    /// directory of the lock is made where it is missing. A module without this one looks again under a lock in `apply`,
    /// if it needs one.
    fn lock(_params: &Self::Params) -> Result<Option<LockGuard>> {
        Ok(None)
    }

    /// Looks at the system and decides. Writes nothing.
    ///
    /// # Errors
    /// What is wrong with the arguments or the system, and what to do about it.
    fn plan(params: Self::Params, task: &Task) -> Result<Self::Plan>;

    /// The result that applying `plan` will have: `changed`, diff and returned values.
    fn predict(plan: &Self::Plan, task: &Task) -> Outcome;

    /// Does what was planned, and returns what was predicted, with what nobody knew before. A module that only looks has
    /// nothing to do.
    ///
    /// # Errors
    /// What could not be done; what was there before still works.
    fn apply(_plan: Self::Plan, predicted: Outcome) -> Result<Outcome> {
        Ok(predicted)
    }
}
