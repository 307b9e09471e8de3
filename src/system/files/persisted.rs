//! What a program of this project remembers: one JSON object in a file, with the version of its format.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Attributes, File, read};

/// Such an object. Its own fields do not name the version.
pub trait Persisted: Serialize + DeserializeOwned {
    /// The version of the format that this program reads and writes.
    const VERSION: u32 = 1;
    /// What a person does about a damaged file.
    const REMEDY: &'static str = "restore it from a backup";

    /// What the file holds; none where there is no file.
    fn read(path: &Path) -> Result<Option<Self>> {
        let Some(text) = read(path)? else { return Ok(None) };
        let damaged = || format!("{} is damaged: {}", path.display(), Self::REMEDY);
        let mut fields: serde_json::Map<_, _> = serde_json::from_slice(&text).with_context(damaged)?;
        // First of all: whatever another version has otherwise is no damage.
        let version = fields.remove("version").context("it has no version").with_context(damaged)?;
        if version != Self::VERSION {
            let own = Self::VERSION;
            bail!("{} has version {version}, this program reads {own}: use the newer one", path.display());
        }
        serde_json::from_value(Value::Object(fields)).map(Some).with_context(damaged)
    }

    /// The file with this in it.
    fn file(&self, path: impl Into<PathBuf>, mode: u32) -> Result<File> {
        let mut text = serde_json::to_vec_pretty(&Versioned { version: Self::VERSION, fields: self })?;
        text.push(b'\n');
        Ok(File::public(path, text, Attributes::mode(mode)))
    }
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    fields: &'a T,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Door {
        open: bool,
    }

    impl Persisted for Door {}

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.json");
        assert_eq!(Door::read(&path).unwrap(), None);
        Door { open: true }.file(&path, 0o600).unwrap().plan().unwrap().apply().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"version\": 1,\n  \"open\": true\n}\n");
        assert_eq!(Door::read(&path).unwrap(), Some(Door { open: true }));
    }

    #[test]
    fn damage_and_another_version_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.json");
        for (text, expected) in [
            ("", "door.json is damaged: restore it"),
            ("{\"version\": 1, \"op", "door.json is damaged: restore it"),
            ("{\"open\": true}", "door.json is damaged: restore it"),
            ("{\"version\": 1, \"opne\": true}", "door.json is damaged: restore it"),
            (
                "{\"version\": 2, \"locks\": 3}",
                "door.json has version 2, this program reads 1: use the newer",
            ),
            ("{\"version\": \"x\", \"open\": true}", "door.json has version \"x\", this program reads 1"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Door::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
