//! The module `boot_residue`: a machine forgets what it was given at boot.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{Machine, Residue, finish};
use crate::{
    module::{Argument, Module, Outcome, Task},
    node::membership,
    text::Diff,
};

crate::arguments! {
    /// Options of `boot_residue`.
    pub struct Params {
        /// The directory that is the machine.
        pub root: PathBuf => Argument::path().default("/"),
    }
}

/// The module.
pub struct BootResidue;

/// What is to be done.
pub struct Plan {
    machine: Machine,
    residue: Residue,
}

impl Module for BootResidue {
    const NAME: &'static str = "boot_residue";
    const ABOUT: &'static str = "Forget what a machine was given at boot, once it is locked to its cluster";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let machine = Machine { root: params.root, user: String::new() };
        let residue = Residue::find(&machine);
        if residue.is_left() && membership::read(&machine.state())?.is_none() {
            bail!("this machine is in no cluster yet: it still needs what it was given at boot");
        }
        Ok(Plan { machine, residue })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let Residue { files, cloud_init, elsewhere } = &plan.residue;
        let changed = plan.residue.is_left();
        let mut lines: Vec<_> = files.iter().map(|it| format!("{}\n", it.display())).collect();
        lines.extend(cloud_init.then(|| "cloud-init runs at boot\n".to_owned()));
        let outside = |it| {
            format!("the boot configuration still lies outside of this machine, in {it}: remove it there")
        };
        Outcome::new(changed)
            .with_diff(changed.then(|| Diff::of("left from boot", lines.concat(), "")))
            .with_warnings(elsewhere.iter().map(outside))
            .with("removed", files)
            .with("elsewhere", elsewhere)
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        finish(&plan.machine)?;
        Ok(predicted)
    }
}
