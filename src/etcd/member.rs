//! The module `etcd_member`: looks at one host's etcd, or carries out the step decided for it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, json};

use super::{Client, Data, Id, Member, Observation, names, steps::Host};
use crate::{
    arguments,
    module::{Argument, Module, Outcome, Task},
    text::Diff,
};

arguments! {
    /// Options of `etcd_member`.
    pub struct Params {
        /// What to do: look at the host and change nothing, or a step that `etcd_cluster` decided.
        pub step: String => Argument::str().required()
            .choices(&["observe", "start", "found", "join", "rejoin", "readdress", "expel"]),
        /// The member's name.
        pub name: String => Argument::str().required(),
        /// URL at which the other members reach it.
        pub peer_url: String => Argument::str().required(),
        /// URL at which this host's own etcd answers.
        pub client_url: String => Argument::str().default("https://localhost:2379"),
        /// Client URLs of the other members.
        pub endpoints: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// Trust anchors, for etcd with TLS.
        pub ca_file: Option<PathBuf> => Argument::path(),
        /// Client certificate.
        pub cert_file: Option<PathBuf> => Argument::path(),
        /// Its private key.
        pub key_file: Option<PathBuf> => Argument::path(),
        /// Host to peer URL of every host that ought to be a member. None of them is removed; and the data of this host
        /// is put aside only when half of them say that its member was.
        pub expected: Map<String, serde_json::Value> => Argument::dict().default(json!({})),
        /// Where etcd keeps its data.
        pub data_dir: PathBuf => Argument::path().default("/var/lib/etcd/minicluster"),
        /// Environment file that the unit reads and removes at its first start.
        pub first_start: PathBuf => Argument::path().default("/run/minicluster/etcd.env"),
        /// The unit to start. Empty means that the caller starts etcd.
        pub unit: String => Argument::str().default("etcd.service"),
        /// What the unit reads when it starts, as `service_units` is told.
        pub inputs: Vec<PathBuf> => Argument::list(Argument::path()).default(Vec::<String>::new()),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
        /// The founding's token, for the step `found`.
        pub token: String => Argument::str().default(""),
        /// Host to peer URL of all founders, for the step `found`.
        pub founders: Map<String, serde_json::Value> => Argument::dict().default(json!({})),
        /// Numbers of clusters whose founding was given up, each with the number of its founders, for the steps `found` and
        /// `join`: data of such a founding, in which no leader was elected, is put aside.
        pub abandoned: BTreeMap<Id, u64> => Argument::dict().default(json!({})),
        /// Numbers of the members to remove, for the step `expel`.
        pub members: Vec<String> => Argument::list(Argument::str()).default(Vec::<String>::new()),
        /// Seconds to wait for a majority.
        pub timeout: u64 => Argument::int().default(60),
    }
}

/// What is done on this host.
pub enum Plan {
    /// Nothing; this was seen, and whether it runs with what is on disk.
    Observe(Observation, bool),
    /// Nothing: it runs.
    Runs,
    /// Start.
    Start(Host),
    /// Start again with what is on disk.
    Restart(Host),
    /// Start without data, as a founder.
    Found(Host, String, BTreeMap<String, String>),
    /// Become a member.
    Join(Host),
    /// Put the data of this member aside, which the cluster removed, and become another one.
    Rejoin(Host, Id),
    /// Change the peer URL of this member.
    Readdress(Host, Id),
    /// Remove members.
    Expel(Host, Vec<Id>),
}

/// The module.
pub struct EtcdMember;

