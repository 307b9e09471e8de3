//! `minicluster check`: nothing but the mistakes; with `--show` the services as they were understood.

use clap::Args;
use serde_json::json;

use super::answer::{Answer, Failure};
use super::table::counted;
use crate::workspace::Workspace;

/// Options of `check`.
#[derive(Args)]
pub struct Options {
    /// Print every service as it is understood: files merged, defaults filled in (as JSON, which is YAML too)
    #[arg(long)]
    show: bool,
}

/// All mistakes were reported while reading; what is left are warnings.
#[allow(clippy::unnecessary_wraps, reason = "all commands have one shape")]
pub fn run(workspace: &Workspace, options: &Options) -> Result<Answer, Failure> {
    if options.show {
        let services = &workspace.services.services;
        let shown: serde_json::Map<_, _> =
            services.iter().map(|(name, defined)| (name.clone(), json!(defined.service))).collect();
        return Ok(format!("{:#}\n", json!(shown)).into());
    }
    let mut lines: Vec<String> =
        workspace.warnings().iter().map(|warning| format!("warning: {warning}")).collect();
    let services = counted(workspace.demands.0.len(), "service");
    let hosts = counted(workspace.hosts.len(), "host");
    lines.push(format!("{services} on {hosts}: no mistakes\n"));
    Ok(lines.join("\n").into())
}
