//! Who owns a file and who may use it.

use std::{fmt::Write as _, os::fd::AsFd};

use anyhow::{Context, Result, anyhow};
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown, fstat};

use crate::system::accounts;

/// Where accounts come from that no role makes itself.
const SERVICES: &str = " (those of a service are made by a run of site.yml without --tags)";

/// Mode, owner and group that a file or directory shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributes {
    /// Permission bits, as `chmod` takes them.
    pub mode: u32,
    /// Name or number; `None`: as it is, or whoever runs the module.
    pub owner: Option<String>,
    /// Name or number; `None`: as it is, or the group of whoever runs the module.
    pub group: Option<String>,
}

/// A number needs no account: in a container it may have one.
fn user(key: &str) -> Result<Option<u32>> {
    Ok(accounts::user(key)?.map(|it| it.id).or_else(|| key.parse().ok()))
}

fn group(key: &str) -> Result<Option<u32>> {
    Ok(accounts::group(key)?.map(|it| it.id).or_else(|| key.parse().ok()))
}

impl Attributes {
    /// A mode, with owner and group as they are.
    pub const fn mode(mode: u32) -> Self {
        Self { mode, owner: None, group: None }
    }

    /// Owned by `owner` and `group`.
    pub fn owned_by(self, owner: impl Into<String>, group: impl Into<String>) -> Self {
        Self { owner: Some(owner.into()), group: Some(group.into()), ..self }
    }

    /// Whether `found` is as it shall be. An account that does not exist yet owns nothing.
    pub(super) fn hold(&self, found: Found) -> Result<bool> {
        let owner = self.owner.as_deref().map(user).transpose()?;
        let group = self.group.as_deref().map(group).transpose()?;
        Ok(found.mode == self.mode
            && owner.is_none_or(|it| it.is_some_and(|it| it == found.owner))
            && group.is_none_or(|it| it.is_some_and(|it| it == found.group)))
    }

    /// Gives an open file these attributes. Never grants in between what neither the old nor the new
    /// attributes grant. `kept` owns the file where these attributes name no owner or group.
    pub(super) fn give(&self, file: impl AsFd, kept: Option<Found>) -> Result<()> {
        let owner = match &self.owner {
            Some(name) => Some(
                user(name)?.ok_or_else(|| anyhow!("there is no user '{name}'; create it first{SERVICES}"))?,
            ),
            None => kept.map(|it| it.owner),
        };
        let group = match &self.group {
            Some(name) => Some(
                group(name)?
                    .ok_or_else(|| anyhow!("there is no group '{name}'; create it first{SERVICES}"))?,
            ),
            None => kept.map(|it| it.group),
        };
        let now = Found::of(&file)?;
        let owner = owner.filter(|it| *it != now.owner);
        let group = group.filter(|it| *it != now.group);
        if owner.is_some() || group.is_some() {
            fchmod(&file, Mode::from_bits_truncate(now.mode & self.mode))?;
            fchown(&file, owner.map(Uid::from_raw), group.map(Gid::from_raw))
                .with_context(|| format!("cannot give it to {}", self.describe()))?;
        }
        fchmod(&file, Mode::from_bits_truncate(self.mode)).context("cannot set its mode")
    }

    /// For a diff: `mode 0640, owner root, group web`.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("mode {:04o}", self.mode);
        for (what, name) in [("owner", &self.owner), ("group", &self.group)] {
            if let Some(name) = name {
                // Writing to a string cannot fail.
                let _ = write!(text, ", {what} {name}");
            }
        }
        text
    }
}

/// Mode, owner and group that a file has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
}

impl Found {
    pub(super) fn of(file: impl AsFd) -> Result<Self> {
        let stat = fstat(file)?;
        Ok(Self { mode: stat.st_mode & 0o7777, owner: stat.st_uid, group: stat.st_gid })
    }

    /// The same words as [`Attributes::describe`], about the same things.
    pub(super) fn describe(self, wanted: &Attributes) -> String {
        let name = |found: Result<Option<accounts::Account>>, id: u32| {
            found.ok().flatten().map_or_else(|| id.to_string(), |it| it.name)
        };
        let owner = wanted.owner.is_some().then(|| name(accounts::user(&self.owner.to_string()), self.owner));
        let group =
            wanted.group.is_some().then(|| name(accounts::group(&self.group.to_string()), self.group));
        Attributes { mode: self.mode, owner, group }.describe()
    }
}
