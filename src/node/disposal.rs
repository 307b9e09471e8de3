//! Taking away what a service has on a host: units are stopped and disabled, credentials and files removed.

use std::{fs, path::Path};

use anyhow::Result;

use super::{Holdings, images::engine::remove_recorded, systemd};
use crate::system::{
    fault,
    files::{remove, remove_empty},
};

/// Takes all of this away; what is gone already is no obstacle. Stops first: a program must not lose its files
/// under its feet.
pub(super) fn dispose(holdings: &Holdings) -> Result<()> {
    stop(&holdings.units.iter().cloned().collect::<Vec<_>>())?;
    for path in &holdings.credentials {
        remove(path)?;
        fault::point("disposal:credentials");
    }
    // What lies in a directory before the directory.
    for path in holdings.files.iter().rev() {
        remove_file(path)?;
        fault::point("disposal:files");
    }
    if holdings.files.iter().any(|it| it.components().any(|part| part.as_os_str() == "systemd")) {
        systemd::systemctl(&["daemon-reload"])?;
        fault::point("disposal:daemon-reload");
    }
    // Their containers went with the units. An image that an operator uses for something else stays.
    for image in &holdings.images {
        remove_recorded(image)?;
        fault::point("disposal:images");
    }
    Ok(())
}

fn stop(names: &[String]) -> Result<()> {
    let states = systemd::show(names)?;
    let known: Vec<_> = names.iter().zip(&states).filter(|(_, unit)| unit.exists()).collect();
    let running: Vec<&str> = known
        .iter()
        .filter(|(_, unit)| !matches!(unit.get("ActiveState"), "inactive" | "failed"))
        .map(|(name, _)| name.as_str())
        .collect();
    if !running.is_empty() {
        systemd::systemctl(&[&["stop", "--"], running.as_slice()].concat())?;
        fault::point("disposal:stop");
    }
    for (name, _) in known.iter().filter(|(_, unit)| unit.get("ActiveState") == "failed") {
        // Or the host would stay degraded for a unit that nobody wants.
        systemd::systemctl(&["reset-failed", "--", name])?;
    }
    let enabled: Vec<&str> = known
        .iter()
        .filter(|(_, unit)| unit.get("UnitFileState").starts_with("enabled"))
        .map(|(name, _)| name.as_str())
        .collect();
    if !enabled.is_empty() {
        systemd::systemctl(&[&["--quiet", "disable", "--"], enabled.as_slice()].concat())?;
        fault::point("disposal:disable");
    }
    Ok(())
}

/// Removes a file; a directory only when it is empty, for it may hold data.
fn remove_file(path: &Path) -> Result<()> {
    if !fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()) {
        return remove(path).map(|_| ());
    }
    remove_empty(path).map(drop)
}
