//! The program `minicluster`: Ansible's inventory, and the operator's view of placement.

mod answer;
mod certs;
mod check;
mod command;
mod completions;
mod data_home;
mod enrol;
mod explain;
mod files;
mod handover;
mod init;
mod keys;
mod lock;
mod man;
mod members;
mod plan;
mod private_dir;
mod purge;
mod rebalance;
mod table;
mod text;
mod user_data;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;

use answer::{Answer, Failure};
use command::Command;
use files::Files;
use text::{Text, colours};

/// Places services on hosts: the inventory of Ansible, and commands to see and steer what it decides.
#[derive(Parser)]
#[command(name = NAME, version, after_help = AFTER, arg_required_else_help = true)]
struct Arguments {
    /// Print the whole inventory as JSON, as Ansible asks for it
    #[arg(long, conflicts_with_all = ["host"])]
    list: bool,
    /// Print the variables of one host as JSON, as Ansible asks for them
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    #[command(flatten)]
    files: Files,
    #[command(subcommand)]
    command: Option<Command>,
}

const NAME: &str = "minicluster";

const AFTER: &str = "\
Files default to 'hosts', 'services.yml' and 'services.lock' in the current directory; the variables
MINICLUSTER_HOSTS, MINICLUSTER_SERVICES and MINICLUSTER_LOCK name others, options win over variables.
Without services.yml there are only the services of the cluster itself; without services.lock nothing is
kept in place. Exit status: 0 done, 1 errors (on standard error), 2 wrong usage or, with 'plan
--exit-code', something would move, 3 with 'certs --expiring', something does. Colours are for terminals
alone, and not where NO_COLOR is set or TERM is 'dumb'.";

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match answer(arguments) {
        // A reader that stops early, such as `head`, is no failure.
        Ok((text, status)) => match stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                complain(&format!("{error}\n").into())
            }
            _ => ExitCode::from(status),
        },
        Err(failure) => complain(&failure.text()),
    }
}

fn complain(text: &Text) -> ExitCode {
    // Nothing can be done if standard error is closed.
    let _ = write!(stderr().lock(), "{}", text.shown(colours(&stderr())));
    ExitCode::FAILURE
}

/// What goes to standard output, and the exit status.
fn answer(arguments: Arguments) -> Result<(String, u8), Failure> {
    let Arguments { list, host, files, command } = arguments;
    match (command, host) {
        (Some(_), Some(_)) => Err("--host goes without a command".into()),
        (Some(_), None) if list => Err("--list goes without a command".into()),
        (Some(command), None) => {
            // What a program reads stays as it is.
            let for_people =
                !matches!(command, Command::UserData(_) | Command::Completions(_) | Command::Schema);
            let Answer { text, status } = command.run(files)?;
            Ok((if for_people { text.shown(colours(&stdout())) } else { text.raw() }, status))
        }
        (None, Some(host)) => {
            let workspace = files.inventory()?;
            workspace.host(&host).map(|it| (it, 0)).ok_or_else(|| format!("there is no host '{host}'").into())
        }
        (None, None) if list => Ok((files.inventory()?.list(data_home::clusters().ok().as_deref()), 0)),
        (None, None) => Err("nothing to do: give --list, --host NAME or a command (see --help)".into()),
    }
}
