//! `minicluster init`: what Ansible needs in a directory of the operator's own.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::answer::{Answer, Failure};
use crate::system::files::{Attributes, Directory, File, read_text, remove};
use crate::workspace::Paths;

/// Playbooks that an operator runs. Ansible looks for `group_vars` and `roles` beside them.
const PLAYBOOKS: [&str; 4] = ["site.yml", "rotate.yml", "restore.yml", "purge.yml"];
/// Settings whose values are paths.
const PATHS: [&str; 5] = ["inventory", "library", "action_plugins", "callback_plugins", "roles_path"];

/// Options of `init`.
#[derive(Args)]
pub(super) struct Options {
    /// The directory; made where it is missing
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// The cluster's internal domain, which goes into the variables of all hosts
    #[arg(long)]
    domain: Option<String>,
}

/// Does it. What is there already stays.
pub(super) fn run(options: &Options) -> Result<Answer, Failure> {
    let Options { directory, domain } = options;
    let mut made = prepare(directory)?;
    let mut notes = Vec::new();
    let home = home()?;
    let services = directory.join("services.yml");
    if !services.exists()
        && let Some(text) = read_text(&home.join("services.example.yml"))?
    {
        write(&services, text)?;
        made.push("services.yml".into());
    }
    if let Some(domain) = domain {
        // Ansible reads the first of these alone.
        let mut files =
            ["all", "all.yml", "all.yaml", "all.json"].iter().map(|it| directory.join("group_vars").join(it));
        if let Some(found) = files.find(|it| it.exists()) {
            notes.push(format!("{} is there: see that it says `domain: {domain}`", found.display()));
        } else {
            write(&directory.join("group_vars/all"), format!("domain: {domain}\n"))?;
            made.push("group_vars/all".into());
        }
    }
    let own = read_text(&directory.join("ansible.cfg"))?.unwrap_or_default();
    let inventories = own.lines().filter_map(|it| it.strip_prefix("inventory = "));
    if inventories.map(Path::new).any(|it| it.starts_with(&home)) {
        let usual = settings(&read_text(&home.join("ansible.cfg"))?.unwrap_or_default(), &home);
        let lacks = usual.lines().filter(|it| it.split_once(" = ").is_some_and(|(name, _)| !has(&own, name)));
        let say = |it| format!("ansible.cfg lacks `{it}`: add it, or remove the file and run this again");
        notes.extend(lacks.map(say));
    } else {
        notes.push(format!(
            "ansible.cfg leads elsewhere than to {}: remove it, and run this again",
            home.display()
        ));
    }
    if !directory.join("hosts").exists() {
        notes.push("now write `hosts`: your machines, with a group `core`".into());
    }
    let made =
        if made.is_empty() { "nothing was missing".into() } else { format!("made {}", made.join(", ")) };
    let lines = std::iter::once(format!("{}: {made}", directory.display())).chain(notes);
    Ok(lines.map(|it| it + "\n").collect::<String>().into())
}

/// Whether a setting is among these, with whatever value.
fn has(settings: &str, name: &str) -> bool {
    settings.lines().filter_map(|it| it.split_once('=')).any(|(own, _)| own.trim() == name)
}

/// Links to the playbooks, and an `ansible.cfg` that leads to the modules and roles of this program. A playbook or
/// settings of the operator's own stay; says what was made.
pub(super) fn prepare(directory: &Path) -> Result<Vec<String>> {
    let home = home()?;
    settable(&home)?;
    settable(&Paths::absolute(directory))?;
    if !directory.is_dir() {
        Directory { path: directory.into(), attributes: Attributes::mode(0o755) }.plan()?.apply()?;
    }
    let inside = directory.canonicalize().with_context(|| format!("cannot find {}", directory.display()))?;
    let mut made = Vec::new();
    for name in PLAYBOOKS {
        let (link, target) = (directory.join(name), home.join(name));
        if let Ok(found) = fs::symlink_metadata(&link) {
            let own = !found.is_symlink() || link.canonicalize().is_ok_and(|it| it.starts_with(&inside));
            if own || fs::read_link(&link).is_ok_and(|it| it == target) {
                continue;
            }
            // It leads to another copy of this repository, or nowhere.
            remove(&inside.join(name))?;
        }
        symlink(&target, &link).with_context(|| format!("cannot make {}", link.display()))?;
        made.push(name.to_owned());
    }
    let path = directory.join("ansible.cfg");
    if !path.exists() {
        let own = home.join("ansible.cfg");
        let text = read_text(&own)?.with_context(|| format!("{} is missing", own.display()))?;
        write(&path, settings(&text, &home))?;
        made.push("ansible.cfg".into());
    }
    Ok(made)
}

/// Refuses a path that Ansible would take apart, or evaluate, where it stands in a setting.
fn settable(path: &Path) -> Result<()> {
    let text = path.display().to_string();
    let found = [",", ":", ";", "#", "{{", "{%", "{#", "$", "\n"].iter().find(|it| text.contains(**it));
    match found {
        Some(found) => bail!(
            "'{}' has '{}' in it, which means something else in Ansible's settings: move it to a path without",
            text.escape_debug(),
            found.escape_debug()
        ),
        None => Ok(()),
    }
}

/// The repository, or the bundle, that this program belongs to.
fn home() -> Result<PathBuf> {
    let program = env::current_exe().and_then(|it| it.canonicalize()).context("cannot find this program")?;
    let home = program.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    if !home.join("site.yml").exists() {
        bail!(
            "{} lies in no directory `inventory` beside site.yml and roles: run the one in the repository",
            program.display()
        );
    }
    Ok(home.into())
}

/// The repository's settings, for another directory.
fn settings(text: &str, home: &Path) -> String {
    let line = |line: &str| match line.split_once(" = ") {
        Some((name @ "roles_path", value)) => format!("{name} = {}:./roles", home.join(value).display()),
        Some((name, value)) if PATHS.contains(&name) => format!("{name} = {}", home.join(value).display()),
        _ => line.to_owned(),
    };
    text.lines().map(|it| line(it) + "\n").collect()
}

/// Writes a file that everyone may read, and makes its directory where it is missing.
pub(super) fn write(path: &Path, text: String) -> Result<()> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty() && !it.is_dir()) {
        Directory { path: folder.into(), attributes: Attributes::mode(0o755) }.plan()?.apply()?;
    }
    File::public(path, text, Attributes::mode(0o644)).plan()?.apply()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_ansible_would_take_apart_is_refused() {
        for bad in ["/a,b", "/a:b", "/{{ x }}", "/a/$HOME", "/a#b"] {
            let error = prepare(Path::new(bad)).map(drop).and(settable(Path::new(bad)));
            assert!(error.is_err() && !Path::new(bad).exists(), "{bad}");
        }
        assert!(settable(Path::new("/srv/my cluster/{x}-1.2_ä")).is_ok());
    }

    #[test]
    fn paths_of_the_repository_become_absolute() {
        let text = "# x\n[defaults]\ninventory = inventory/minicluster\nroles_path = roles\nforks = 20\n";
        assert_eq!(
            settings(text, Path::new("/srv/it")),
            "# x\n[defaults]\ninventory = /srv/it/inventory/minicluster\nroles_path = /srv/it/roles:./roles\nforks = 20\n"
        );
    }
}
