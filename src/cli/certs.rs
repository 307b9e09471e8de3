//! `minicluster certs`: which certificates were issued last for each credential, and when these end.

use clap::Args;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::answer::{Answer, Failure};
use super::files::Files;
use super::private_dir::PrivateDir;
use super::table::{counted, heading, table};
use super::text::{Part, Style};
use crate::x509::{
    duration,
    listing::{self, Entry, Standing},
    store::Store,
};

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
/// What ends within this time stands out where no other time was asked for: when Prometheus raises its first alert too.
const SOON: Duration = Duration::days(21);

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
        return Ok(Answer { text: format!("{:#}\n", json!(entries)).into(), status });
    }
    let soon = within.unwrap_or(SOON);
    let mut rows = vec![heading(&["HOST", "CREDENTIAL", "SIDE", "EXPIRES", "IN", "STATUS"])];
    rows.extend(entries.iter().map(|it| row(it, now, soon)));
    let mut text = table(&rows);
    text.push(format!("{}\n", counted(entries.len(), "certificate")));
    Ok(Answer { text, status })
}

fn row(entry: &Entry, now: OffsetDateTime, soon: Duration) -> Vec<Part> {
    let Entry { issued, status } = entry;
    let left = issued.not_after - now;
    let style = match status {
        Standing::Expired => Style::Error,
        Standing::Valid if left <= soon => Style::Warning,
        Standing::Valid | Standing::Revoked => Style::Plain,
    };
    let status = json!(status).as_str().unwrap_or_default().to_owned();
    vec![
        issued.host.clone().into(),
        issued.credential.clone().into(),
        issued.side.to_string().into(),
        issued.not_after.date().to_string().into(),
        style.of(format!("{} d", left.whole_days())),
        style.of(status),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::x509::{index::Issued, service::Side};

    #[test]
    fn what_has_ended_or_ends_soon_stands_out() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(1000);
        for (left, status, expected) in [
            (-1, Standing::Expired, Style::Error),
            (20, Standing::Valid, Style::Warning),
            (22, Standing::Valid, Style::Plain),
            (20, Standing::Revoked, Style::Plain),
        ] {
            let issued = Issued {
                serial: "1".into(),
                issuer: "2".into(),
                host: "host1".into(),
                service: "web".into(),
                credential: "web".into(),
                side: Side::Client,
                names: BTreeSet::new(),
                not_before: now - Duration::days(300),
                not_after: now + Duration::days(left),
                key: "3".into(),
            };
            let row = row(&Entry { issued: &issued, status }, now, SOON);
            assert!(row[4..].iter().all(|it| it.style == expected), "{left} {row:?}");
        }
    }
}
