//! The command: flags in, lines for a person on standard error, an exit status.

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt as _};

use super::{
    NodeId, Stage, Verdict, ZeroconfElection, disk, disk::Disk, note::Level, request::ElectionRequest,
    run::run,
};
use crate::{node::membership::cluster_id, text::printable};

const HELP: &str = "\
Machines that share a secret and a number find each other on one network, and start one action on one of them.

  zeroconf_election --iface eth0 --expect 3 --action ./leader.sh


Options:
  -i, --iface NAME         network interface, repeatable [eth0]
  -e, --expect N           number of nodes, this one included [3]
  -a, --action COMMAND     what the leader runs, with the members' addresses as arguments and the election as JSON
                           in MINICLUSTER_ELECTION; split at blanks, no shell [echo]
      --cluster NAME       name of the cluster [minicluster]
      --secret-file PATH   the cluster's secret, 16 characters or more, mode 0600 [/etc/minicluster/cluster_secret]
      --timeout SECONDS    when to give up [600]
      --node-id ID         this node's id [made from the machine id and a random value]
      --allow ID           only these nodes may be members, repeatable
      --role WORD          what this machine is for; part of its membership
      --host-key-file PATH this machine's SSH host public key; part of its membership
      --user-key-file PATH an SSH public key; part of its membership
      --on-lock COMMAND    what every node runs once the leader is chosen and before it says so; it may run again
      --state-dir PATH     where votes are kept, in election/ [/var/lib/minicluster]
      --abandon ID         give up the cluster that this node is locked into and that never started; then end
  -l, --log-level LEVEL    CRITICAL, ERROR, WARNING, INFO or DEBUG [WARNING]
  -h, --help               this text
  -V, --version            the version

Exit status:
  0    another node leads and has started, or the action has ended well, or the election was over before
  1    something is wrong with this machine or its files, such as the host name localhost
  2    something is wrong with the flags
  75   fewer nodes than expected at the timeout; they are named
  76   more nodes than expected, or no agreement, at the timeout; they are named
  77   two nodes have one id or one name; they are named
  78   the cluster is complete without this node
  79   undecided: locked, but whether the leader has started is not known; only it can go on, or --abandon
  else what the leader's action ended with; 126 and 127: it could not be started

";

/// Arguments that are for the module.
const MODULE: [&str; 6] = ["-", "--help", "-h", "--spec", "--version", "-V"];

/// What the flags ask for.
struct Command {
    request: ElectionRequest,
    abandon: Option<String>,
    level: Level,
}

/// The program: the module where the first of the arguments (without the program's name) is a file, `-`, or what
/// Ansible's tools ask of a module; the command otherwise.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let first = arguments.first().and_then(|it| it.to_str());
    if matches!(first, Some("--help" | "-h")) && std::io::stdout().write_all(HELP.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    if first.is_some_and(|it| MODULE.contains(&it) || !it.starts_with('-')) {
        return crate::module::run::<ZeroconfElection>(arguments);
    }
    let command = match parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            say(&format!("{error:#}; see --help"));
            return ExitCode::from(2);
        }
    };
    match carry_out(&command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    // Nobody is there to be told that nobody listens.
    let _ = writeln!(std::io::stderr().lock(), "zeroconf_election: {}", printable(text));
}

fn carry_out(command: &Command) -> Result<u8> {
    if let Some(id) = &command.abandon {
        return abandon(&command.request, id).map(|()| 0);
    }
    let ending = run(&command.request, false, &mut |level, text| {
        if level >= command.level {
            say(text);
        }
    })?;
    let level = if ending.verdict.is_decided() { Level::Info } else { Level::Error };
    if level >= command.level || !ending.verdict.is_decided() {
        say(&ending.verdict.to_string());
    }
    if let Verdict::Undecided { ballot, .. } = &ending.verdict {
        let id = cluster_id(command.request.secret()?.expose(), ballot.digest.as_str())?;
        say(&format!("to give that cluster up, on every member: zeroconf_election --abandon {id}"));
    }
    Ok(ending.verdict.status())
}

/// The operator's word that a cluster which never started never will.
fn abandon(request: &ElectionRequest, id: &str) -> Result<()> {
    let disk = Disk::open(&request.state_dir)?;
    let Some(state) = disk::read(&request.state_dir)? else {
        bail!("--abandon {id}: this node has never taken part in an election");
    };
    let Some(ballot) = state.ballot.as_ref().filter(|_| state.stage > Stage::Free) else {
        bail!("--abandon {id}: this node is not locked");
    };
    let known = cluster_id(request.secret()?.expose(), ballot.digest.as_str())?;
    if id != known {
        bail!("--abandon {id}: this node is locked into cluster {known}");
    }
    if state.stage != Stage::Locked {
        bail!(
            "--abandon {id}: that cluster has started, and cannot be abandoned; to install this machine anew, remove {}",
            disk::directory(&request.state_dir).display()
        );
    }
    disk.write(&state.abandoned())?;
    say(&format!("abandoned cluster {id}; the next run takes part in a new election"));
    Ok(())
}

fn parse(arguments: Vec<OsString>) -> Result<Command> {
    let mut request = ElectionRequest::default();
    let (mut abandon, mut level, mut ifaces) = (None, Level::Warning, Vec::new());
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('i') | Arg::Long("iface") => ifaces.push(parser.value()?.string()?),
            Arg::Short('e') | Arg::Long("expect") => {
                request.expect = parser.value()?.parse().context("--expect")?;
            }
            Arg::Short('a') | Arg::Long("action") => request.action = parser.value()?.string()?,
            Arg::Long("cluster") => request.cluster = parser.value()?.string()?,
            Arg::Long("secret-file") => request.secret_file = parser.value()?.into(),
            Arg::Long("timeout") => request.timeout = parser.value()?.parse().context("--timeout")?,
            Arg::Long("node-id") => request.node_id = Some(NodeId::parse(&parser.value()?.string()?)?),
            Arg::Long("allow") => request.allowed.push(NodeId::parse(&parser.value()?.string()?)?),
            Arg::Long("role") => request.role = Some(parser.value()?.string()?),
            Arg::Long("host-key-file") => request.host_key_file = Some(parser.value()?.into()),
            Arg::Long("user-key-file") => request.user_key_file = Some(parser.value()?.into()),
            Arg::Long("on-lock") => request.on_lock = parser.value()?.string()?,
            Arg::Long("state-dir") => request.state_dir = parser.value()?.into(),
            Arg::Long("abandon") => abandon = Some(parser.value()?.string()?),
            Arg::Short('l') | Arg::Long("log-level" | "log_level") => {
                level = self::level(&parser.value()?.string()?)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if !ifaces.is_empty() {
        request.ifaces = ifaces;
    }
    request.check()?;
    Ok(Command { request, abandon, level })
}

fn level(text: &str) -> Result<Level> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "CRITICAL" => Level::Critical,
        "ERROR" => Level::Error,
        "WARNING" => Level::Warning,
        "INFO" => Level::Info,
        "DEBUG" => Level::Debug,
        _ => bail!("--log-level {text}: it is CRITICAL, ERROR, WARNING, INFO or DEBUG"),
    })
}
