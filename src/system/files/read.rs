//! Reading files. Whoever owns one cannot keep its reader: only regular files are read, without waiting, and
//! no more than fits. What is there and cannot be read is never taken for missing.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context, Result};
use rustix::fs::OFlags;

/// No file that is read as a whole is larger: logs of etcd have 64 MB.
const MOST: u64 = 256 << 20;

/// Opens a regular file. A pipe would wait for its writer, a device may never end.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(if kind.is_dir() {
            io::Error::new(ErrorKind::IsADirectory, "it is a directory, not a regular file")
        } else {
            io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")
        });
    }
    Ok(file)
}

/// The content of a regular file.
pub fn content(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    content_up_to(path, MOST)
}

/// The content of a regular file that has no more than `most` bytes.
fn content_up_to(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let too_large = || {
        let message = format!("it has more than {most} bytes, which nothing that belongs there has");
        Err(io::Error::new(ErrorKind::FileTooLarge, message))
    };
    if length > most {
        return too_large();
    }
    // At once, so that growing leaves no copies of a secret in memory.
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    file.take(most + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|it| it <= most) { Ok(content) } else { too_large() }
}

/// The content of a regular file as text.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let text = String::from_utf8(content(path)?);
    text.map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8: correct it"))
}

/// The content; none where there is no file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    if_there(path, content(path))
}

/// The content as text; none where there is no file.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    as_text(path, read(path)?)
}

/// The same, of a file with no more than `most` bytes.
pub fn read_text_up_to(path: &Path, most: u64) -> Result<Option<String>> {
    as_text(path, if_there(path, content_up_to(path, most))?)
}

fn if_there<T>(path: &Path, content: io::Result<T>) -> Result<Option<T>> {
    match content {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn as_text(path: &Path, content: Option<Vec<u8>>) -> Result<Option<String>> {
    let text = content.map(String::from_utf8).transpose();
    text.ok().with_context(|| format!("{} is not UTF-8: correct it", path.display()))
}
