//! What systemd says of units, and telling it what to do, through `systemctl`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

/// Endings of unit names (systemd.unit(5)); a name without one is a service.
const KINDS: &[&str] = &[
    "service",
    "socket",
    "target",
    "timer",
    "path",
    "mount",
    "automount",
    "swap",
    "slice",
    "scope",
    "device",
];

/// One unit, as systemd has it now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    /// Its properties, by systemd's names.
    properties: BTreeMap<String, String>,
}

impl Unit {
    /// A unit with these properties.
    #[cfg(test)]
    pub fn new(properties: &[(&str, &str)]) -> Self {
        Self {
            properties: properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    /// A property's value; empty where systemd does not say.
    pub fn get(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// Whether its definition exists, masked or not.
    pub fn exists(&self) -> bool {
        self.get("LoadState") != "not-found"
    }

    /// Whether it is masked.
    pub fn is_masked(&self) -> bool {
        self.get("LoadState") == "masked" || self.get("UnitFileState").starts_with("masked")
    }

    /// Whether it runs. One that systemd starts again and again does not.
    pub fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "reloading" | "refreshing")
    }

    /// Whether it is on its way.
    pub fn is_starting(&self) -> bool {
        self.get("ActiveState") == "activating" && !self.get("SubState").starts_with("auto-restart")
    }

    /// Whether it is still to be enabled. What has no `[Install]` section cannot be.
    pub fn is_disabled(&self) -> bool {
        matches!(self.get("UnitFileState"), "disabled" | "enabled-runtime")
    }

    /// Whether it does its work and ends: such a unit is not running afterwards.
    pub fn ends(&self) -> bool {
        self.get("Type") == "oneshot" && self.get("RemainAfterExit") != "yes"
    }
}

const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,RemainAfterExit,\
                          Result,NRestarts,InvocationID,Job,ConditionResult";

/// The full name of a unit.
pub fn full_name(name: &str) -> Result<String> {
    let is_full = name.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind));
    let name = if is_full { name.to_owned() } else { format!("{name}.service") };
    let allowed = |it: char| it.is_ascii_alphanumeric() || ":-_.\\@".contains(it);
    if name.starts_with(['-', '.']) || !name.chars().all(allowed) {
        bail!("'{name}' is not the name of a unit");
    }
    if name.contains("@.") {
        bail!("'{name}' is a template: name its instance, as in '{}'", name.replacen("@.", "@instance.", 1));
    }
    Ok(name)
}

/// Units as they are now, in the order of `names`.
pub fn show(names: &[String]) -> Result<Vec<Unit>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["show", "--property", PROPERTIES, "--"];
    arguments.extend(names.iter().map(String::as_str));
    let text = systemctl(&arguments)?;
    let units: Vec<_> = text.trim_end().split("\n\n").map(parse).collect();
    if units.len() != names.len() {
        bail!("systemctl show described {} of the units {}", units.len(), names.join(", "));
    }
    Ok(units)
}

fn parse(block: &str) -> Unit {
    let pairs = block.lines().filter_map(|line| line.split_once('='));
    Unit { properties: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
}

/// The directories in which systemd looks for definitions of units, first come first served. Asked once.
pub fn unit_path() -> Result<&'static [PathBuf]> {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let text = systemctl(&["show", "--property", "UnitPath"])?;
    let paths = text.trim().strip_prefix("UnitPath=").unwrap_or_default();
    Ok(FOUND.get_or_init(|| paths.split_whitespace().map(PathBuf::from).collect()))
}

/// Runs `systemctl` and returns what it printed.
pub fn systemctl(arguments: &[&str]) -> Result<String> {
    let what = format!("systemctl {}", arguments.join(" "));
    let output = command("systemctl", arguments).with_context(|| format!("cannot run {what}"))?;
    if !output.status.success() {
        bail!("{what} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last lines that a unit wrote to the journal since it was last started.
pub fn last_words(name: &str) -> String {
    let arguments = ["--unit", name, "--lines", "12", "--output", "cat", "--no-pager", "--quiet"];
    match command("journalctl", &arguments) {
        Ok(output) if !output.stdout.is_empty() => {
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
        }
        _ => "(nothing in the journal)".into(),
    }
}

fn command(program: &str, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .output()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_templates_refused() {
        assert_eq!(full_name("web").unwrap(), "web.service");
        assert_eq!(full_name("my.web").unwrap(), "my.web.service");
        assert_eq!(full_name("web@1.socket").unwrap(), "web@1.socket");
        for name in ["web@.service", "--now", "a b", "../x", ""] {
            assert!(full_name(name).is_err(), "{name}");
        }
    }
}