impl Module for EtcdMember {
    const NAME: &'static str = "etcd_member";
    const ABOUT: &'static str =
        "Looks at one host's etcd, or carries out the step that etcd_cluster decided for it.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let credentials = credentials(&params)?;
        let data = Data::read(&params.data_dir)?;
        let own = Client { endpoints: vec![params.client_url], credentials: credentials.clone() };
        let host = Host {
            name: params.name,
            peer_url: params.peer_url,
            data_dir: params.data_dir,
            first_start: params.first_start,
            unit: Some(params.unit).filter(|it| !it.is_empty()),
            own: own.clone(),
            others: Client { endpoints: params.endpoints, credentials },
            expected: urls("expected", &params.expected)?,
            abandoned: params.abandoned,
            inputs: params.inputs,
            ledger: params.ledger,
            patience: Duration::from_secs(params.timeout),
        };
        Ok(match params.step.as_str() {
            "start" => Plan::start(host)?,
            // A founding that was interrupted has written meanwhile: nothing is lost by starting it.
            "found" if data.is_some_and(|it| !host.has_abandoned(it)) => Plan::start(host)?,
            "join" if data.is_some_and(|it| !host.has_abandoned(it)) => {
                bail!("{} has data by now: run again", host.data_dir.display())
            }
            "found" => Plan::Found(host, params.token, urls("founders", &params.founders)?),
            "rejoin" if let Some(data) = data => Plan::Rejoin(host, data.member_id),
            "join" | "rejoin" => Plan::Join(host),
            "readdress" => {
                let data =
                    data.with_context(|| format!("{} holds no data to readdress", host.data_dir.display()))?;
                Plan::Readdress(host, data.member_id)
            }
            "expel" => {
                let ids = params.members.iter().map(|it| it.parse::<Id>());
                let mut ids =
                    ids.collect::<Result<Vec<_>, _>>().map_err(|it| anyhow!("option 'members': {it}"))?;
                if let Ok(members) = own.members() {
                    let is_gone = |it: &Member| !it.is_of(&host.expected);
                    ids.retain(|id| members.iter().any(|it| it.id == *id && is_gone(it)));
                }
                Plan::Expel(host, ids)
            }
            _ => {
                // Without data there is no member that could answer.
                let members = data.and_then(|_| own.with_majority()).and_then(|it| it.members().ok());
                let alone = data.is_some() && members.is_none();
                let listed = if alone { own.members().unwrap_or_default() } else { Vec::new() };
                let announced =
                    listed.into_iter().filter(|it| it.name.is_empty()).flat_map(|it| it.peer_urls);
                let unresolved =
                    if data.is_none() { names::unresolved(host.expected.values()) } else { Vec::new() };
                let seen = Observation { data, members, announced: announced.collect(), unresolved };
                Plan::Observe(seen, host.is_settled()?)
            }
        })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        let (before, after) = match plan {
            Plan::Observe(seen, is_settled) => return observed(seen, *is_settled),
            Plan::Runs => return Outcome::default(),
            Plan::Expel(_, ids) if ids.is_empty() => return Outcome::default(),
            Plan::Start(_) => ("stopped".to_owned(), "started".to_owned()),
            Plan::Restart(_) => ("healthy for nobody".to_owned(), "started again".to_owned()),
            Plan::Found(_, _, founders) => {
                let founders: Vec<&str> = founders.keys().map(String::as_str).collect();
                ("no data".to_owned(), format!("founds a cluster with {}", founders.join(", ")))
            }
            Plan::Join(_) => ("no data".to_owned(), "joins the cluster".to_owned()),
            Plan::Rejoin(host, old) => (
                format!("data of member {old}, which the cluster removed"),
                format!("joins the cluster; old data in {}.was-member-{old}", host.data_dir.display()),
            ),
            Plan::Readdress(host, id) => {
                (format!("member {id} at another URL"), format!("member {id} at {}", host.peer_url))
            }
            Plan::Expel(_, ids) => {
                let lines: Vec<String> = ids.iter().map(|it| format!("member {it}")).collect();
                (lines.join("\n"), String::new())
            }
        };
        let line = |text: String| if text.is_empty() { text } else { text + "\n" };
        Outcome::new(true).with_diff([Diff::of("etcd membership", line(before), line(after))])
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        match plan {
            Plan::Observe(..) | Plan::Runs => {}
            Plan::Start(host) => host.start()?,
            Plan::Restart(host) => host.restart()?,
            Plan::Found(host, token, founders) => host.found(&token, &founders)?,
            Plan::Join(host) => host.join()?,
            Plan::Rejoin(host, member) => host.rejoin(member)?,
            Plan::Readdress(host, id) => host.readdress(id)?,
            Plan::Expel(host, ids) => host.expel(&ids)?,
        }
        Ok(predicted)
    }
}

impl Plan {
    fn start(host: Host) -> Result<Self> {
        Ok(match host {
            host if !host.is_started()? => Self::Start(host),
            host if host.is_stranded()? => Self::Restart(host),
            _ => Self::Runs,
        })
    }
}

fn urls(option: &str, given: &Map<String, serde_json::Value>) -> Result<BTreeMap<String, String>> {
    let url = |(host, it): (&String, &serde_json::Value)| Some((host.clone(), it.as_str()?.to_owned()));
    given
        .iter()
        .map(url)
        .collect::<Option<_>>()
        .with_context(|| format!("option '{option}': its values are URLs"))
}

fn credentials(params: &Params) -> Result<Option<[PathBuf; 3]>> {
    match (&params.ca_file, &params.cert_file, &params.key_file) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(certificate), Some(key)) => Ok(Some([ca.clone(), certificate.clone(), key.clone()])),
        _ => {
            bail!("options 'ca_file', 'cert_file' and 'key_file' belong together: give all of them, or none")
        }
    }
}

fn observed(seen: &Observation, is_settled: bool) -> Outcome {
    let values =
        Map::from_iter([("observation".to_owned(), json!(seen)), ("settled".to_owned(), json!(is_settled))]);
    Outcome { values, ..Outcome::default() }
}
