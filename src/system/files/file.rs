//! One file: what it shall be, what is to be done for that, and the doing.

use std::{
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags, fstat, openat, statx},
    io::Errno,
};
use zeroize::Zeroizing;

use super::{Attributes, attributes::Found, place::Place, replace::replace};
use crate::{system::Secret, text::Diff};

/// Texts longer than this are not shown in a diff.
const SHOWN: usize = 100_000;

/// What a file holds.
pub enum Content {
    /// Shown in a diff.
    Public(Vec<u8>),
    /// Never shown.
    Secret(Secret),
}

/// A file as it shall be.
pub struct File {
    /// Where. A symbolic link there is replaced, not followed.
    pub path: PathBuf,
    /// Its content.
    pub content: Content,
    /// Its mode, owner and group.
    pub attributes: Attributes,
}

/// What is there, and what shall be.
pub struct FilePlan {
    file: File,
    found: There,
    content_changes: bool,
    attributes_change: bool,
}

enum There {
    Nothing,
    Link,
    /// Of a long file that differs, only the beginning is read.
    File {
        content: Zeroizing<Vec<u8>>,
        length: u64,
        attributes: Found,
        mount_point: bool,
    },
}

impl File {
    /// A file whose content may be shown.
    pub fn public(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>, attributes: Attributes) -> Self {
        Self { path: path.into(), content: Content::Public(content.into()), attributes }
    }

    /// A file whose content is never shown.
    pub fn secret(path: impl Into<PathBuf>, content: Secret, attributes: Attributes) -> Self {
        Self { path: path.into(), content: Content::Secret(content), attributes }
    }

    fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Public(bytes) => bytes,
            Content::Secret(secret) => secret.expose(),
        }
    }

    /// Looks at what is there. Writes nothing.
    pub fn plan(self) -> Result<FilePlan> {
        let found = look(&self.path, self.bytes().len())
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        let (content_changes, attributes_change) = match &found {
            There::Nothing | There::Link => (true, true),
            There::File { content, attributes, .. } => {
                (content.as_slice() != self.bytes(), !self.attributes.hold(*attributes)?)
            }
        };
        Ok(FilePlan { file: self, found, content_changes, attributes_change })
    }
}

fn look(path: &Path, wanted: usize) -> Result<There> {
    let Some(place) = Place::find(path)? else { return Ok(There::Nothing) };
    let file = match open(&place) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(There::Nothing),
        Err(Errno::LOOP) => return Ok(There::Link),
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => bail!("it is a directory; remove it or choose another path"),
        _ => bail!("it is neither a file nor a link; remove it or choose another path"),
    }
    let attributes = Found::of(&file)?;
    let length = u64::try_from(stat.st_size)?;
    let most = u64::try_from(wanted.max(SHOWN))? + 1;
    // At once, so that growing leaves no copies of a secret in memory.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length.min(most))? + 1));
    std::fs::File::from(file).take(most).read_to_end(&mut content)?;
    Ok(There::File { content, length, attributes, mount_point: is_mount_point(&place) })
}

/// Opens what is there. Not blocking: a pipe would wait for its writer.
fn open(place: &Place) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(&place.directory, &place.name, flags, Mode::empty())
}

/// Kernels before 5.8 do not say; there the failing rename tells.
fn is_mount_point(place: &Place) -> bool {
    statx(&place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
        .is_ok_and(|it| it.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

impl FilePlan {
    /// Whether anything is to be done.
    pub const fn changes(&self) -> bool {
        self.content_changes || self.attributes_change
    }

    /// Whether a program that reads the file would read something else.
    pub const fn content_changes(&self) -> bool {
        self.content_changes
    }

    /// Whether nothing is there yet.
    pub const fn creates(&self) -> bool {
        matches!(self.found, There::Nothing)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What the operator should know of how it is written.
    pub fn warning(&self) -> Option<String> {
        let mounted = matches!(self.found, There::File { mount_point: true, .. });
        (mounted && self.content_changes).then(|| {
            format!(
                "{} is a mount point: it is written in place, and a reader may see it incomplete",
                self.file.path.display()
            )
        })
    }

    /// What changes, for `--diff`. Of a secret only that it does.
    pub fn diff(&self) -> Option<Diff> {
        if !self.changes() {
            return None;
        }
        let path = self.file.path.display();
        let after = self.file.attributes.describe();
        let (before, before_text) = match &self.found {
            There::Nothing => ("does not exist".into(), String::new()),
            There::Link => ("symbolic link".into(), String::new()),
            There::File { content, length, attributes, .. } => {
                (attributes.describe(&self.file.attributes), self.show(content, *length, "content before"))
            }
        };
        let (before_text, after_text) = if self.content_changes {
            let bytes = self.file.bytes();
            (before_text, self.show(bytes, u64::try_from(bytes.len()).unwrap_or(u64::MAX), "content after"))
        } else {
            (format!("{before}\n"), format!("{after}\n"))
        };
        Some(Diff {
            before: before_text,
            after: after_text,
            before_header: format!("{path} ({before})"),
            after_header: format!("{path} ({after})"),
        })
    }

    fn show(&self, bytes: &[u8], length: u64, what: &str) -> String {
        match (&self.file.content, std::str::from_utf8(bytes)) {
            (Content::Secret(_), _) => format!("({what}: secret)\n"),
            (_, Ok(text)) if text.len() <= SHOWN && !text.contains('\0') => text.to_owned(),
            _ => format!("({what}: {length} bytes, not shown)\n"),
        }
    }

    /// Does it. An unchanged file is not touched.
    pub fn apply(self) -> Result<()> {
        if !self.changes() {
            return Ok(());
        }
        self.write().with_context(|| format!("cannot write {}", self.file.path.display()))
    }

    fn write(&self) -> Result<()> {
        let attributes = &self.file.attributes;
        let place = Place::of(&self.file.path)?;
        let kept = match &self.found {
            There::File { attributes: kept, .. } => {
                if !self.content_changes && correct(&place, attributes)? {
                    return Ok(());
                }
                Some(*kept)
            }
            There::Nothing | There::Link => None,
        };
        replace(&place, self.file.bytes(), attributes, kept)
    }
}

/// Gives the file that is there these attributes; not where it has another name, too, perhaps one that is
/// none of ours.
fn correct(place: &Place, attributes: &Attributes) -> Result<bool> {
    let file = open(place)?;
    let found = fstat(&file)?;
    let own = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_nlink == 1;
    if own {
        attributes.give(file, None)?;
    }
    Ok(own)
}
