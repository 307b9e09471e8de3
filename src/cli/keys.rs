//! `minicluster keys`: which keys open the hosts, how old they are, and how far a rotation has come.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::private_dir::PrivateDir;
use super::table::{counted, table};
use crate::ssh::control::{
    listing::{Entry, list},
    store::Store,
};

/// Options of `keys`.
#[derive(Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    private_dir: PrivateDir,
}

/// Lists them.
pub fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    let private_dir = options.private_dir.find(files, "ssh")?;
    let entries = list(&Store::read(&private_dir)?.state);
    if options.json {
        return Ok(format!("{:#}\n", json!(entries)).into());
    }
    if entries.is_empty() {
        return Ok(
            "no key is on record yet: the first run of rotate.yml enters the one that opens the hosts\n"
                .to_owned()
                .into(),
        );
    }
    let now = OffsetDateTime::now_utc();
    let mut rows = vec![["FINGERPRINT", "STATE", "AGE", "HOSTS"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|it| {
        let age = it.since.map(|since| format!("{} d", (now - since.0).whole_days())).unwrap_or_default();
        vec![it.fingerprint.clone(), it.state.into(), age, hosts(it)]
    }));
    Ok(format!("{}{}\n", table(&rows), counted(entries.len(), "key")).into())
}

/// Hosts by what is known of the key there: `proven: a, b; abandoned: c`.
fn hosts(entry: &Entry) -> String {
    let mut by_state: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, state) in &entry.hosts {
        by_state.entry(state).or_default().push(host);
    }
    let parts: Vec<_> =
        by_state.iter().map(|(state, hosts)| format!("{state}: {}", hosts.join(", "))).collect();
    parts.join("; ")
}
