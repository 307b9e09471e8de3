//! Variables that the operator sets although the inventory publishes them.
//!
//! Variables in `hosts`, `group_vars` and `host_vars` win over those of an inventory program, so one
//! `enable_web: true` there would run the service where it was not placed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::{Hosts, Owner};
use crate::services::{Services, enable_variable, master_variable};
use crate::system::files;
use crate::yaml;

/// Deeper folders than anyone keeps variables in.
const DEPTH: usize = 8;

/// Names that only the inventory may set, with the service each is about.
struct Reserved<'a>(BTreeMap<String, Option<&'a str>>);

impl<'a> Reserved<'a> {
    fn new(services: &'a Services) -> Self {
        let mut names = BTreeMap::from([("services".into(), None), ("minicluster_paths".into(), None)]);
        for (name, defined) in &services.services {
            names.insert(enable_variable(name), Some(name.as_str()));
            if defined.service.master_election {
                names.insert(master_variable(name), Some(name.as_str()));
            }
        }
        Self(names)
    }

    fn message(&self, variable: &str) -> Option<String> {
        Some(match self.0.get(variable)? {
            Some(service) if variable.starts_with("enable_") => format!(
                "'{variable}' would override where service '{service}' is placed; remove it and say in services.yml \
                 where the service may run ('enabled: false' runs it nowhere)"
            ),
            Some(service) => {
                format!("'{variable}' would override the elected master of service '{service}'; remove it")
            }
            None => format!("'{variable}' would hide a variable of the inventory from every role; rename it"),
        })
    }
}

/// Finds them in the hosts file and in `group_vars` and `host_vars` of these directories.
pub(super) fn find(
    hosts: (&Path, Option<&Hosts>),
    directories: &[PathBuf],
    services: &Services,
) -> Diagnostics {
    let reserved = Reserved::new(services);
    let mut mistakes = in_hosts(hosts.0, hosts.1, &reserved);
    for directory in directories {
        for kind in ["group_vars", "host_vars"] {
            in_path(&directory.join(kind), &reserved, &mut mistakes);
        }
    }
    mistakes
}

/// Whether a file of `group_vars` or `host_vars` in these directories sets one of the `variables`, or cannot be read here.
pub(super) fn set_one_of(directories: &[PathBuf], variables: &[&str]) -> bool {
    let mut found = false;
    for folder in directories.iter().flat_map(|it| ["group_vars", "host_vars"].map(|kind| it.join(kind))) {
        each_file(&folder, &mut |path| {
            let text = files::text(&path).unwrap_or_default();
            let root = yaml::load(&path.display().to_string(), &text);
            let sets = |entry: &yaml::Entry| entry.key.text().is_some_and(|it| variables.contains(&it));
            let unknown = root.as_ref().map_or(true, |it| it.entries().is_some_and(|it| it.iter().any(sets)));
            found |= unknown || text.starts_with("$ANSIBLE_VAULT");
        });
    }
    found
}

/// A warning where `group_vars` or `host_vars` lie beside the hosts file and in none of the `read` directories: Ansible
/// looks for them beside the playbook and beside the inventory program.
pub fn unread(hosts: &Path, read: &[PathBuf]) -> Option<Diagnostic> {
    let folder = |path: &Path| Path::new(".").join(path).canonicalize().ok();
    let beside = hosts.parent()?;
    let found = ["group_vars", "host_vars"].into_iter().find(|it| beside.join(it).is_dir())?;
    let read: Vec<_> = read.iter().filter_map(|it| folder(it)).collect();
    if folder(beside).is_none_or(|it| read.contains(&it)) {
        return None;
    }
    let file = beside.join(found).display().to_string().into();
    let message = "Ansible does not read this: it looks for variables beside the playbook that you run. Keep them there, or \
                   link site.yml beside hosts, as `minicluster init` does";
    Some(Diagnostic::of_file(&file, message))
}

fn in_hosts(path: &Path, hosts: Option<&Hosts>, reserved: &Reserved) -> Diagnostics {
    let file = path.display().to_string().into();
    let set = hosts.into_iter().flat_map(Hosts::set_variables);
    let found = set.filter_map(|(owner, name, variable)| {
        let owner = match owner {
            Owner::Host(name) => format!("on host '{name}'"),
            Owner::Group(name) => format!("on group '{name}'"),
        };
        let message = format!("{owner}: {}", reserved.message(name)?);
        Some(Diagnostic::new(&file, variable.location, message))
    });
    found.collect()
}

fn in_path(path: &Path, reserved: &Reserved, mistakes: &mut Diagnostics) {
    each_file(path, &mut |path| {
        if let Ok(text) = files::text(&path) {
            in_text(&path.display().to_string(), &text, reserved, mistakes);
        }
    });
}

/// Every file at or below `path` in which Ansible looks for variables, in its order.
pub(super) fn each_file(path: &Path, visit: &mut dyn FnMut(PathBuf)) {
    below(path, DEPTH, visit);
}

fn below(path: &Path, depth: usize, visit: &mut dyn FnMut(PathBuf)) {
    if let Ok(entries) = fs::read_dir(path) {
        let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.sort();
        for path in inside {
            if depth > 0 && may_hold_variables(&path) {
                below(&path, depth - 1, visit);
            }
        }
    } else if path.is_file() {
        visit(path.to_owned());
    }
}

/// What Ansible reads there: YAML and JSON by extension or without one, nothing hidden, no backups.
fn may_hold_variables(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
    let extension = path.extension().and_then(|extension| extension.to_str());
    !name.starts_with('.')
        && !name.ends_with('~')
        && (path.is_dir() || matches!(extension, None | Some("yml" | "yaml" | "json")))
}

/// What cannot be read is left to Ansible, which reads the same file.
fn in_text(label: &str, text: &str, reserved: &Reserved, mistakes: &mut Diagnostics) {
    let hints = ["enable_", "_master", "services", "minicluster_paths"];
    if !hints.iter().any(|hint| text.contains(hint)) {
        return;
    }
    let Ok(root) = yaml::load(label, text) else { return };
    for entry in root.entries().unwrap_or_default() {
        if let Some(message) = entry.key.text().and_then(|name| reserved.message(name)) {
            mistakes.push(entry.key.position.mistake(message));
        }
    }
}
