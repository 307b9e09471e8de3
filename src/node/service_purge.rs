//! Module `service_purge`: data, users and groups that a service left on a host when it was turned down go, by name.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::Records;
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{
        accounts::{self, Account},
        fault,
        files::remove,
    },
    text::Diff,
};

/// Users from here on belong to people (login.defs, `UID_MIN`).
const PEOPLE: u32 = 1000;

crate::arguments! {
    /// Options of `service_purge`.
    pub struct Params {
        /// The service, which is turned down everywhere.
        pub service: String => Argument::str().required(),
        /// Its users.
        pub users: Vec<String> => Argument::list(Argument::str()).required(),
        /// Its groups; that of a user goes with the user.
        pub groups: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Its directories, with everything in them. Each must belong to one of the users.
        pub directories: Vec<PathBuf> => Argument::list(Argument::path()).required(),
        /// Users and groups that other services have.
        pub keep: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Whether to remove what is left. Otherwise it is only shown.
        pub remove: bool => Argument::bool().default(false),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ServicePurge;

/// What is left on the host.
pub struct Plan {
    service: String,
    directories: Vec<PathBuf>,
    users: Vec<Account>,
    groups: Vec<Account>,
    remove: bool,
    lines: Vec<String>,
}

impl Module for ServicePurge {
    const NAME: &'static str = "service_purge";
    const ABOUT: &'static str = "Shows, and removes by name, what a service that was turned down left on a host: data, users, groups.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let records = Records::read(&params.ledger)?;
        if records.services.contains_key(&params.service) {
            bail!(
                "service '{}' is still on this host: take it out of services.yml and run site.yml, which turns it down; \
                 then purge it",
                params.service
            );
        }
        if let Some(shared) = params.users.iter().chain(&params.groups).find(|it| params.keep.contains(it)) {
            bail!("'{shared}' belongs to another service too, which is in services.yml: leave it out");
        }
        let mut users = Vec::new();
        for name in &params.users {
            users.extend(system_account("user", name, accounts::user(name)?)?);
        }
        let mut groups = Vec::new();
        for name in &params.groups {
            groups.extend(system_account("group", name, accounts::group(name)?)?);
        }
        let directories: Vec<_> =
            params.directories.iter().filter(|it| fs::symlink_metadata(it).is_ok()).cloned().collect();
        let mut lines = Vec::new();
        for path in &directories {
            judge(path, &users, &records, &params.ledger)?;
            let (entries, bytes) = size(path)?;
            lines.push(format!("{}: {entries} files and directories, {bytes} bytes", path.display()));
        }
        lines.extend(users.iter().map(|it| format!("user {} ({})", it.name, it.id)));
        lines.extend(groups.iter().map(|it| format!("group {} ({})", it.name, it.id)));
        Ok(Plan { service: params.service, directories, users, groups, remove: params.remove, lines })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        let changed = plan.remove && !plan.lines.is_empty();
        let text = if plan.lines.is_empty() { "nothing is left".into() } else { plan.lines.join("; ") };
        let diff = || Diff::of(format!("left of {}", plan.service), plan.lines.join("\n") + "\n", "");
        let outcome = Outcome::new(changed).with_diff(changed.then(diff)).with("left", &plan.lines);
        Outcome { msg: Some(format!("{}: {text}", plan.service)), ..outcome }
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        if !plan.remove {
            return Ok(predicted);
        }
        // The user goes last: what is left of the data by a run that was killed still has an owner.
        for path in &plan.directories {
            remove(path)?;
            fault::point("service_purge:directory");
        }
        for user in &plan.users {
            command("userdel", &user.name)?;
            fault::point("service_purge:user");
        }
        for group in &plan.groups {
            if accounts::group(&group.name)?.is_some() {
                command("groupdel", &group.name)?;
                fault::point("service_purge:group");
            }
        }
        Ok(predicted)
    }
}

/// The account, if there is one: never root's or a person's.
fn system_account(kind: &str, name: &str, found: Option<Account>) -> Result<Option<Account>> {
    // A number would be found too.
    let found = found.filter(|it| it.name == name);
    if let Some(account) = found.as_ref().filter(|it| it.id == 0 || it.id >= PEOPLE) {
        bail!("{kind} '{name}' has the number {}, so it is no service's: leave it out", account.id);
    }
    Ok(found)
}

/// Refuses a directory that may hold anything but the service's data.
fn judge(path: &Path, users: &[Account], records: &Records, ledger: &Path) -> Result<()> {
    if !path.is_absolute() || path.components().any(|it| it == Component::ParentDir) {
        bail!("{} is not an absolute path", path.display());
    }
    let taken = records.services.iter().flat_map(|(service, holdings)| {
        holdings.credentials.iter().chain(&holdings.files).map(move |file| (service.as_str(), file.as_path()))
    });
    if let Some((owner, file)) = taken.chain([("minicluster", ledger)]).find(|(_, it)| it.starts_with(path)) {
        bail!("{} holds {} of {owner}: leave it out", path.display(), file.display());
    }
    let owner = fs::symlink_metadata(path)?.uid();
    let name = accounts::user(&owner.to_string())?.map(|it| it.name);
    // Of a user that is gone, only the number is left.
    if name.as_ref().is_some_and(|name| !users.iter().any(|it| it.name == *name)) {
        bail!(
            "{} belongs to '{}', not to the service: leave it out",
            path.display(),
            name.unwrap_or_default()
        );
    }
    Ok(())
}

/// How many files and directories are there, and their bytes. Links are not followed.
fn size(path: &Path) -> Result<(u64, u64)> {
    let found = fs::symlink_metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut entries, mut bytes) = (1, if found.is_file() { found.len() } else { 0 });
    if found.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
            let (below, more) = size(&entry?.path())?;
            entries += below;
            bytes += more;
        }
    }
    Ok((entries, bytes))
}

fn command(program: &str, name: &str) -> Result<()> {
    let output = Command::new(program).args(["--", name]).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
