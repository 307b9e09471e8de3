//! `minicluster certs`: which certificates were issued last for each credential, and when these end.

use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::private_dir::PrivateDir;
use super::table::{counted, table};
use crate::x509::{duration, listing, store::Store};

/// Options of `certs`.
#[derive(Args)]
pub(super) struct Options {
    /// Only these hosts
    #[arg(value_name = "HOST")]
    only: Vec<String>,
    /// Only what ends within this time or has ended, soonest first; exit status 3 where there is any
    #[arg(long, value_name = "30d")]
    expiring: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    private_dir: PrivateDir,
}

/// The exit status where something ends within the time asked for.
const EXPIRES: u8 = 3;

/// Lists them.
pub(super) fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    let within = options.expiring.as_deref().map(|it| duration::parse("--expiring", it)).transpose()?;
    let private_dir = options.private_dir.find(files, "x509")?;
    let store = Store::read(&private_dir)?;
    if store.state.is_none() {
        let folder = private_dir.join("x509");
        return Err(format!(
            "there is no CA in {}; name the cluster's private_dir with --private-dir",
            folder.display()
        )
        .into());
    }
    let now = OffsetDateTime::now_utc();
    let entries = listing::list(&store.index, &options.only, within, now);
    let status = if within.is_some() && !entries.is_empty() { EXPIRES } else { 0 };
    if options.json {
        return Ok(Answer { text: format!("{:#}\n", json!(entries)), status });
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
    Ok(Answer { text: format!("{}{}\n", table(&rows), counted(entries.len(), "certificate")), status })
}
