//! Work done with a user's rights. What lies in a home directory is written as its owner would write it:
//! a link planted there leads root nowhere, and what is made belongs to the user.

use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    fs::{Gid, Uid},
    process::geteuid,
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::system::accounts::Account;

/// Does `work` as `account`, or as whoever runs this where there is none.
///
/// Linux keeps the rights of each thread apart, so a thread gives up all but the user's own for good,
/// does the work, and ends.
pub fn as_user<T: Send>(account: Option<&Account>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let Some(account) = account.filter(|it| it.id != geteuid().as_raw()) else { return work() };
    if !geteuid().is_root() {
        bail!("only root can write what belongs to '{}': run with become", account.name);
    }
    let group = account.group.with_context(|| format!("user '{}' has no primary group", account.name))?;
    let (user, group) = (Uid::from_raw(account.id), Gid::from_raw(group));
    let become_user = move || -> Result<T> {
        set_thread_groups(&[group])
            .and_then(|()| set_thread_res_gid(group, group, group))
            .and_then(|()| set_thread_res_uid(user, user, user))
            .context("cannot give up root's rights")?;
        work()
    };
    thread::scope(|scope| scope.spawn(become_user).join())
        .map_err(|_| anyhow!("the work as '{}' did not end well", account.name))?
        .with_context(|| format!("as user '{}'", account.name))
}
