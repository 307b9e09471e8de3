//! Files that only grow: one JSON record a line, and beside it a head that says how far the file reaches. Without the head
//! a file that was emptied, cut or deleted would pass for one in which little was ever written.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use rustix::fs::{Mode, OFlags, openat};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{Attributes, File, Persisted, place::Place, read, remove};
use crate::{system::fault, text::hex};

/// A record, one line of such a file.
pub trait JsonLine: Serialize + DeserializeOwned {
    /// What a person does about a damaged file.
    const REMEDY: &'static str;
}

/// What such a file holds. Whoever writes keeps other writers out.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonLines<T> {
    /// All records, oldest first.
    pub records: Vec<T>,
    /// Whether a head vouches for them. A file from before there were heads has none, nor has one that is not there.
    pub sealed: bool,
}

impl<T> Default for JsonLines<T> {
    fn default() -> Self {
        Self { records: Vec::new(), sealed: false }
    }
}

impl<T: JsonLine> JsonLines<T> {
    /// All records; none where there is no file. What stands behind the end that the head knows never left this process: of
    /// that, lines count up to the first that was not written to its end.
    pub fn read(path: &Path) -> Result<Self> {
        load(path, T::REMEDY).map(|(lines, _)| lines)
    }

    /// What can still be read of a damaged file.
    pub fn salvage(path: &Path) -> Result<Self> {
        let text = read(path)?.unwrap_or_default();
        let records =
            text.split(|it| *it == b'\n').filter_map(|it| serde_json::from_slice(it).ok()).collect();
        Ok(Self { records, sealed: false })
    }

    /// Gives what is there, if only nothing, its head.
    pub fn seal(&mut self, path: &Path) -> Result<()> {
        let (lines, text) = load::<IgnoredAny>(path, T::REMEDY)?;
        write_head(path, lines.records.len(), &text)?;
        self.sealed = true;
        Ok(())
    }

    /// Appends records; they are on the disk, and the head where there is one knows of them, when this returns.
    pub fn append(&mut self, path: &Path, records: Vec<T>) -> Result<()> {
        if !records.is_empty() {
            append(path, &records, T::REMEDY)
                .with_context(|| format!("cannot append to {}", path.display()))?;
            self.records.extend(records);
        }
        Ok(())
    }

    /// Replaces the whole file with these records. The head goes first: between the two the file counts as one from before
    /// there were heads.
    pub fn rewrite(&mut self, path: &Path) -> Result<()> {
        let text = lines(&self.records)?;
        remove(&std::path::absolute(head_path(path))?)?;
        fault::point("json_lines:unsealed");
        File::public(path, text.clone(), Attributes::mode(0o600)).plan()?.apply()?;
        fault::point("json_lines:rewritten");
        write_head(path, self.records.len(), &text)?;
        self.sealed = true;
        Ok(())
    }
}

/// How far the file reaches.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    records: usize,
    bytes: usize,
    /// Of all these bytes, in hexadecimal digits.
    sha256: String,
}

impl Persisted for Head {
    const REMEDY: &'static str = "restore it from a backup, together with the file it belongs to";
}

/// The records, and the bytes that hold them.
fn load<T: DeserializeOwned>(path: &Path, remedy: &str) -> Result<(JsonLines<T>, Vec<u8>)> {
    let found = read(path)?;
    let head = Head::read(&head_path(path)).with_context(|| remedy.to_owned())?;
    let mut text = match (found, &head) {
        (Some(text), _) => text,
        (None, None) => Vec::new(),
        (None, Some(head)) if head.bytes == 0 => Vec::new(),
        (None, Some(_)) => bail!("{} is gone: {remedy}", path.display()),
    };
    let sealed = head.as_ref().map_or(0, |it| it.bytes);
    if let Some(head) = &head
        && text.get(..sealed).is_none_or(|it| sha256(it) != head.sha256)
    {
        bail!(
            "{} is damaged: its first {} records are not what they were: {remedy}",
            path.display(),
            head.records
        );
    }
    let mut records = Vec::new();
    let mut end = 0;
    // Without a head only a line that was not written to its end is passed over.
    let certain = if head.is_some() { sealed } else { whole(&text) };
    for line in text[..whole(&text)].split_inclusive(|it| *it == b'\n') {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) if end >= certain => break,
            Err(error) => {
                let at = records.len() + 1;
                return Err(error)
                    .with_context(|| format!("{}:{at}: the record is damaged: {remedy}", path.display()));
            }
        }
        end += line.len();
    }
    text.truncate(end);
    Ok((JsonLines { records, sealed: head.is_some() }, text))
}

