//! The shape of a module: plan (reads only), predict (pure), apply (writes).

use anyhow::Result;

use super::{Arguments, Outcome};

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

/// An Ansible module. Check mode stops after [`plan`](Self::plan), so it cannot write, and reports
/// what [`predict`](Self::predict) says, as a real run does before it applies; so it cannot lie.
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

    /// Looks at the system and decides. In check mode it leaves nothing behind; otherwise it may take a lock, for which a
    /// directory may have to be made, and which the plan holds until it was applied. It writes nothing of what it plans.
    ///
    /// # Errors
    /// What is wrong with the arguments or the system, and what to do about it.
    fn plan(params: Self::Params, task: &Task) -> Result<Self::Plan>;

    /// The result that applying `plan` will have: `changed`, diff and returned values.
    fn predict(plan: &Self::Plan, task: &Task) -> Outcome;

    /// Does what was planned. Not called in check mode.
    ///
    /// # Errors
    /// What could not be done; what was there before still works.
    fn apply(plan: Self::Plan, task: &Task) -> Result<Outcome>;
}
