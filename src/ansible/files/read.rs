//! Files that may be missing. What is there and cannot be read is never taken for missing.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result};

/// The content; none where there is no file.
///
/// # Errors
/// It is there, and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The content as text; none where there is no file.
///
/// # Errors
/// It is there, and cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    let text = read(path)?.map(String::from_utf8).transpose();
    text.ok().with_context(|| format!("{} is not UTF-8: correct it", path.display()))
}
