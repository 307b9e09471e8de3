//! The life of a module's process: read arguments, plan, apply unless in check mode, answer.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Module, Outcome, Task};

/// Runs module `M`: `main` of each module's binary is this one call.
#[must_use]
pub fn run<M: Module>() -> ExitCode {
    match answer::<M>() {
        Ok(outcome) => {
            println!("{}", json!(outcome));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", json!({"failed": true, "msg": format!("{error:#}")}));
            ExitCode::FAILURE
        }
    }
}

fn answer<M: Module>() -> Result<Outcome> {
    let path = std::env::args_os().nth(1).context("no arguments file given")?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut arguments: serde_json::Map<String, Value> =
        serde_json::from_str(&text).context("arguments are not a JSON object")?;
    let flag = |name: &str| arguments.get(name).and_then(Value::as_bool).unwrap_or_default();
    let task = Task { check_mode: flag("_ansible_check_mode"), diff: flag("_ansible_diff"), verbosity: 0 };
    arguments.retain(|name, _| !name.starts_with("_ansible_"));
    let params = serde_json::from_value(Value::Object(arguments))?;
    let plan = M::plan(params, &task)?;
    if task.check_mode { Ok(M::predict(&plan, &task)) } else { M::apply(plan, &task) }
}
