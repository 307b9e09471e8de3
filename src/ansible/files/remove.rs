//! Removing a file or a whole directory.

use std::{
    fs, io,
    path::{Component, Path},
};

use anyhow::{Context, Result, bail};

use super::replace::{split, sync_directory};

/// Removes what is at `path`, a directory with everything in it; links are removed, not followed.
/// Says whether something was there.
///
/// # Errors
/// It cannot be removed, or is so high up that it must be a mistake: only absolute paths of at least
/// two names, without `..`, are removed.
pub fn remove(path: &Path) -> Result<bool> {
    let depth = path.components().filter(|it| matches!(it, Component::Normal(_))).count();
    if !path.is_absolute() || depth < 2 || path.components().any(|it| it == Component::ParentDir) {
        bail!("refusing to remove {}: not an absolute path below a directory of the system", path.display());
    }
    let removed = match fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))?;
    sync_directory(split(path)?.0)?;
    Ok(true)
}
