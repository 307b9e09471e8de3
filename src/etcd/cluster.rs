//! The module `etcd_cluster`: on the control node, keeps the record and decides every host's step.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{Decision, Observation, Record, Situation, Step, decide, restore};
use crate::{
    arguments,
    module::{Argument, Module, Outcome, Reports, Task},
    system::{
        files::{Attributes, Directory, DirectoryPlan, FilePlan, Persisted as _},
        random,
    },
    text::hex,
};

arguments! {
    /// Options of `etcd_cluster`.
    pub struct Params {
        /// The file that remembers the cluster, on the control node.
        pub record: PathBuf => Argument::path().absolute().required(),
        /// Host to peer URL of every host that ought to be a member.
        pub expected: Map<String, Value> => Argument::dict().required(),
        /// Host to what `etcd_member` observed there, as JSON text. Hosts that did not answer are missing.
        pub observed: Reports<Observation> => Argument::dict().default(json!({})),
        /// What it is about: the cluster as it ought to be, or a new one that takes over a snapshot.
        pub state: String => Argument::str().default("present").choices(&["present", "restored"]),
    }
}

/// The record to write, and the decision.
pub struct Plan {
    directory: DirectoryPlan,
    file: Option<FilePlan>,
    decision: Decision,
}

/// The module.
pub struct EtcdCluster;

impl Module for EtcdCluster {
    const NAME: &'static str = "etcd_cluster";
    const ABOUT: &'static str =
        "Remembers that an etcd cluster was founded, and decides what each of its hosts does.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let expected = params.expected.into_iter().map(|(host, url)| Some((host, url.as_str()?.to_owned())));
        let expected: BTreeMap<_, _> =
            expected.collect::<Option<_>>().context("option 'expected': its values are URLs")?;
        refuse_shared_urls(&expected)?;
        let decision = if params.state == "restored" {
            Decision {
                record: Some(restore(&expected, &token()?)),
                steps: BTreeMap::new(),
                departed: Vec::new(),
            }
        } else {
            let record = Record::read(&params.record)?;
            let observed =
                params.observed.understood().map(|(host, it)| (host.clone(), it.clone())).collect();
            let mut decision = decide(&Situation { record, expected, observed }, &token()?);
            // For the others such a host is one that did not answer.
            for (host, report) in params.observed.all() {
                if let Err(reason) = report {
                    decision.steps.insert(host.clone(), Step::Refuse(reason.clone()));
                }
            }
            decision
        };
        let directory = params.record.parent().unwrap_or(Path::new("/"));
        let directory = Directory { path: directory.into(), attributes: Attributes::mode(0o700) }.plan()?;
        let file = |it: &Record| it.file(&params.record, 0o600)?.plan();
        let file = decision.record.as_ref().map(file).transpose()?;
        Ok(Plan { directory, file, decision })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        let diff = plan.file.as_ref().and_then(FilePlan::diff);
        let step = |step: &Step| match step {
            Step::Refuse(reason) => json!({"step": "refuse", "msg": reason}),
            step => json!({"step": step, "msg": ""}),
        };
        let steps: Map<_, _> =
            plan.decision.steps.iter().map(|(host, it)| (host.clone(), step(it))).collect();
        Outcome::new(diff.is_some())
            .with_diff(diff)
            .with("steps", steps)
            .with("departed", &plan.decision.departed)
            .with("cluster", &plan.decision.record)
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        if let Some(file) = plan.file {
            plan.directory.apply()?;
            file.apply()?;
        }
        Ok(predicted)
    }
}

/// Members are told apart by their URLs.
fn refuse_shared_urls(expected: &BTreeMap<String, String>) -> Result<()> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (host, url) in expected {
        if let Some(other) = owners.insert(url, host) {
            bail!(
                "option 'expected': {other} and {host} have the same peer URL, {url}. Give each an address of its own in \
                 the inventory (`addresses`, or `ansible_host`)"
            );
        }
    }
    Ok(())
}

/// A token no other founding has.
fn token() -> Result<String> {
    Ok(hex::encode(&random::bytes::<16>()?))
}
