//! Module `service_health`: whether the units that a run has started are still running.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;

use super::{Records, systemd, waiting::since_then};
use crate::module::{Argument, Module, Outcome, Task};

crate::arguments! {
    /// Options of `service_health`.
    pub struct Params {
        /// The run's name, as `service_units` was told.
        pub run: String => Argument::str().required(),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ServiceHealth;

/// Units that do not run as they did, and why.
pub struct Plan(BTreeMap<String, String>);

impl Module for ServiceHealth {
    const NAME: &'static str = "service_health";
    const ABOUT: &'static str = "Says which of the units that a run has started did not go on running.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let records = Records::read(&params.ledger)?;
        let left = || records.invocations.iter().filter(|(_, it)| it.run == params.run);
        let units = systemd::show(&left().map(|(name, _)| name.clone()).collect::<Vec<_>>())?;
        let ended = left()
            .zip(units)
            .filter_map(|((name, left), unit)| since_then(name, left, &unit).map(|why| (name.clone(), why)));
        Ok(Plan(ended.collect()))
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        Outcome::default().with("ended", &plan.0)
    }
}
