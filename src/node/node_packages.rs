//! Module `node_packages`: which Debian packages are installed.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::module::{Module, Outcome, Task};

crate::arguments! {
    /// `node_packages` has no options.
    pub struct Params {}
}

/// The module.
pub struct NodePackages;

/// Names of packages.
pub struct Plan(Vec<String>);

impl Module for NodePackages {
    const NAME: &'static str = "node_packages";
    const ABOUT: &'static str = "Lists the installed Debian packages.";
    type Params = Params;
    type Plan = Plan;

    fn plan(Params {}: Params, _: &Task) -> Result<Plan> {
        let format = "${db:Status-Status} ${Package}\\n";
        let output = Command::new("dpkg-query").args(["--show", "--showformat", format]).output();
        let output = output.context("cannot run dpkg-query")?;
        if !output.status.success() {
            bail!("dpkg-query: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(Plan(said.lines().filter_map(|it| it.strip_prefix("installed ")).map(str::to_owned).collect()))
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        Outcome::default().with("installed", &plan.0)
    }
}
