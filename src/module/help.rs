//! What a module says of itself: `--help` for a person, `--spec` for the guard that compares it with
//! its sidecar.

use serde_json::{Map, Value, json};

use super::{Argument, Kind, Spec, process::Described};

/// The answer to a flag, if `argument` is one.
pub(super) fn answer(module: &Described, argument: &str) -> Option<String> {
    match argument {
        "--help" | "-h" => Some(help(module)),
        "--version" | "-V" => Some(format!("{} {}\n", module.name, env!("CARGO_PKG_VERSION"))),
        "--spec" => Some(format!("{}\n", Value::Object(options(&module.spec)))),
        _ => None,
    }
}

fn help(module: &Described) -> String {
    let name = module.name;
    let mut text = format!(
        "{about}\n\nThis is an Ansible module. By hand: {name} ARGUMENTS.json, or {name} - with the JSON on standard input.\n\
         It prints one JSON object. With \"_ansible_check_mode\": true it predicts and writes nothing.\n\nOptions:\n",
        about = module.about
    );
    describe(&module.spec, 1, &mut text);
    text
}

fn describe(spec: &Spec, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for (name, argument) in &spec.0 {
        let mut notes = vec![type_name(argument)];
        if argument.required {
            notes.push("required".into());
        }
        if let Some(default) = &argument.default {
            notes.push(if argument.no_log { "has a default".into() } else { format!("default {default}") });
        }
        if !argument.choices.is_empty() {
            notes.push(format!("one of {}", argument.choices.join(", ")));
        }
        if argument.no_log {
            notes.push("never shown".into());
        }
        text.extend([&indent, *name, " (", &notes.join("; "), ")\n"]);
        if !argument.about.trim().is_empty() {
            text.extend([&indent, "    ", argument.about.trim(), "\n"]);
        }
        if let Some(options) = argument.sub_options() {
            describe(options, depth + 2, text);
        }
    }
}

fn type_name(argument: &Argument) -> String {
    match &argument.kind {
        Kind::List(element) => format!("list of {}", element.kind.name()),
        other => other.name().into(),
    }
}

/// The spec as Ansible writes it.
fn options(spec: &Spec) -> Map<String, Value> {
    spec.0.iter().map(|(name, argument)| ((*name).to_owned(), option(argument))).collect()
}

fn option(argument: &Argument) -> Value {
    let mut shown =
        json!({"type": argument.kind.name(), "required": argument.required, "no_log": argument.no_log});
    if let Kind::List(element) = &argument.kind {
        shown["elements"] = element.kind.name().into();
    }
    if let Some(default) = &argument.default {
        shown["default"] = default.clone();
    }
    if !argument.choices.is_empty() {
        shown["choices"] = argument.choices.into();
    }
    if let Some(sub_options) = argument.sub_options() {
        shown["options"] = Value::Object(options(sub_options));
    }
    shown
}
