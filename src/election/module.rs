//! Ansible module `zeroconf_election`: the same engine, for a playbook that every node runs on itself.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use serde_json::json;

use super::{
    ElectionState, NodeId, Stage, Verdict, disk, identity::host_name, program::member,
    request::ElectionRequest, run::run,
};
use crate::module::{Argument, Module, Outcome, Task};

crate::arguments! {
    /// Options of `zeroconf_election`; what they mean is said by `zeroconf_election --help`.
    #[derive(Debug)]
    pub struct Params {
        /// Network interfaces on which the others are found.
        pub iface: Vec<String> => Argument::list(Argument::str()).default(json!(["eth0"])),
        /// Number of nodes, this one included.
        pub expect: usize => Argument::int().default(3),
        /// What the leader runs, with the members' addresses as arguments and the election as JSON in
        /// `MINICLUSTER_ELECTION`; split at blanks, no shell.
        pub action: String => Argument::str().default("echo"),
        /// Name of the cluster.
        pub cluster: String => Argument::str().default("minicluster"),
        /// File with the cluster's secret: 16 characters or more, mode 0600.
        pub secret_file: PathBuf => Argument::path().default("/etc/minicluster/cluster_secret"),
        /// Seconds after which to give up.
        pub timeout: u64 => Argument::int().default(600),
        /// This node's id; made from the machine id and a random value when not given.
        pub node_id: Option<String> => Argument::str(),
        /// Ids of the only nodes that may be members.
        pub allow: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// What this machine is for; part of its membership.
        pub role: Option<String> => Argument::str(),
        /// This machine's SSH host public key; part of its membership.
        pub host_key_file: Option<PathBuf> => Argument::path(),
        /// An SSH public key; part of this machine's membership.
        pub user_key_file: Option<PathBuf> => Argument::path(),
        /// What every node runs once the leader is chosen and before it says so; it may run again.
        pub on_lock: String => Argument::str().default(""),
        /// Where votes are kept, in `election`.
        pub state_dir: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ZeroconfElection;

/// What to elect, and whether that has been done.
pub struct Plan {
    request: ElectionRequest,
    done: Option<ElectionState>,
}

impl Module for ZeroconfElection {
    const NAME: &'static str = "zeroconf_election";
    const ABOUT: &'static str =
        "Elects a leader among machines that share a secret, and runs an action on it, once.";
    // Whoever leads runs a playbook.
    const LIMIT: Option<u64> = None;
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let id = |it: String| NodeId::parse(&it);
        let request = ElectionRequest {
            ifaces: params.iface,
            expect: params.expect,
            action: params.action,
            cluster: params.cluster,
            secret_file: params.secret_file,
            timeout: params.timeout,
            node_id: params.node_id.map(id).transpose()?,
            state_dir: params.state_dir,
            allowed: params.allow.into_iter().map(id).collect::<Result<_>>()?,
            role: params.role,
            host_key_file: params.host_key_file,
            user_key_file: params.user_key_file,
            on_lock: params.on_lock,
        };
        request.check()?;
        let done = disk::read(&request.state_dir)?.filter(|it| it.stage == Stage::Done);
        if done.is_none() {
            // What is wrong with these is said before anything is touched.
            host_name()?;
            request.secret()?;
            request.keys()?;
        }
        Ok(Plan { request, done })
    }

    /// Who will lead depends on who is there: it is not known before.
    fn predict(plan: &Plan, _: &Task) -> Outcome {
        if let Some(state) = &plan.done {
            return outcome(false, state, &Verdict::AlreadyDone, &[]);
        }
        let msg = format!("would elect a leader among {} nodes", plan.request.expect);
        let outcome = Outcome { msg: Some(msg), ..Outcome::new(true) };
        ["leader", "is_leader", "members"].iter().fold(outcome, |outcome, name| outcome.with(name, ()))
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        if plan.done.is_some() {
            return Ok(predicted);
        }
        let mut log = Vec::new();
        let ending = run(&plan.request, true, &mut |_, line| log.push(line.to_owned()))?;
        let output = String::from_utf8_lossy(&ending.output).into_owned();
        if ending.verdict.status() != 0 {
            log.push(ending.verdict.to_string());
            if !output.is_empty() {
                log.push(format!("the programs wrote: {}", output.trim_end()));
            }
            return Err(anyhow!(log.join("\n")));
        }
        Ok(outcome(true, &ending.state, &ending.verdict, &log).with("output", output))
    }
}

fn outcome(changed: bool, state: &ElectionState, verdict: &Verdict, log: &[String]) -> Outcome {
    let outcome = Outcome { changed, msg: Some(verdict.to_string()), ..Outcome::default() };
    let Some(ballot) = &state.ballot else { return outcome };
    let leader = json!(ballot.leader().map(member));
    let members = json!(ballot.members.iter().map(member).collect::<Vec<_>>());
    let facts = json!({"leader": leader, "is_leader": state.leads(), "members": members});
    outcome
        .with("ansible_facts", json!({"zeroconf_election": facts}))
        .with("log", log)
        .with("leader", leader)
        .with("is_leader", state.leads())
        .with("members", members)
}
