//! Where the control node keeps its secrets.

use std::{env, fs, path::PathBuf};

use clap::Args;

use super::answer::Failure;
use super::data_home;
use super::files::Files;

/// The folder, as the operator names it or as the roles find it.
#[derive(Args)]
pub(super) struct PrivateDir {
    /// Where the control node keeps its secrets; else the variable `private_dir` of the inventory, else the usual place
    #[arg(long, value_name = "DIRECTORY")]
    private_dir: Option<PathBuf>,
}

impl PrivateDir {
    /// The folder. Where only the usual place is left, the one cluster whose folder has `part`.
    pub(super) fn find(&self, files: Files, part: &str) -> Result<PathBuf, Failure> {
        let named = env::var_os("MINICLUSTER_PRIVATE_DIR").filter(|it| !it.is_empty()).map(PathBuf::from);
        self.private_dir.clone().or(named).map_or_else(|| usual(files, part), Ok)
    }
}

/// The folder that the roles use when the operator says nothing else.
fn usual(files: Files, part: &str) -> Result<PathBuf, Failure> {
    let workspace = files.inventory()?;
    let variable = |name: &str| workspace.hosts.said_first(name);
    if let Some(text) = variable("private_dir") {
        return Ok(data_home::expand(&text)?);
    }
    let state = data_home::clusters()?;
    if let Some(domain) = variable("domain") {
        return Ok(state.join(domain));
    }
    let entries = fs::read_dir(&state).into_iter().flatten().flatten().map(|it| it.path());
    match &entries.filter(|it| it.join(part).exists()).collect::<Vec<_>>()[..] {
        [one] => Ok(one.clone()),
        _ => Err("where is the cluster's private_dir? Give it with --private-dir".into()),
    }
}
