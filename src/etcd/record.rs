//! What the control node remembers of the cluster: that it was founded, and who it is.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Id, cluster_id};

const VERSION: u8 = 1;

/// How far a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its first members may have been started; nothing shows yet that they elected a leader.
    Founding,
    /// It exists. Nobody founds one again.
    Founded,
}

/// The file `etcd.json` below `private_dir`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of the format.
    pub(super) version: u8,
    /// How far the cluster is.
    pub state: State,
    /// Who it is.
    pub cluster_id: Id,
    /// What distinguishes this founding from every other.
    pub token: String,
    /// Host → peer URL of those that found it.
    pub members: BTreeMap<String, String>,
}

impl Record {
    /// A founding that begins.
    #[must_use]
    pub fn founding(token: &str, members: &BTreeMap<String, String>) -> Self {
        let cluster_id = cluster_id(token, members);
        Self {
            version: VERSION,
            state: State::Founding,
            cluster_id,
            token: token.to_owned(),
            members: members.clone(),
        }
    }

    /// A cluster that exists, as its members' data tells.
    #[must_use]
    pub fn rebuilt(cluster_id: Id) -> Self {
        Self {
            version: VERSION,
            state: State::Founded,
            cluster_id,
            token: String::new(),
            members: BTreeMap::new(),
        }
    }

    /// The record in `path`; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not one.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let record: Self = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged; remove it, and the next run rebuilds it from the members' data",
                path.display()
            )
        })?;
        if record.version != VERSION {
            bail!("{} has version {}, this program knows version {VERSION}", path.display(), record.version);
        }
        Ok(Some(record))
    }

    /// The file's content.
    #[must_use]
    pub fn text(&self) -> String {
        // A map of strings and numbers always has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
