//! Files that only grow: one JSON record a line.

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, openat};
use serde::{Serialize, de::DeserializeOwned};

use super::{place::Place, read};

/// All records; none where there is no file. A last line without its end was cut off by a crash before anyone
/// heard of it: it counts for nothing.
///
/// # Errors
/// The file cannot be read, or another line is damaged.
pub fn read_json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let Some(text) = read(path)? else { return Ok(Vec::new()) };
    let whole = &text[..whole(&text)];
    let read = |(at, line)| {
        serde_json::from_slice(line).with_context(|| {
            format!("{}:{}: the record is damaged; restore the file from a backup", path.display(), at + 1)
        })
    };
    whole.split_inclusive(|it| *it == b'\n').enumerate().map(read).collect()
}

/// Appends records; they are on the disk when this returns. The caller keeps other writers out.
///
/// # Errors
/// They cannot be written.
pub fn append_json_lines<T: Serialize>(path: &Path, records: &[T]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    let write = || -> Result<()> {
        let place = Place::of(path)?;
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&place.directory, &place.name, flags, Mode::RUSR | Mode::WUSR)?;
        let (mut file, mut text) = (std::fs::File::from(file), Vec::new());
        file.read_to_end(&mut text)?;
        file.set_len(u64::try_from(whole(&text))?)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        // Perhaps it is new.
        place.sync()
    };
    write().with_context(|| format!("cannot append to {}", path.display()))
}

/// How long the part is that ends with a line's end.
fn whole(text: &[u8]) -> usize {
    text.iter().rposition(|it| *it == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_counts_for_nothing_and_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.jsonl");
        assert!(read_json_lines::<u32>(&path).unwrap().is_empty());
        append_json_lines(&path, &[1, 2]).unwrap();
        // The last one ends within a letter.
        for cut in [&b"{"[..], b"3", b"nonsense", b"\"\xc3"] {
            fs::write(&path, [b"1\n2\n", cut].concat()).unwrap();
            assert_eq!(read_json_lines::<u32>(&path).unwrap(), [1, 2], "{cut:?}");
            append_json_lines(&path, &[4]).unwrap();
            assert_eq!(read_json_lines::<u32>(&path).unwrap(), [1, 2, 4], "{cut:?}");
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.jsonl");
        fs::write(&path, "1\nnonsense\n3\n").unwrap();
        let error = read_json_lines::<u32>(&path).unwrap_err().to_string();
        assert!(error.contains("some.jsonl:2: the record is damaged"), "{error}");
    }
}
