//! `minicluster man`: the manual pages, made of what `--help` says.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::Arguments;
use super::answer::{Answer, Failure};
use super::init::write;
use super::table::counted;

/// Options of `man`.
#[derive(Args)]
pub(super) struct Options {
    /// The directory, such as ~/.local/share/man/man1; made where it is missing
    directory: PathBuf,
}

/// Writes them all: `man` finds a page by its file, and the page of the program leads to those of its commands.
pub(super) fn run(options: &Options) -> Result<Answer, Failure> {
    let directory = &options.directory;
    // A page for `help` would say nothing.
    let mut program = Arguments::command().disable_help_subcommand(true);
    // Gives commands the names of their pages.
    program.build();
    let commands: Vec<&Command> = program.get_subcommands().filter(|it| !it.is_hide_set()).collect();
    for command in &commands {
        page(command, directory)?;
    }
    page(&program, directory)?;
    Ok(format!("{} in {}\n", counted(commands.len() + 1, "page"), directory.display()).into())
}

fn page(command: &Command, directory: &Path) -> anyhow::Result<()> {
    let source = concat!("minicluster ", env!("CARGO_PKG_VERSION"));
    // An empty date in quotes: without them there is no argument, and what follows would count as the date.
    let man = Man::new(command.clone()).date("\"\"").source(source).manual("minicluster");
    let mut text = Vec::new();
    man.render(&mut text)?;
    write(&directory.join(man.get_filename()), String::from_utf8(text)?)
}
