//! The module `node_state`: locks a host to its cluster, or says where it belongs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use time::OffsetDateTime;

use super::membership::{self, CameIn, FILE, Membership};
use crate::{
    module::{Argument, Module, Outcome, Task},
    text::Diff,
};

crate::arguments! {
    /// Options of `node_state`.
    pub struct Params {
        /// `locked`: the host belongs to this cluster, once and for good. `read`: only say where it belongs.
        pub state: String => Argument::str().default("locked").choices(&["locked", "read"]),
        /// The cluster's name, for people.
        pub cluster: String => Argument::str().default(""),
        /// What tells the cluster from every other.
        pub cluster_id: String => Argument::str().default(""),
        /// The node as the control node knows it; none where it never took part in an election.
        pub node_id: Option<String> => Argument::str(),
        /// How a host that is unlocked comes in.
        pub came_in: CameIn => Argument::str().default("operator").choices(CameIn::CHOICES),
        /// The operator's word: a host that was rebuilt may come back under its name.
        pub readmit: bool => Argument::bool().default(false),
        /// Where the host keeps what it knows of itself.
        pub directory: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct NodeState;

/// What is to be done.
pub struct Plan {
    params: Params,
    found: Option<Membership>,
    wanted: Option<Membership>,
    /// What will be written.
    next: Option<Membership>,
}

impl Module for NodeState {
    const NAME: &'static str = "node_state";
    const ABOUT: &'static str = "Lock a host to its cluster, once and for good";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let found = membership::read(&params.directory)?;
        let wanted = params.wanted()?;
        let next = match &wanted {
            Some(wanted) => membership::decide(found.as_ref(), wanted, params.readmit)?,
            None => None,
        };
        Ok(Plan { params, found, wanted, next })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        outcome(plan, plan.next.as_ref().or(plan.found.as_ref()), plan.next.is_some())
    }

    fn apply(plan: Plan, _predicted: Outcome) -> Result<Outcome> {
        let Plan { params, wanted, .. } = &plan;
        let changed = match wanted {
            // Decided again under the lock: another caller may have come in between.
            Some(wanted) => {
                membership::lock_to(&params.directory, wanted, params.readmit, OffsetDateTime::now_utc())?
            }
            None => false,
        };
        let now = membership::read(&params.directory)?;
        Ok(outcome(&plan, now.as_ref(), changed))
    }
}

impl Params {
    fn wanted(&self) -> Result<Option<Membership>> {
        if self.state == "read" {
            return Ok(None);
        }
        let given = |name: &str, value: &str| {
            let value = (!value.is_empty()).then(|| value.to_owned());
            value.with_context(|| format!("option '{name}' is needed with state 'locked'"))
        };
        let (cluster, cluster_id) =
            (given("cluster", &self.cluster)?, given("cluster_id", &self.cluster_id)?);
        let node_id = self.node_id.clone().filter(|it| !it.is_empty());
        Ok(Some(Membership { cluster, cluster_id, node_id, came_in: self.came_in }))
    }
}

fn outcome(plan: &Plan, now: Option<&Membership>, changed: bool) -> Outcome {
    let path = plan.params.directory.join(FILE);
    let diff = || Diff::of(path.display(), "unlocked\n", now.map(describe).unwrap_or_default());
    Outcome::new(changed)
        .with("state", if now.is_some() { "locked" } else { "unlocked" })
        .with("node", now)
        .with_diff(changed.then(diff))
}

fn describe(node: &Membership) -> String {
    let id = node.node_id.as_deref().unwrap_or("without an id of its own");
    format!("locked to cluster {} ({}), node {id}\n", node.cluster, node.cluster_id)
}
