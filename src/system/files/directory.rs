//! One directory: what it shall be, and the making of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::{
    fs::{Mode, mkdirat, openat},
    io::Errno,
};

use super::{
    Attributes,
    attributes::Found,
    place::{OPEN, Place},
};
use crate::text::Diff;

/// A directory as it shall be. Missing parents are made with mode 0755.
pub struct Directory {
    /// Where.
    pub path: PathBuf,
    /// Its mode, owner and group.
    pub attributes: Attributes,
}

/// What is there, and what shall be.
pub struct DirectoryPlan {
    directory: Directory,
    found: Option<Found>,
    changes: bool,
}

impl Directory {
    /// Looks at what is there. Writes nothing.
    pub fn plan(self) -> Result<DirectoryPlan> {
        let cannot_read = || format!("cannot read {}", self.path.display());
        let place = Place::find(&self.path).with_context(cannot_read)?;
        let opened =
            place.map_or(Err(Errno::NOENT), |it| openat(&it.directory, &it.name, OPEN, Mode::empty()));
        let found = match opened {
            Ok(directory) => Some(Found::of(directory)?),
            Err(Errno::NOENT) => None,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                bail!("{} is not a directory; remove it or choose another path", self.path.display())
            }
            Err(error) => return Err(error).with_context(cannot_read),
        };
        let changes = match found {
            Some(found) => !self.attributes.hold(found)?,
            None => true,
        };
        Ok(DirectoryPlan { directory: self, found, changes })
    }
}

impl DirectoryPlan {
    /// Whether anything is to be done.
    pub const fn changes(&self) -> bool {
        self.changes
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// What changes, for `--diff`.
    pub fn diff(&self) -> Option<Diff> {
        let wanted = &self.directory.attributes;
        let path = self.directory.path.display();
        let before = self.found.map_or_else(String::new, |it| format!("{}\n", it.describe(wanted)));
        let after = format!("{}\n", wanted.describe());
        self.changes.then(|| Diff::of(path, before, after))
    }

    /// Does it.
    pub fn apply(self) -> Result<()> {
        let Directory { path, attributes } = &self.directory;
        if !self.changes {
            return Ok(());
        }
        make(path, attributes).with_context(|| format!("cannot make the directory {}", path.display()))
    }
}

fn make(path: &Path, attributes: &Attributes) -> Result<()> {
    let place = Place::make(path)?;
    // Closed to others until it has its owner.
    match mkdirat(&place.directory, &place.name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    attributes.give(openat(&place.directory, &place.name, OPEN, Mode::empty())?, None)?;
    place.sync()
}
