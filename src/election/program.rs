//! The operator's programs: the action of the leader, and what every node runs when it is locked.

use std::{
    io::ErrorKind,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use serde_json::{Value, json};

use super::{Ballot, Record};

/// A program and its arguments, split at blanks; a path that is there may hold blanks. No shell.
pub(super) fn words(command: &str) -> Vec<String> {
    if Path::new(command).is_file() {
        return vec![command.into()];
    }
    command.split_whitespace().map(Into::into).collect()
}

/// What the programs find in `MINICLUSTER_ELECTION`.
pub(super) fn described(cluster: &str, id: &str, ballot: &Ballot, members: &[Record], own: &Record) -> Value {
    json!({
        "cluster": cluster,
        "cluster_id": id,
        "term": ballot.term,
        "digest": ballot.digest,
        "leader": ballot.leader,
        "self": own.id,
        "members": members.iter().map(member).collect::<Vec<_>>(),
    })
}

/// A member, for the programs and for Ansible.
pub(super) fn member(record: &Record) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "election_id": record.election_id.to_string(),
        "addresses": record.addresses,
        "role": record.role,
        "host_key": record.host_key,
        "user_key": record.user_key,
    })
}

/// How a program ended.
pub(super) struct Ended {
    /// Its exit status; as a shell says it where it has none.
    pub status: u8,
    /// What it wrote, where that was collected.
    pub output: Vec<u8>,
    /// Why it did not start.
    pub trouble: Option<String>,
}

/// Runs a program to its end. Its output goes where this program's goes, or is collected.
pub(super) fn run(command: &str, arguments: &[String], environment: &str, collect: bool) -> Ended {
    let words = words(command);
    let Some((program, first)) = words.split_first() else {
        return Ended { status: 0, output: Vec::new(), trouble: None };
    };
    let mut child = Command::new(program);
    child.args(first).args(arguments).env("MINICLUSTER_ELECTION", environment).stdin(Stdio::null());
    let ended = if collect {
        child.output().map(|it| (it.status, [it.stdout, it.stderr].concat()))
    } else {
        child.status().map(|it| (it, Vec::new()))
    };
    match ended {
        Ok((status, output)) => Ended { status: code(status), output, trouble: None },
        Err(error) => Ended {
            status: if error.kind() == ErrorKind::NotFound { 127 } else { 126 },
            output: Vec::new(),
            trouble: Some(format!("cannot start {program}: {error}")),
        },
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_blanks_and_no_shell_sees_it() {
        assert_eq!(words("echo a  $HOME"), ["echo", "a", "$HOME"]);
        assert!(words("  ").is_empty());
    }

    #[test]
    fn a_status_is_the_programs_own_or_what_a_shell_would_say() {
        let status = |command| run(command, &[], "{}", true).status;
        assert_eq!((status("true"), status("false"), status("")), (0, 1, 0));
        let missing = run("/there/is/no/such/program", &[], "{}", true);
        assert_eq!(missing.status, 127);
        assert!(missing.trouble.is_some_and(|it| it.contains("/there/is/no/such/program")));
        let killed = run("sh", &["-ec".into(), "kill -9 $$".into()], "{}", true);
        assert_eq!(killed.status, 137);
    }

    #[test]
    fn a_program_finds_the_election_in_its_environment() {
        let said = run("printenv", &["MINICLUSTER_ELECTION".into()], r#"{"term":1}"#, true);
        assert_eq!(said.output, b"{\"term\":1}\n");
    }
}
