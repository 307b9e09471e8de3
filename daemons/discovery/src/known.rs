//! What is present, on disk: a host that restarts while etcd is away still answers.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::etcd::Directory;
use crate::log;

/// What was written last; none where there is nothing that can be used.
pub(crate) fn read(directory: &Path) -> Directory {
    let path = directory.join("known.json");
    let read = || -> Result<Option<Directory>> {
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let (revision, present) = serde_json::from_slice(&text)?;
        Ok(Some(Directory { present, revision }))
    };
    match read() {
        Ok(known) => known.unwrap_or_default(),
        Err(error) => {
            log!("{}: {error:#}; it will be written anew", path.display());
            Directory::default()
        }
    }
}

/// Writes it when it has changed, at most once a second.
pub(crate) async fn keep(directory: PathBuf, mut known: watch::Receiver<Directory>) -> Result<()> {
    loop {
        known.changed().await?;
        let now = known.borrow_and_update().clone();
        if let Err(error) = write(&directory, &now) {
            log!("{error:#}");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn write(directory: &Path, known: &Directory) -> Result<()> {
    let (path, fresh) = (directory.join("known.json"), directory.join("known.json.new"));
    let write = || -> Result<()> {
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&(known.revision, &known.present))?)?;
        file.sync_data()?;
        Ok(fs::rename(&fresh, &path)?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
