//! A module for the tests of the kit: writes one file, or fails in every way a module can fail.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use minicluster::{
    arguments,
    module::{Argument, Module, Outcome, Task, by_name, run},
    system::{
        Secret,
        files::{Attributes, File, FilePlan},
    },
};

arguments! {
    /// What to do.
    pub struct Params {
        /// The file.
        pub path: PathBuf => Argument::path().required(),
        /// Its content.
        pub content: String => Argument::str().default(""),
        /// Content that nobody may see.
        pub key: Option<Secret> => Argument::str().no_log(),
        /// Its mode.
        pub mode: u32 => Argument::int().default(0o600),
        /// Its group.
        pub group: Option<String> => Argument::str(),
        /// How to end.
        pub end: String => Argument::str().choices(&["well", "error", "panic", "thread", "wait"]).default("well"),
    }
}

struct Probe;

struct Plan {
    file: FilePlan,
    end: String,
    shown: String,
}

impl Module for Probe {
    const NAME: &'static str = "kit_probe";
    const ABOUT: &'static str = "Writes one file.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _: &Task) -> Result<Plan> {
        let attributes = Attributes { group: params.group, ..Attributes::mode(params.mode) };
        // What a careless module would put into a message.
        let shown = params.key.as_ref().map(|it| String::from_utf8_lossy(it.expose()).into_owned());
        let file = match params.key {
            Some(key) => File::secret(params.path, key, attributes),
            None => File::public(params.path, params.content, attributes),
        };
        Ok(Plan { file: file.plan()?, end: params.end, shown: shown.unwrap_or_default() })
    }

    fn predict(plan: &Plan, _: &Task) -> Outcome {
        Outcome::new(plan.file.changes()).with_diff(plan.file.diff()).with_warnings(plan.file.warning())
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        match plan.end.as_str() {
            "error" => bail!("it went wrong with '{}'", plan.shown),
            "panic" => panic!("it went wrong with '{}'", plan.shown),
            "thread" => drop(std::thread::spawn(move || panic!("in a thread: {}", plan.shown)).join()),
            // For a program that does not end.
            "wait" => drop(std::process::Command::new("sleep").arg("600").status()),
            _ => plan.file.apply().context("the probe")?,
        }
        Ok(predicted)
    }
}

fn main() -> ExitCode {
    let table: &[by_name::Entry] = &[("kit_probe", run::<Probe>)];
    by_name::run_called(table).unwrap_or_else(|| by_name::unknown(table))
}
