//! Roles of services that leave `service_setup` out: their units run as they say themselves, without the service's user,
//! directory and hardening.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::load::Services;
use crate::system::files;
use crate::yaml::{self, Node, Value};

/// The role, in both of its spellings.
const SETUP: [&str; 2] = ["service_setup", "service-setup"];
/// Roles of minicluster that do it in their own way.
const OWN: [&str; 2] = ["common", "core"];

/// A line for each enabled service whose role, found in one of these directories, does not depend on `service_setup`. A role
/// `<service>-global` decides for itself where the service runs, and is not judged.
pub fn without_setup(services: &Services, directories: &[PathBuf]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, defined) in services.services.iter().filter(|(_, it)| it.service.enabled) {
        let named = defined.service.role.as_deref();
        let role = named.unwrap_or(name);
        let is_global = named.is_none() && find(directories, &format!("{name}-global")).is_some();
        if is_global
            || OWN.contains(&role)
            || uses_setup(directories, role, &mut BTreeSet::new()).unwrap_or(true)
        {
            continue;
        }
        lines.push(format!(
            "{name}: its role '{role}' does not depend on service_setup, so its units get no user, directory and hardening from \
             here. Add `- {{role: service_setup, service: {name}}}` to the dependencies in its meta/main.yml"
        ));
    }
    lines
}

fn find(directories: &[PathBuf], role: &str) -> Option<PathBuf> {
    directories.iter().map(|it| it.join(role)).find(|it| it.is_dir())
}

/// Whether a role depends on `service_setup`, itself or through another, or includes it. `None`: there is no such role.
fn uses_setup(directories: &[PathBuf], role: &str, seen: &mut BTreeSet<String>) -> Option<bool> {
    let folder = find(directories, role)?;
    if !seen.insert(role.to_owned()) {
        return Some(false);
    }
    if mentions_setup(&folder.join("tasks")) {
        return Some(true);
    }
    let needs = dependencies(&folder);
    Some(
        needs
            .iter()
            .any(|it| SETUP.contains(&it.as_str()) || uses_setup(directories, it, seen).unwrap_or(false)),
    )
}

/// Names of the roles in `meta/main.yml`.
fn dependencies(folder: &Path) -> Vec<String> {
    let read = |name: &str| {
        let path = folder.join("meta").join(name);
        let text = files::text(&path).ok()?;
        yaml::load(&path.display().to_string(), &text).ok()
    };
    let Some(meta) = read("main.yml").or_else(|| read("main.yaml")) else { return Vec::new() };
    let entry = |node: &Node, key: &str| {
        node.entries()?.iter().find(|it| it.key.text() == Some(key)).map(|it| it.value.clone())
    };
    let Some(list) = entry(&meta, "dependencies") else { return Vec::new() };
    let name = |it: &Node| {
        let named = entry(it, "role").or_else(|| entry(it, "name"));
        named.as_ref().unwrap_or(it).text().map(str::to_owned)
    };
    let Value::Sequence(items) = &list.value else { return Vec::new() };
    items.iter().filter_map(name).collect()
}

fn mentions_setup(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return mentions_setup(&path);
        }
        let text = files::text(&path).unwrap_or_default();
        SETUP.iter().any(|it| text.contains(it))
    })
}
