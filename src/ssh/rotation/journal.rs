//! What sshd has logged: which key opened which connection. Only lines of root's own sshd count.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::{
    ssh::{key::PublicKey, sshd::Connection},
    system::files,
};

/// One login by key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Login {
    /// The process that keeps the connection, root's.
    pub process: u32,
    /// Microseconds since boot.
    pub moment: u64,
    /// What sshd wrote.
    message: String,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "MESSAGE")]
    message: serde_json::Value,
    #[serde(rename = "_PID")]
    process: String,
    #[serde(rename = "__MONOTONIC_TIMESTAMP")]
    moment: String,
}

/// Logins by key since this boot.
pub(super) fn logins() -> Result<Vec<Login>> {
    // What was logged a moment ago shall be there; where this cannot be asked for, it mostly is.
    let _ = Command::new("journalctl").arg("--sync").output();
    let output = Command::new("journalctl")
        .args(["--boot", "--output=json", "--output-fields=MESSAGE,_PID", "--no-pager", "--quiet", "_UID=0"])
        .args(["SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=sshd-session"])
        .output()
        .context("cannot run journalctl")?;
    if !output.status.success() {
        bail!("journalctl failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(read).collect())
}

fn read(line: &str) -> Option<Login> {
    let line: Line = serde_json::from_str(line).ok()?;
    let message = line.message.as_str().filter(|it| it.starts_with("Accepted publickey for "))?.to_owned();
    Some(Login { process: line.process.parse().ok()?, moment: line.moment.parse().ok()?, message })
}

impl Login {
    /// Whether it was this login: `Accepted publickey for USER from ADDRESS port PORT ssh2: TYPE
    /// FINGERPRINT`. A login by certificate has more behind it.
    pub(super) fn is(&self, user: &str, connection: &Connection, fingerprint: &str) -> bool {
        let Connection { client, client_port, .. } = connection;
        let begin = format!("Accepted publickey for {user} from {client} port {client_port} ssh2: ");
        self.message.strip_prefix(&begin).is_some_and(|it| it.split(' ').nth(1) == Some(fingerprint))
            && self.message.ends_with(fingerprint)
    }

    /// Whether it was opened with this key.
    pub(super) fn by(&self, key: &PublicKey) -> bool {
        let fingerprint = key.fingerprint();
        self.message.split(' ').any(|it| it == fingerprint)
    }
}

/// Ends the sessions that were opened with one of these keys; says how many there were.
pub(super) fn end_sessions(keys: &[PublicKey]) -> Result<usize> {
    let processes = processes()?;
    let by_key = |login: &Login| keys.iter().any(|it| login.by(it)) && login.is_open(&processes);
    let open: BTreeSet<u32> = logins()?.iter().filter(|it| by_key(it)).map(|it| it.process).collect();
    let mut own = Some(std::process::id());
    while let Some(it) = own {
        if open.contains(&it) {
            bail!("this very session was opened with the old key: connect anew with the new one");
        }
        own = processes.iter().find(|process| process.id == it).map(|it| it.parent).filter(|it| *it > 1);
    }
    for session in &open {
        let mut family = vec![*session];
        let mut at = 0;
        while let Some(parent) = family.get(at).copied() {
            family.extend(processes.iter().filter(|it| it.parent == parent).map(|it| it.id));
            at += 1;
        }
        for id in family {
            if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                // It may have ended by itself.
                let _ = kill_process(id, Signal::KILL);
            }
        }
    }
    Ok(open.len())
}

impl Login {
    /// Whether its connection is still open: the process is there, is an sshd, and is no later one that
    /// was given the same number.
    fn is_open(&self, processes: &[Process]) -> bool {
        let same = |it: &&Process| it.id == self.process && it.began <= self.moment + 1_000_000;
        processes.iter().find(same).is_some_and(|it| it.command.starts_with("sshd"))
    }
}

struct Process {
    id: u32,
    parent: u32,
    /// Microseconds since boot.
    began: u64,
    command: String,
}

/// Every process, from `/proc`.
fn processes() -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    let ids = entries.flatten().filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    Ok(ids.filter_map(|id| parse(id, &files::text(format!("/proc/{id}/stat")).ok()?)).collect())
}

/// Reads `proc_pid_stat(5)`. The command stands in parentheses and may hold any character.
fn parse(id: u32, stat: &str) -> Option<Process> {
    let (opening, closing) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<_> = stat[closing + 1..].split_whitespace().collect();
    // A hundredth of a second each: what the kernel tells programs, whatever it counts with itself.
    let began = fields.get(19)?.parse::<u64>().ok()? * 10_000;
    Some(Process {
        id,
        parent: fields.get(1)?.parse().ok()?,
        began,
        command: stat[opening + 1..closing].into(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn login(message: &str) -> Option<Login> {
        read(&serde_json::json!({"MESSAGE": message, "_PID": "7", "__MONOTONIC_TIMESTAMP": "5"}).to_string())
    }

    #[test]
    fn a_login_is_told_by_user_connection_and_key() {
        let it = Connection::parse("10.0.0.1 4711 10.0.0.2 22").unwrap();
        let line = "Accepted publickey for admin from 10.0.0.1 port 4711 ssh2: ED25519 SHA256:abc";
        assert!(login(line).unwrap().is("admin", &it, "SHA256:abc"));
        assert!(!login(line).unwrap().is("root", &it, "SHA256:abc"));
        assert!(!login(line).unwrap().is("admin", &it, "SHA256:ab"));
        assert!(!login(&line.replace("4711", "4712")).unwrap().is("admin", &it, "SHA256:abc"));
        let certificate = format!("{line} ID x (serial 1) CA ED25519 SHA256:ca");
        assert!(!login(&certificate).unwrap().is("admin", &it, "SHA256:abc"));
        assert_eq!(login("Failed publickey for admin"), None);
    }

    #[test]
    fn a_command_with_parentheses_is_read() {
        let process = parse(7, "7 (a) b (c) S 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0").unwrap();
        assert_eq!((process.parent, process.began, process.command.as_str()), (3, 5_000_000, "a) b (c"));
        assert!(processes().unwrap().iter().any(|it| it.id == std::process::id()));
    }
}
