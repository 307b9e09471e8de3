//! Moving a file or a directory to another name of the same file system.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::{
    fs::{RenameFlags, renameat_with},
    io::Errno,
};

use super::place::Place;

/// Moves what is at `from` to `to`, as `rename(2)` does; it survives a loss of power when this returns.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let done = move_with(RenameFlags::empty(), from, to);
    done.with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

/// Exchanges what is at `new` and `old` in one step, or moves `new` to `old` where nothing is.
pub fn exchange(new: &Path, old: &Path) -> Result<()> {
    let done = match move_with(RenameFlags::EXCHANGE, new, old) {
        Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => {
            move_with(RenameFlags::NOREPLACE, new, old)
        }
        done => done,
    };
    done.with_context(|| format!("cannot exchange {} and {}", new.display(), old.display()))
}

fn move_with(how: RenameFlags, from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (Place::of(from)?, Place::of(to)?);
    renameat_with(&from.directory, &from.name, &to.directory, &to.name, how)?;
    to.sync()?;
    from.sync()
}
