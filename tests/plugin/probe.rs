//! A module for the tests of the action plugin: says how it was run, and ends as badly as it is told to.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use minicluster::arguments;
use minicluster::{
    module::{Argument, Module, Outcome, Task, by_name, run},
    text::Diff,
};
use serde_json::{Map, Value, json};

arguments! {
    /// What to do.
    pub struct Params {
        /// Report and succeed, or how to end otherwise.
        pub end: String => Argument::str().default("report").choices(&["report", "abort", "garbage", "say", "status", "fail"]),
        /// Exit status for `end: status`.
        pub status: i32 => Argument::int().default(0),
        /// A file that gets a line each time the module starts.
        pub journal: Option<String> => Argument::path(),
        /// A named pipe at which it waits, after that, until something is written there.
        pub gate: Option<String> => Argument::path(),
        /// An environment variable to report.
        pub variable: Option<String> => Argument::str(),
        /// Text whose length is reported; with `end: say`, the answer.
        pub text: Option<String> => Argument::str(),
        /// A secret that is compared with `text`.
        pub secret: Option<String> => Argument::str().no_log(),
        /// Returned as they are.
        pub values: Option<Map<String, Value>> => Argument::dict(),
    }
}

struct Probe;

impl Module for Probe {
    const NAME: &'static str = "probe";
    const ABOUT: &'static str = "Says how it was run.";
    type Params = Params;
    type Plan = Params;

    fn plan(params: Params, _task: &Task) -> Result<Params> {
        if let Some(journal) = &params.journal {
            let mut file =
                std::fs::OpenOptions::new().create(true).append(true).open(journal).context("journal")?;
            writeln!(file, "started")?;
        }
        if let Some(gate) = &params.gate {
            std::fs::read(gate).context("gate")?;
        }
        Ok(params)
    }

    fn predict(params: &Params, task: &Task) -> Outcome {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let mut values = params.values.clone().unwrap_or_default();
        let mut say = |name: &str, value: Value| values.insert(name.into(), value);
        say("uid", json!(rustix::process::geteuid().as_raw()));
        say("program", json!(program));
        say("command_line", json!(read("/proc/self/cmdline").replace('\0', " ")));
        say("directory", json!(std::env::current_dir().unwrap_or_default()));
        say("length", json!(params.text.as_ref().map(String::len)));
        say("secret_is_text", json!(params.secret == params.text));
        say("variable", json!(params.variable.as_ref().and_then(|name| std::env::var(name).ok())));
        say("predicted", json!(task.check_mode));
        let diff =
            task.diff.then(|| Diff { before: "old\n".into(), after: "new\n".into(), ..Diff::default() });
        Outcome { values, ..Outcome::new(true).with_diff(diff) }
    }

    fn apply(params: Params, predicted: Outcome) -> Result<Outcome> {
        match params.end.as_str() {
            "abort" => std::process::abort(),
            "garbage" => {
                println!("this is not JSON");
                std::process::exit(0)
            }
            // What a host answers that is not honest.
            "say" => {
                println!("{}", params.text.unwrap_or_default());
                std::process::exit(0)
            }
            "status" => std::process::exit(params.status),
            "fail" => anyhow::bail!("told to fail"),
            _ => Ok(predicted),
        }
    }
}

fn main() -> ExitCode {
    let table: &[by_name::Entry] = &[("probe", run::<Probe>)];
    by_name::run_called(table).unwrap_or_else(|| by_name::unknown(table))
}
