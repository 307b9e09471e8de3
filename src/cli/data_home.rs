//! The account's own directories, where nobody named another one. Secrets must never end in whatever directory is the
//! current one.

use std::{env, ffi::OsString, path::PathBuf};

use anyhow::{Context, Result};
use rustix::process::getuid;

use crate::system::accounts;

/// Where the roles keep the secrets of clusters when the operator says nothing else.
pub(super) fn clusters() -> Result<PathBuf> {
    Ok(data_home(env::var_os("XDG_DATA_HOME"), home)?.join("minicluster"))
}

/// A path that may begin with `~/`, as Ansible takes it.
pub(super) fn expand(path: &str) -> Result<PathBuf> {
    path.strip_prefix("~/").map_or_else(|| Ok(path.into()), |below| Ok(home()?.join(below)))
}

/// The account's home directory.
fn home() -> Result<PathBuf> {
    home_of(
        env::var_os("HOME"),
        || Ok(accounts::user(&getuid().as_raw().to_string())?.and_then(|it| it.home)),
    )
}

/// An empty or relative value counts as none, as the XDG Base Directory Specification says.
fn absolute(variable: Option<OsString>) -> Option<PathBuf> {
    variable.map(PathBuf::from).filter(|it| it.is_absolute())
}

fn data_home(variable: Option<OsString>, home: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    absolute(variable).map_or_else(|| Ok(home()?.join(".local/share")), Ok)
}

fn home_of(variable: Option<OsString>, account: impl FnOnce() -> Result<Option<String>>) -> Result<PathBuf> {
    absolute(variable)
        .map_or_else(|| Ok(absolute(account()?.map(Into::into))), |it| Ok::<_, anyhow::Error>(Some(it)))?
        .context("this account has no home directory: give --private-dir")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_absolute_path_counts_as_none() {
        for (data, home, account, expected) in [
            (Some("/data"), Some("/home/me"), Some("/accounts/me"), Some("/data")),
            (None, Some("/home/me"), None, Some("/home/me/.local/share")),
            (Some(""), Some("/home/me"), None, Some("/home/me/.local/share")),
            (Some("data"), Some("/home/me"), None, Some("/home/me/.local/share")),
            (None, None, Some("/accounts/me"), Some("/accounts/me/.local/share")),
            (Some(""), Some(""), Some("/accounts/me"), Some("/accounts/me/.local/share")),
            (None, Some("home/me"), Some("/accounts/me"), Some("/accounts/me/.local/share")),
            (None, None, Some(""), None),
            (None, None, None, None),
        ] {
            let found = data_home(data.map(Into::into), || {
                home_of(home.map(Into::into), || Ok(account.map(str::to_owned)))
            });
            assert_eq!(found.ok(), expected.map(PathBuf::from), "{data:?} {home:?} {account:?}");
        }
    }
}
