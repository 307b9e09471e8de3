//! One file: what it shall be, what is to be done for that, and the doing.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags, open, statx},
    io::Errno,
};
use zeroize::Zeroizing;

use super::{
    Attributes,
    attributes::Found,
    replace::{replace, split},
};
use crate::ansible::{Diff, Secret};

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
    File { content: Zeroizing<Vec<u8>>, attributes: Found, mount_point: bool },
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
    ///
    /// # Errors
    /// What is there cannot be read, or is not a file.
    pub fn plan(self) -> Result<FilePlan> {
        let found = look(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let (content_changes, attributes_change) = match &found {
            There::Nothing | There::Link => (true, true),
            There::File { content, attributes, .. } => {
                (content.as_slice() != self.bytes(), !self.attributes.hold(*attributes)?)
            }
        };
        Ok(FilePlan { file: self, found, content_changes, attributes_change })
    }
}

fn look(path: &Path) -> Result<There> {
    split(path)?;
    // Not blocking: a pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(There::Nothing),
        Err(Errno::LOOP) => return Ok(There::Link),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => bail!("it is a directory; remove it or choose another path"),
        _ => bail!("it is neither a file nor a link; remove it or choose another path"),
    }
    let attributes = Found::of(&file)?;
    let mut content = Zeroizing::new(Vec::new());
    std::fs::File::from(file).read_to_end(&mut content)?;
    Ok(There::File { content, attributes, mount_point: is_mount_point(path) })
}

/// Kernels before 5.8 do not say; there the failing rename tells.
fn is_mount_point(path: &Path) -> bool {
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
        .is_ok_and(|it| it.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

impl FilePlan {
    /// Whether anything is to be done.
    #[must_use]
    pub const fn changes(&self) -> bool {
        self.content_changes || self.attributes_change
    }

    /// Whether a program that reads the file would read something else.
    #[must_use]
    pub const fn content_changes(&self) -> bool {
        self.content_changes
    }

    /// Whether nothing is there yet.
    #[must_use]
    pub const fn creates(&self) -> bool {
        matches!(self.found, There::Nothing)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What the operator should know of how it is written.
    #[must_use]
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
    #[must_use]
    pub fn diff(&self) -> Option<Diff> {
        if !self.changes() {
            return None;
        }
        let path = self.file.path.display();
        let after = self.file.attributes.describe();
        let (before, before_text) = match &self.found {
            There::Nothing => ("does not exist".into(), String::new()),
            There::Link => ("symbolic link".into(), String::new()),
            There::File { content, attributes, .. } => {
                (attributes.describe(&self.file.attributes), self.show(content, "content before"))
            }
        };
        let (before_text, after_text) = if self.content_changes {
            (before_text, self.show(self.file.bytes(), "content after"))
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

    fn show(&self, bytes: &[u8], what: &str) -> String {
        match (&self.file.content, std::str::from_utf8(bytes)) {
            (Content::Secret(_), _) => format!("({what}: secret)\n"),
            (_, Ok(text)) if text.len() <= SHOWN && !text.contains('\0') => text.to_owned(),
            _ => format!("({what}: {} bytes, not shown)\n", bytes.len()),
        }
    }

    /// Does it. An unchanged file is not touched.
    ///
    /// # Errors
    /// It cannot be written; what was there is still there.
    pub fn apply(self) -> Result<()> {
        let File { path, attributes, .. } = &self.file;
        let done = match &self.found {
            _ if !self.changes() => Ok(()),
            There::File { .. } if !self.content_changes => correct(path, attributes),
            There::File { attributes: kept, .. } => replace(path, self.file.bytes(), attributes, Some(*kept)),
            There::Nothing | There::Link => replace(path, self.file.bytes(), attributes, None),
        };
        done.with_context(|| format!("cannot write {}", path.display()))
    }
}

fn correct(path: &Path, attributes: &Attributes) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    attributes.give(open(path, flags, Mode::empty())?, None)
}
