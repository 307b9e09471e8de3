//! `minicluster completions`: what a shell needs to complete commands and options.

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::{
    generate,
    shells::{Bash, Fish, Zsh},
};

use super::answer::{Answer, Failure};
use super::{Arguments, NAME};

/// Options of `completions`.
#[derive(Args)]
pub(super) struct Options {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(options: &Options) -> Result<Answer, Failure> {
    let (mut command, mut script) = (offered(), Vec::new());
    match options.shell {
        Shell::Bash => generate(Bash, &mut command, NAME, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, NAME, &mut script),
        Shell::Fish => generate(Fish, &mut command, NAME, &mut script),
    }
    Ok(String::from_utf8(script).map_err(|error| error.to_string())?.into())
}

/// The command line without commands that `--help` hides: the generators would offer these too.
fn offered() -> Command {
    let all = Arguments::command();
    let commands = all.get_subcommands().filter(|it| !it.is_hide_set()).cloned();
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments().cloned())
        .subcommands(commands)
}
