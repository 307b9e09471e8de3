//! One file that a rotation changes, and how it was before.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::system::{
    accounts::{self, Account},
    as_user,
    files::{Attributes, Directory, File, read_text_up_to, remove, resolve},
};

/// More keys than anybody has.
const LONGEST: u64 = 1 << 20;

/// A file and the text it shall have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Where.
    pub path: PathBuf,
    /// The user in whose home it lies, with whose rights it is written; none: root.
    pub user: Option<String>,
    /// Its text; none: it shall not be there.
    pub text: Option<String>,
}

impl Edit {
    /// A file of `account`: written with that user's rights where it lies in the home.
    pub fn of(path: &Path, account: &Account) -> Self {
        let at_home = account.home.as_deref().is_some_and(|home| home != "/" && path.starts_with(home));
        Self { path: path.into(), user: at_home.then(|| account.name.clone()), text: None }
    }

    fn account(&self) -> Result<Option<Account>> {
        let Some(name) = &self.user else { return Ok(None) };
        Ok(Some(accounts::user(name)?.with_context(|| format!("there is no user '{name}'"))?))
    }

    /// The same file, with its text as it is.
    pub fn found(mut self) -> Result<Self> {
        let path = &self.path;
        self.text = as_user(self.account()?.as_ref(), || read_text_up_to(&resolve(path)?, LONGEST))?;
        Ok(self)
    }

    /// Writes it, with the mode that sshd wants, in a directory that is made where it is missing.
    pub fn write(&self) -> Result<()> {
        // Closed to others in a home; for all to read where root keeps the keys of users.
        let (file, directory) = if self.user.is_some() { (0o600, 0o700) } else { (0o644, 0o755) };
        let write = || {
            // A link of the user's own stays one, to wherever the keys are kept.
            let path = resolve(&self.path)?;
            let Some(text) = &self.text else { return remove(&path).map(drop) };
            let parent = path.parent().context("it names no file")?;
            if !parent.exists() {
                Directory { path: parent.into(), attributes: Attributes::mode(directory) }.plan()?.apply()?;
            }
            File::public(&path, text.as_str(), Attributes::mode(file)).plan()?.apply()
        };
        as_user(self.account()?.as_ref(), write)
    }
}
