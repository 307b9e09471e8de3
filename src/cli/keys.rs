//! `minicluster keys`: which keys open the hosts, how old they are, and how far a rotation has come.

use std::{collections::BTreeMap, path::Path};

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::answer::{Answer, Failure};
use super::data_home;
use super::files::Files;
use super::private_dir::PrivateDir;
use super::table::{counted, heading, table};
use super::text::Style;
use crate::ssh::{
    control::{
        listing::{Entry, list},
        store::Store,
    },
    key::PublicKey,
};
use crate::system::files;

/// Options of `keys`.
#[derive(Args)]
pub(super) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    private_dir: PrivateDir,
}

/// Lists them.
pub(super) fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    let before = files.clone();
    let private_dir = options.private_dir.find(files, "ssh")?;
    let mut entries = list(&Store::read(&private_dir)?.state);
    if entries.is_empty() {
        entries.extend(unrecorded(before, &private_dir));
    }
    if options.json {
        return Ok(format!("{:#}\n", json!(entries)).into());
    }
    if entries.is_empty() {
        return Ok(
            "no key is on record yet: the first run of rotate.yml enters the one that opens the hosts, which is shown here \
             where ansible_ssh_private_key_file names it and its public half lies beside it\n"
                .to_owned()
                .into(),
        );
    }
    let now = OffsetDateTime::now_utc();
    let mut rows = vec![heading(&["FINGERPRINT", "STATE", "AGE", "HOSTS"])];
    rows.extend(entries.iter().map(|it| {
        let age = it.since.map(|since| format!("{} d", (now - since.0).whole_days())).unwrap_or_default();
        // Both until the rotation has ended.
        let style = if matches!(it.state, "coming" | "going") { Style::Warning } else { Style::Plain };
        vec![it.fingerprint.clone().into(), style.of(it.state), age.into(), hosts(it).into()]
    }));
    let mut text = table(&rows);
    text.push(format!("{}\n", counted(entries.len(), "key")));
    Ok(text.into())
}

/// Before the first rotation: the key that Ansible opens the hosts with, of which nothing is on record.
fn unrecorded(files: Files, private_dir: &Path) -> Option<Entry> {
    let named = files.inventory().ok().and_then(|workspace| {
        let names = ["ansible_ssh_private_key_file", "ansible_private_key_file"];
        let said = names.iter().find_map(|it| workspace.hosts.said_first(it))?;
        data_home::expand(&said).ok()
    });
    let key = named.into_iter().chain([private_dir.join("ssh/control")]).find_map(|path| {
        let text = files::text(format!("{}.pub", path.display())).ok()?;
        text.trim().parse::<PublicKey>().ok()
    })?;
    Some(Entry {
        fingerprint: key.fingerprint(),
        state: "not on record",
        since: None,
        hosts: BTreeMap::new(),
    })
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
