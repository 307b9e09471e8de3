//! The module `boot_residue`: a machine forgets what it was given at boot.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::json;

use super::{Machine, Residue, finish};
use crate::{
    module::{Argument, Module, Outcome, Task},
    node::state,
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
        if residue.is_left() && state::read(&machine.state())?.is_none() {
            bail!("this machine is in no cluster yet: it still needs what it was given at boot");
        }
        Ok(Plan { machine, residue })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        let Residue { files, cloud_init, elsewhere } = &plan.residue;
        let mut outcome = Outcome { changed: plan.residue.is_left(), ..Outcome::default() };
        let mut lines: Vec<_> = files.iter().map(|it| format!("{}\n", it.display())).collect();
        lines.extend(cloud_init.then(|| "cloud-init runs at boot\n".to_owned()));
        if outcome.changed {
            let header = "left from boot".to_owned();
            let before = lines.concat();
            outcome.diff.push(Diff {
                before,
                before_header: header.clone(),
                after_header: header,
                ..Diff::default()
            });
        }
        outcome.warnings.extend(elsewhere.iter().map(|it| {
            format!("the boot configuration still lies outside of this machine, in {it}: remove it there")
        }));
        outcome.values.insert("removed".into(), json!(files));
        outcome.values.insert("elsewhere".into(), json!(elsewhere));
        outcome
    }

    fn apply(plan: Plan, task: &Task) -> Result<Outcome> {
        finish(&plan.machine)?;
        Ok(Self::predict(&plan, task))
    }
}
