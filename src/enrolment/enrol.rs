//! Enrolment: what a machine does when it has learned who the members are, before it says so to them. Each
//! step may be repeated, and a machine that is killed between two of them begins again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{Election, Member, known_hosts};
use crate::{
    node::membership::{self, CameIn, Membership},
    ssh::key::PublicKey,
    system::{
        accounts, as_user, fault,
        files::{self, Attributes, Directory, File, read_text, remove},
    },
};

/// Where things lie on a machine, and who runs Ansible's commands on it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `/`, except in tests.
    pub root: PathBuf,
    /// The user whom the leader logs in as.
    pub user: String,
}

impl Machine {
    /// A path on it.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// What the machine knows of itself.
    pub fn state(&self) -> PathBuf {
        self.path("/var/lib/minicluster")
    }

    /// The secrets of a control node.
    pub fn private_dir(&self) -> PathBuf {
        self.state().join("private")
    }

    /// Where the outcome of the election is kept.
    pub fn members_file(&self) -> PathBuf {
        self.state().join("members.json")
    }
}

/// Enrols the machine: it is locked to its cluster, knows the members' host keys, lets the leader in, and, where
/// it does not lead, forgets the key with which it would have led.
pub fn enrol(machine: &Machine, election: &Election, now: OffsetDateTime) -> Result<Membership> {
    let secret = machine.path("/etc/minicluster/cluster_secret");
    let secret =
        Zeroizing::new(files::text(&secret).with_context(|| format!("cannot read {}", secret.display()))?);
    let membership = Membership {
        cluster: election.cluster.clone(),
        cluster_id: membership::cluster_id(secret.trim().as_bytes(), &election.digest)?,
        node_id: Some(election.own.clone()),
        came_in: CameIn::Election,
    };
    membership::lock_to(&machine.state(), &membership, false, now)?;
    fault::point("enrol:locked");
    let text = serde_json::to_string_pretty(election)? + "\n";
    File::public(machine.members_file(), text, Attributes::mode(0o644)).plan()?.apply()?;
    learn_host_keys(&machine.path("/etc/ssh/ssh_known_hosts"), election)?;
    fault::point("enrol:known_hosts");
    // Where one key came with the boot configuration, it opens the machine until the leader replaces it.
    if !machine.path("/etc/minicluster/bootstrap_key").exists() {
        let_in(machine, &election.leader_record()?.user_key)?;
        fault::point("enrol:let_in");
    }
    if election.leads() {
        learn_host_keys(&machine.private_dir().join("ssh/known_hosts"), election)?;
    } else {
        remove(&machine.private_dir())?;
    }
    Ok(membership)
}

fn learn_host_keys(path: &Path, election: &Election) -> Result<()> {
    let text = known_hosts::update(&read_text(path)?.unwrap_or_default(), election)?;
    File::public(path, text, Attributes::mode(0o644)).plan()?.apply()
}

/// Adds the leader's key for the user whom it logs in as, as that user would; other keys stay.
fn let_in(machine: &Machine, key: &str) -> Result<()> {
    let user = &machine.user;
    let account = accounts::user(user)?;
    let account =
        account.with_context(|| format!("there is no user '{user}' for the leader to log in as"))?;
    let home = account.home.as_deref().with_context(|| format!("user '{user}' has no home directory"))?;
    let folder = machine.path(home).join(".ssh");
    let wanted: PublicKey = key.parse()?;
    let line = Member::plain(key)? + " minicluster control\n";
    as_user(Some(&account), || {
        Directory { path: folder.clone(), attributes: Attributes::mode(0o700) }.plan()?.apply()?;
        let path = folder.join("authorized_keys");
        let mut text = read_text(&path)?.unwrap_or_default();
        if text.lines().any(|line| line.parse::<PublicKey>().is_ok_and(|it| it == wanted)) {
            return Ok(());
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        File::public(path, text + &line, Attributes::mode(0o600)).plan()?.apply()
    })
}
