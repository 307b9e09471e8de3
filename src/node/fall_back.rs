//! Going back: what units last came up with is kept beside the ledger, and put back where what came after it does not come up.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{node_files::FileOptions, service_units::UnitRequest};
use crate::system::{
    Secret, fault,
    files::{self, Attributes, Directory, File},
};

/// A file as it was when its units came up.
#[derive(Serialize, Deserialize, PartialEq)]
struct Copy {
    path: PathBuf,
    content: String,
    mode: String,
    owner: String,
    group: String,
}

/// Where the copies of a unit's files are.
pub(super) fn place(ledger: &Path, unit: &str) -> PathBuf {
    ledger.join("came-up").join(format!("{unit}.json"))
}

/// Keeps what was written for the units of a request, which are up.
pub(super) fn keep(ledger: &Path, request: &UnitRequest) -> Result<()> {
    let copies: Vec<Copy> = request.written.iter().map(Copy::of).collect();
    for unit in &request.units {
        let path = place(ledger, unit);
        if let Some(folder) = path.parent().filter(|it| !it.exists()) {
            Directory { path: folder.into(), attributes: Attributes::mode(0o700) }.plan()?.apply()?;
        }
        let content = Secret::new(serde_json::to_vec(&copies)?);
        File::secret(path, content, Attributes::mode(0o600)).plan()?.apply()?;
        fault::point("service_units:kept");
    }
    Ok(())
}

/// Puts back what units of a request last came up with, and says whether that is something else than what is there.
pub(super) fn restore(ledger: &Path, request: &UnitRequest) -> Result<bool> {
    let mut restored = false;
    for unit in &request.units {
        let path = place(ledger, unit);
        let Some(text) = files::read(&path)? else { continue };
        let copies: Vec<Copy> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: remove it", path.display()))?;
        for copy in copies {
            let mode = u32::from_str_radix(&copy.mode, 8).context("a mode that is none")?;
            let attributes = Attributes::mode(mode).owned_by(copy.owner, copy.group);
            let plan = File::secret(&copy.path, Secret::new(copy.content), attributes).plan()?;
            restored |= plan.content_changes();
            plan.apply()?;
            fault::point("service_units:restored");
        }
    }
    Ok(restored)
}

impl Copy {
    fn of(file: &FileOptions) -> Self {
        let FileOptions { path, content, mode, owner, group, .. } = file.clone();
        Self { path, content, mode, owner, group }
    }
}
