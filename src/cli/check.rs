//! `minicluster check`: nothing but the mistakes; with `--show` the services as they were understood.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::answer::{Answer, Failure};
use super::data_home;
use super::files::Files;
use super::table::counted;
use super::text::Text;
use crate::diagnostic::Diagnostic;
use crate::services::{self, Services};
use crate::system::files;
use crate::workspace::{Domain, unread};

/// Options of `check`.
#[derive(Args)]
pub(super) struct Options {
    /// Print every service as it is understood: files merged, defaults filled in (as JSON, which is YAML too)
    #[arg(long)]
    show: bool,
    /// Read services.yml alone: while nobody knows the hosts yet, as for machines that become a cluster by themselves
    #[arg(long, conflicts_with = "show")]
    without_hosts: bool,
}

/// All mistakes were reported while reading; what is left are warnings.
pub(super) fn run(files: Files, options: &Options) -> Result<Answer, Failure> {
    if options.without_hosts {
        let services = Services::checked(files.paths().services.as_deref())?;
        let mut text = Text::default();
        for warning in [services::unserved(&services), services::isolation(&services)].concat() {
            text.warn(warning);
        }
        text.push(open_to_all(&services));
        text.push(format!("{}: no errors\n", counted(services.services.len(), "service")));
        return Ok(text.into());
    }
    let roles = role_directories();
    let workspace = files.workspace()?;
    let mut mistakes = services::without_role(&workspace.services, &roles);
    mistakes.extend(workspace.refusals(false));
    mistakes.extend(workspace.archives().err().into_iter().flatten());
    if workspace.domain == Domain::Missing {
        let file = workspace.paths.hosts.display().to_string().into();
        let message = "no domain is said for all hosts: `domain: infra.example.com`, or whatever yours is, in group_vars/all \
                       beside site.yml, or `domain=infra.example.com` below [all:vars] in hosts";
        mistakes.push(Diagnostic::of_file(&file, message));
    }
    if !mistakes.is_empty() {
        return Err(mistakes.into());
    }
    if options.show {
        let services = &workspace.services.services;
        let shown: serde_json::Map<_, _> =
            services.iter().map(|(name, defined)| (name.clone(), json!(defined.service))).collect();
        return Ok(format!("{:#}\n", json!(shown)).into());
    }
    let mut text = Text::default();
    for warning in workspace.warnings() {
        text.warn(warning);
    }
    text.push(open_to_all(&workspace.services));
    let read = workspace.paths.playbook_directories();
    if let Some(warning) = unread(&workspace.paths.hosts, &read) {
        text.warn(warning);
    }
    let services = counted(workspace.demands.0.len(), "service");
    let hosts = counted(workspace.hosts.len(), "host");
    text.push(format!("{services} on {hosts}: no errors\n"));
    Ok(text.into())
}

/// Which servers take every certificate: what may be meant, but should be known.
fn open_to_all(services: &Services) -> String {
    let open = services::open_to_all(services);
    if open.is_empty() {
        return String::new();
    }
    format!(
        "note: every certificate of the cluster is a client of {}; `clients` in services.yml says whose may be\n",
        open.join(", ")
    )
}

/// Where Ansible looks for roles when it is called here: nowhere that is known without its settings.
fn role_directories() -> Vec<PathBuf> {
    let settings = files::text(Path::new("ansible.cfg")).unwrap_or_default();
    let value = |line: &str| {
        Some(line.split_once('=').filter(|(name, _)| name.trim() == "roles_path")?.1.trim().to_owned())
    };
    let Some(paths) = settings.lines().find_map(value) else { return Vec::new() };
    let paths = paths.split([';', '#']).next().unwrap_or_default().trim();
    // Ansible takes these from elsewhere.
    if std::env::var_os("ANSIBLE_ROLES_PATH").is_some() || paths.contains(['$', '{']) {
        return Vec::new();
    }
    let mut directories = vec![PathBuf::from("roles")];
    directories.extend(paths.split(':').filter_map(|it| data_home::expand(it).ok()));
    directories
}
