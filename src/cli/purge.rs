//! `minicluster purge`: what a service that was turned down left on the hosts, and its removal.

use std::process::Command;

use clap::Args;

use super::answer::{Answer, Failure};
use super::text::Text;
use crate::services::ServiceName;
use crate::workspace::Workspace;

/// Options of `purge`.
#[derive(Args)]
pub(super) struct Options {
    /// The service, which is in services.yml no more
    service: String,
    /// Remove its data, user and groups; without this they are only shown
    #[arg(long)]
    remove: bool,
    /// Further arguments of ansible-playbook, after `--`: --check, say
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs `purge.yml`, which is a link beside `site.yml`.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<Answer, Failure> {
    let Options { service, remove, arguments } = options;
    if !ServiceName::accepts(service) {
        return Err(format!("'{service}' is not the name of a service").into());
    }
    if workspace.services.services.contains_key(service) {
        return Err(format!(
            "service '{service}' is in services.yml: take it out and run site.yml, which turns it down; then purge it"
        )
        .into());
    }
    if let Some(instances) = workspace.lock.service(service).filter(|it| !it.is_empty()) {
        let hosts: Vec<_> = instances.keys().map(String::as_str).collect();
        return Err(format!(
            "service '{service}' is still placed on {}: run site.yml, whole, which turns it down; then purge it",
            hosts.join(", ")
        )
        .into());
    }
    let variables = serde_json::json!({"purge_service": service, "purge_remove": remove}).to_string();
    let playbook = "purge.yml";
    if !std::path::Path::new(playbook).exists() {
        return Err("there is no purge.yml here: run `minicluster init`, which links it".into());
    }
    let mut ansible = Command::new("ansible-playbook");
    let status = ansible.arg(playbook).args(["--extra-vars", &variables]).args(arguments).status();
    let status = status.map_err(|error| format!("cannot run ansible-playbook: {error}"))?;
    let status = status.code().and_then(|it| u8::try_from(it).ok()).unwrap_or(1);
    Ok(Answer { text: Text::default(), status })
}
