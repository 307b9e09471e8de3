//! `minicluster check`: nothing but the mistakes; with `--show` the services as they were understood.

use clap::Args;
use serde_json::json;

use super::answer::{Answer, Failure};
use super::files::Files;
use super::table::counted;
use crate::services::{self, Services};

/// Options of `check`.
#[derive(Args)]
pub struct Options {
    /// Print every service as it is understood: files merged, defaults filled in (as JSON, which is YAML too)
    #[arg(long)]
    show: bool,
    /// Read services.yml alone: while nobody knows the hosts yet, as for machines that become a cluster by themselves
    #[arg(long, conflicts_with = "show")]
    without_hosts: bool,
}

/// All mistakes were reported while reading; what is left are warnings.
pub fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    if options.without_hosts {
        let services = Services::checked(files.paths().services.as_deref())?;
        let mut lines: Vec<String> =
            services::unserved(&services).iter().map(|it| format!("warning: {it}")).collect();
        lines.extend(open_to_all(&services));
        lines.push(format!("{}: no mistakes\n", counted(services.services.len(), "service")));
        return Ok(lines.join("\n").into());
    }
    let workspace = files.workspace()?;
    if options.show {
        let services = &workspace.services.services;
        let shown: serde_json::Map<_, _> =
            services.iter().map(|(name, defined)| (name.clone(), json!(defined.service))).collect();
        return Ok(format!("{:#}\n", json!(shown)).into());
    }
    let mut lines: Vec<String> =
        workspace.warnings().iter().map(|warning| format!("warning: {warning}")).collect();
    lines.extend(open_to_all(&workspace.services));
    let services = counted(workspace.demands.0.len(), "service");
    let hosts = counted(workspace.hosts.len(), "host");
    lines.push(format!("{services} on {hosts}: no mistakes\n"));
    Ok(lines.join("\n").into())
}

/// Which servers take every certificate: what may be meant, but should be known.
fn open_to_all(services: &Services) -> Option<String> {
    let open = services::open_to_all(services);
    (!open.is_empty()).then(|| {
        format!(
            "note: every certificate of the cluster is a client of {}; `clients` in services.yml says whose may be",
            open.join(", ")
        )
    })
}
