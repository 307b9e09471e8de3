//! Handing the cluster over: its secrets move from the leader to a control node outside of it. They are copied,
//! compared, and proven to open every host, before the leader loses them.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::Election;
use crate::system::{
    fault,
    files::{self, Attributes, Directory, File, sync_directory},
};

/// What is kept on the leader, below its state directory.
const PARTS: [&str; 2] = ["private", "operator"];
const STATE: &str = "/var/lib/minicluster";
/// What to do about a leader that this machine's ssh does not know.
const UNKNOWN_HOST_KEY: &str = "\nCompare its host key on its console (ssh-keygen -lf \
    /etc/ssh/ssh_host_ed25519_key.pub) with the one that ssh shows, and log in once by hand; or name a file that has it: \
    --ssh '-o UserKnownHostsFile=FILE'";

/// Who hands over, and where to.
pub struct Handover {
    /// The leader, as ssh takes it: `provision@10.0.0.1`.
    pub leader: String,
    /// Options of ssh for reaching it.
    pub ssh: Vec<String>,
    /// Where the control node keeps the cluster's secrets.
    pub private_dir: PathBuf,
    /// The operator's directory; must not exist, or come from an earlier attempt.
    pub operator: PathBuf,
    /// Hosts that need not answer.
    pub unreachable: Vec<String>,
}

/// What was moved.
pub struct Moved {
    /// How many files.
    pub files: usize,
    /// Hosts that the control key has opened from here.
    pub opened: Vec<String>,
}

impl Handover {
    /// Does it. May be repeated: an attempt that was cut off goes on.
    pub fn run(&self) -> Result<Moved> {
        let theirs = self.sums()?;
        let private_dir = &self.private_dir;
        if theirs.is_empty() {
            if private_dir.join("ssh/control").exists() && self.operator.exists() {
                let opened = self.prove()?;
                return Ok(Moved { files: 0, opened });
            }
            bail!("{} has nothing to hand over below {STATE}: is it the leader?", self.leader);
        }
        self.copy(&theirs)?;
        fault::point("handover:copied");
        let opened = self.prove()?;
        fault::point("handover:proven");
        let parts = PARTS.map(|it| format!("{STATE}/{it}")).join(" ");
        self.on_leader(&format!("rm -rf {parts} && sync"))?;
        if !self.sums()?.is_empty() {
            bail!(
                "{} still has files below {STATE}/private or {STATE}/operator: remove them by hand",
                self.leader
            );
        }
        Ok(Moved { files: theirs.len(), opened })
    }

    /// SHA-256 of every file that is to be moved, by its path.
    fn sums(&self) -> Result<BTreeMap<String, String>> {
        let script = format!(
            "cd {STATE} && for it in {}; do [ ! -d $it ] || find $it -type f -exec sha256sum {{}} +; done",
            PARTS.join(" ")
        );
        let listed = String::from_utf8(self.on_leader(&script)?)?;
        let entry = |line: &str| line.split_once("  ").map(|(sum, path)| (path.to_owned(), sum.to_owned()));
        let sums: BTreeMap<_, _> = listed.lines().filter_map(entry).collect();
        // Names are used as paths here: nothing that leads out of these two directories.
        for path in sums.keys() {
            let inside = PARTS.iter().any(|part| path.starts_with(&format!("{part}/")));
            if !inside
                || path.split('/').any(|it| it.is_empty() || it == "." || it == "..")
                || path.contains('\\')
            {
                bail!(
                    "{} has a file with a name that is not taken over: {}",
                    self.leader,
                    path.escape_debug()
                );
            }
        }
        Ok(sums)
    }

    /// Where a file of the leader belongs here.
    fn target(&self, path: &str) -> PathBuf {
        match path.split_once('/') {
            Some(("private", rest)) => self.private_dir.join(rest),
            Some((_, rest)) => self.operator.join(rest),
            None => self.operator.clone(),
        }
    }