fn append<T: Serialize>(path: &Path, records: &[T], remedy: &str) -> Result<()> {
    let (before, mut text) = load::<IgnoredAny>(path, remedy)?;
    let start = text.len();
    text.extend(lines(records)?);
    let new = !path.exists();
    let place = Place::of(path)?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&place.directory, &place.name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = std::fs::File::from(file);
    file.set_len(u64::try_from(start)?)?;
    file.write_all(&text[start..])?;
    file.sync_all()?;
    // Perhaps it is new.
    place.sync()?;
    fault::point("json_lines:appended");
    // Whether a file from before there were heads is whole, its reader decides, and seals it.
    if !new && !before.sealed {
        return Ok(());
    }
    write_head(path, before.records.len() + records.len(), &text)
}

fn lines<T: Serialize>(records: &[T]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn write_head(path: &Path, records: usize, text: &[u8]) -> Result<()> {
    Head { records, bytes: text.len(), sha256: sha256(text) }.file(head_path(path), 0o600)?.plan()?.apply()
}

fn head_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".head");
    name.into()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes).as_ref())
}

/// How long the part is that ends with a line's end.
fn whole(text: &[u8]) -> usize {
    text.iter().rposition(|it| *it == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    impl JsonLine for u32 {
        const REMEDY: &'static str = "rebuild it";
    }

    fn records(path: &Path) -> Result<Vec<u32>> {
        JsonLines::read(path).map(|it| it.records)
    }

    fn append(path: &Path, records: &[u32]) -> Result<()> {
        JsonLines::default().append(path, records.to_vec())
    }

    #[test]
    fn a_line_that_was_cut_off_counts_for_nothing_and_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.jsonl");
        assert!(records(&path).unwrap().is_empty());
        append(&path, &[1, 2]).unwrap();
        // The last one ends within a letter; a power cut left NULs, or a page of them within what was appended.
        for cut in [&b"{"[..], b"3", b"nonsense", b"\"\xc3", b"\0\0\0\0", b"\0\0\n3\n"] {
            fs::write(&path, [b"1\n2\n", cut].concat()).unwrap();
            assert_eq!(records(&path).unwrap(), [1, 2], "{cut:?}");
            append(&path, &[4]).unwrap();
            assert_eq!(records(&path).unwrap(), [1, 2, 4], "{cut:?}");
            JsonLines { records: vec![1, 2], sealed: true }.rewrite(&path).unwrap();
        }
        // Killed before the head was written.
        fs::write(&path, "1\n2\n3\n").unwrap();
        assert_eq!(records(&path).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn what_is_missing_or_changed_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.jsonl");
        append(&path, &[1, 2, 3]).unwrap();
        for damaged in
            ["", "1\n", "1\n2\n", "1\n2\n4\n", "\0\0\0\0\0\0", "1\n2\n3", "\0\0\0\0\0\x001\n2\n3\n"]
        {
            fs::write(&path, damaged).unwrap();
            let error = records(&path).unwrap_err().to_string();
            assert!(error.contains("some.jsonl is damaged") && error.ends_with("rebuild it"), "{error}");
            assert!(append(&path, &[4]).is_err(), "{damaged:?}");
        }
        fs::remove_file(&path).unwrap();
        let error = records(&path).unwrap_err().to_string();
        assert!(error.contains("some.jsonl is gone: rebuild it"), "{error}");
        fs::write(&path, "1\n2\n3\n").unwrap();
        fs::write(folder.path().join("some.jsonl.head"), "").unwrap();
        assert!(format!("{:#}", records(&path).unwrap_err()).contains("some.jsonl.head is damaged"));
    }

    #[test]
    fn a_file_without_a_head_is_read_and_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.jsonl");
        fs::write(&path, "1\nnonsense\n3\n").unwrap();
        let error = records(&path).unwrap_err().to_string();
        assert!(error.contains("some.jsonl:2: the record is damaged"), "{error}");
        assert_eq!(JsonLines::<u32>::salvage(&path).unwrap().records, [1, 3]);
        fs::write(&path, "1\n2\n").unwrap();
        let sealed = || JsonLines::<u32>::read(&path).unwrap().sealed;
        append(&path, &[3]).unwrap();
        assert!(!sealed());
        JsonLines::<u32>::default().seal(&path).unwrap();
        assert!(sealed());
        fs::write(&path, "1\n").unwrap();
        assert!(records(&path).is_err());
    }
}
