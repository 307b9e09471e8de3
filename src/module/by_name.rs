//! Several modules in one program, which acts by the name that it is called by.

use super::process::{failure, print_result};
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

/// A module's name, and what runs it with the arguments that come after the name.
pub type Entry = (&'static str, fn(Vec<OsString>) -> ExitCode);

/// Runs the module by whose name the program is called: as a file, or as its first argument. `None` where it is none.
pub fn run_called(modules: &[Entry]) -> Option<ExitCode> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let of_name = |name: &str| modules.iter().find(|(module, _)| *module == name);
    if let Some((_, run)) = of_name(&own_name()) {
        return Some(run(arguments));
    }
    let (_, run) = arguments.first().and_then(|it| it.to_str()).and_then(of_name)?;
    Some(run(arguments.split_off(1)))
}

/// The answer of a program that was called by the name of no module.
pub fn unknown(modules: &[Entry]) -> ExitCode {
    let names: Vec<_> = modules.iter().map(|(module, _)| *module).collect();
    let message = format!(
        "{} is none of the modules in this program: link it to the name of one, or name it as the first argument: {}",
        own_name(),
        names.join(", ")
    );
    print_result(failure(&message));
    ExitCode::FAILURE
}

/// The name of the file as which it was called, without what Ansible puts before it on a host.
fn own_name() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let file = Path::new(&called).file_name().and_then(OsStr::to_str).unwrap_or_default();
    file.strip_prefix("AnsiballZ_").unwrap_or(file).to_owned()
}