    fn copy(&self, theirs: &BTreeMap<String, String>) -> Result<()> {
        for directory in [&self.private_dir, &self.operator] {
            make_private(directory)?;
        }
        // `hosts` differs from theirs by the one line that says where the secrets are.
        let ours = |path: &str| files::content(self.target(path)).ok();
        for (path, sum) in theirs {
            let target = self.target(path);
            if path == "operator/hosts" {
                let text = String::from_utf8(self.fetch(path, sum)?)?;
                let text = self.moved_hosts(&text)?;
                File::public(target, text, Attributes::mode(0o644)).plan()?.apply()?;
                continue;
            }
            match ours(path) {
                Some(content) if sha256(&content) == *sum => continue,
                Some(_) => bail!(
                    "{} is here already and differs from the leader's: give another directory, or move it away",
                    target.display()
                ),
                None => {}
            }
            let content = self.fetch(path, sum)?;
            make_private(target.parent().context("a file has a directory")?)?;
            let mode = if path.starts_with("private/") { 0o600 } else { 0o644 };
            File::secret(&target, crate::system::Secret::new(content), Attributes::mode(mode))
                .plan()?
                .apply()?;
            fault::point("handover:file");
        }
        sync_directory(&self.private_dir)
    }

    fn fetch(&self, path: &str, sum: &str) -> Result<Vec<u8>> {
        let quoted = path.replace('\'', "'\\''");
        let content = self.on_leader(&format!("cat '{STATE}/{quoted}'"))?;
        if sha256(&content) != sum {
            bail!("{path} changed on the leader while it was read: is a playbook running there? Try again");
        }
        Ok(content)
    }

    fn moved_hosts(&self, text: &str) -> Result<String> {
        let before = format!("private_dir={STATE}/private");
        if !text.lines().any(|it| it.trim_end() == before) {
            bail!("the leader's hosts does not say {before}: correct it there, and try again");
        }
        let after = format!("private_dir={}", std::path::absolute(&self.private_dir)?.display());
        let lines = text.lines().map(|it| if it.trim_end() == before { after.as_str() } else { it });
        Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
    }

    /// Opens every member with the key that is here now.
    fn prove(&self) -> Result<Vec<String>> {
        let members = self.on_leader(&format!("cat {STATE}/members.json"))?;
        let election = Election::parse(&String::from_utf8(members)?)?;
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        for member in &election.members {
            let Some(address) = member.reachable().next() else { continue };
            let answer = Command::new("ssh")
                .args([
                    "-F",
                    "none",
                    "-o",
                    "BatchMode=yes",
                    "-o",
                    "IdentitiesOnly=yes",
                    "-o",
                    "ConnectTimeout=10",
                ])
                .args([
                    "-o",
                    "IdentityAgent=none",
                    "-o",
                    "StrictHostKeyChecking=yes",
                    "-o",
                    "ControlPath=none",
                ])
                .arg("-o")
                .arg(format!("UserKnownHostsFile={}", self.private_dir.join("ssh/known_hosts").display()))
                .arg("-i")
                .arg(self.private_dir.join("ssh/control"))
                .arg(format!("provision@{address}"))
                .args(["sudo", "-n", "true"])
                .stdin(Stdio::null())
                .output()
                .context("cannot run ssh")?;
            if answer.status.success() {
                opened.push(member.name.clone());
            } else if !self.unreachable.contains(&member.name) {
                closed.push(format!("{}: {}", member.name, String::from_utf8_lossy(&answer.stderr).trim()));
            }
        }
        if !closed.is_empty() {
            bail!(
                "the control key does not open every host from here; the leader keeps everything. Give up a host by name \
                 with --unreachable, or see to it:\n{}",
                closed.join("\n")
            );
        }
        Ok(opened)
    }

    /// Runs a script as root on the leader and returns what it printed.
    fn on_leader(&self, script: &str) -> Result<Vec<u8>> {
        let mut child = Command::new("ssh")
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
            .args(&self.ssh)
            .arg(&self.leader)
            .args(["sudo", "-n", "sh", "-eu", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ssh")?;
        if let Some(mut input) = child.stdin.take() {
            // A child that has ended early says why below.
            let _ = input.write_all(script.as_bytes());
        }
        let mut printed = Vec::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_end(&mut printed)?;
        }
        let ended = child.wait_with_output()?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            let remedy = if said.contains("Host key verification failed") { UNKNOWN_HOST_KEY } else { "" };
            bail!("{} does not do what it is asked: {}{remedy}", self.leader, said.trim());
        }
        Ok(printed)
    }
}

fn make_private(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent().filter(|it| !it.as_os_str().is_empty() && !it.exists()) {
        make_private(parent)?;
    }
    Directory { path: directory.into(), attributes: Attributes::mode(0o700) }.plan()?.apply()
}

fn sha256(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
