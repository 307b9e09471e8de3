//! `minicluster certs`: which certificates the hosts hold, and when these end.

use std::{env, fs, path::PathBuf};

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::table::{counted, table};
use crate::x509::{duration, listing, store::Store};

/// Options of `certs`.
#[derive(Args)]
pub struct Options {
    /// Only these hosts
    #[arg(value_name = "HOST")]
    only: Vec<String>,
    /// Only what ends within this time or has ended, soonest first
    #[arg(long, value_name = "30d")]
    expiring: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where the control node keeps its secrets; else the variable `private_dir` of the inventory, else the usual place
    #[arg(long, value_name = "DIRECTORY")]
    private_dir: Option<PathBuf>,
}

/// Lists them.
pub fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    let within = options.expiring.as_deref().map(|it| duration::parse("--expiring", it)).transpose()?;
    let named = env::var_os("MINICLUSTER_PRIVATE_DIR").filter(|it| !it.is_empty()).map(PathBuf::from);
    let private_dir = options.private_dir.clone().or(named).map_or_else(|| find(files), Ok)?;
    let store = Store::read(&private_dir)?;
    let now = OffsetDateTime::now_utc();
    let entries = listing::list(&store.index, &options.only, within, now);
    if options.json {
        return Ok(format!("{:#}\n", json!(entries)).into());
    }
    let mut rows =
        vec![["HOST", "CREDENTIAL", "SIDE", "EXPIRES", "IN", "STATUS"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|it| {
        let days = (it.issued.not_after - now).whole_days();
        let status = json!(it.status).as_str().unwrap_or_default().to_owned();
        let (host, credential) = (it.issued.host.clone(), it.issued.credential.clone());
        let expires = it.issued.not_after.date().to_string();
        vec![host, credential, it.issued.side.to_string(), expires, format!("{days} d"), status]
    }));
    Ok(format!("{}{}\n", table(&rows), counted(entries.len(), "certificate")).into())
}

/// The folder that the roles use when the operator says nothing else.
fn find(files: Files) -> Result<PathBuf, Failure> {
    let workspace = files.inventory()?;
    let variable = |name: &str| {
        if workspace.hosts.is_empty() {
            return None;
        }
        workspace.hosts.variable(0, name).and_then(|it| it.value.text()).filter(|it| !it.contains("{{"))
    };
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    if let Some(text) = variable("private_dir") {
        return Ok(text.strip_prefix("~/").map_or_else(|| text.clone().into(), |rest| home.join(rest)));
    }
    let state = env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
    let state = state.join("minicluster");
    if let Some(domain) = variable("domain") {
        return Ok(state.join(domain));
    }
    let entries = fs::read_dir(&state).into_iter().flatten().flatten().map(|it| it.path());
    match &entries.filter(|it| it.join("x509").exists()).collect::<Vec<_>>()[..] {
        [one] => Ok(one.clone()),
        _ => Err("where is the cluster's private_dir? Give it with --private-dir".into()),
    }
}
