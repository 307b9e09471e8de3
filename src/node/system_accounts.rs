//! Module `system_accounts`: users and groups of a sysusers.d(5) file, with the numbers that the file names or not at all.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::node_files::make_parent;
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{
        accounts::{self, Account},
        fault,
        files::{Attributes, File, FilePlan},
    },
};

/// Numbers below it are Debian's own, the same on every machine (base-passwd), and so is that of `nobody`.
const DYNAMIC: u32 = 100;
const NOBODY: u32 = 65534;

crate::arguments! {
    /// Options of `system_accounts`.
    pub struct Params {
        /// The file's content: lines of sysusers.d(5).
        pub content: String => Argument::str().required(),
        /// The file.
        pub path: PathBuf => Argument::path().default("/etc/sysusers.d/minicluster.conf"),
    }
}

/// The module.
pub struct SystemAccounts;

/// What is to be done.
pub struct Plan {
    path: PathBuf,
    file: FilePlan,
    /// What systemd-sysusers says that it will make.
    missing: Vec<String>,
    /// Users that keep a number other than the file's.
    kept: Vec<String>,
}

impl Module for SystemAccounts {
    const NAME: &'static str = "system_accounts";
    const ABOUT: &'static str = "Make the users and groups of a sysusers.d file, each with its number";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let (mut kept, mut taken) = (Vec::new(), Vec::new());
        for (name, uid) in numbered_users(&params.content) {
            match accounts::user(name)?.filter(|it| it.name == name) {
                Some(user) if user.id == uid || user.id < DYNAMIC || user.id == NOBODY => {}
                Some(user) => kept.push(format!(
                    "user '{name}' was there before and keeps the uid {}, not {uid} as in services.lock. Where every host \
                     has it so, write `uid {name} {}` there",
                    user.id, user.id
                )),
                None => taken.extend(owners(name, uid)?),
            }
        }
        if !taken.is_empty() {
            bail!("{}", taken.join("\n"));
        }
        // On standard input: the file may not be there yet.
        let missing = sysusers(&["--dry-run".as_ref(), "-".as_ref()], &params.content)?;
        let file = File::public(&params.path, params.content, Attributes::mode(0o644)).plan()?;
        Ok(Plan { path: params.path, file, missing, kept })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        let outcome = Outcome::new(plan.file.changes() || !plan.missing.is_empty()).with("kept", &plan.kept);
        let msg = (!plan.missing.is_empty()).then(|| plan.missing.join(" "));
        Outcome { msg, ..outcome.with_diff(plan.file.diff()) }
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        make_parent(&plan.path)?;
        plan.file.apply()?;
        fault::point("system_accounts:file");
        if !plan.missing.is_empty() {
            sysusers(&[&plan.path], "")?;
        }
        Ok(predicted)
    }
}

/// Users of lines such as `u web 437 "web" /var/lib/web`, each once.
fn numbered_users(content: &str) -> Vec<(&str, u32)> {
    let mut users: Vec<_> = content
        .lines()
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["u", name, number, ..] => Some((name, number.parse().ok()?)),
            _ => None,
        })
        .collect();
    users.sort_unstable();
    users.dedup();
    users
}

/// Who else has the number that a user is to have, as user and as group: systemd-sysusers would choose another one.
fn owners(name: &str, uid: u32) -> Result<Vec<String>> {
    let key = uid.to_string();
    let other = |found: Option<Account>| found.filter(|it| it.id == uid && it.name != name);
    let message = |kind: &str, owner: Account| {
        let (program, number) =
            if kind == "user" { ("usermod --uid", "uid") } else { ("groupmod --gid", "gid") };
        format!(
            "{kind} '{}' has the {number} {uid} on this host, which services.lock gives to the user '{name}': give '{}' another \
             ({program} NUMBER {}; then chown what it owns); or, as long as no host has the user '{name}', write another number \
             into the line 'uid {name} {uid}' of services.lock",
            owner.name, owner.name, owner.name
        )
    };
    let user = other(accounts::user(&key)?).map(|it| message("user", it));
    let group = other(accounts::group(&key)?).map(|it| message("group", it));
    Ok(user.into_iter().chain(group).collect())
}

/// What systemd-sysusers makes, or would make.
fn sysusers(arguments: &[&Path], input: &str) -> Result<Vec<String>> {
    let mut command = Command::new("systemd-sysusers");
    command.args(arguments).env("SYSTEMD_LOG_LEVEL", "info").env("SYSTEMD_LOG_TARGET", "console");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run systemd-sysusers")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It says itself why it did not read all.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().context("cannot run systemd-sysusers")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("systemd-sysusers failed ({}): {}", output.status, said.trim());
    }
    let makes = |it: &&str| it.starts_with("Creating ") || it.starts_with("Adding ");
    Ok(said.lines().map(str::trim).filter(makes).map(str::to_owned).collect())
}
