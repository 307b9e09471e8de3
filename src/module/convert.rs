//! Typed conversion of a task's options, with the same result as Ansible's argument spec validation
//! (`ansible.module_utils.common.arg_spec`); a differential test holds the two together.
//!
//! Known differences, all of them refusals: integers beyond 64 bits and numbers that are not finite.

use serde_json::{Map, Value};

use super::{Argument, Kind, Spec, scalar};
use crate::text::{nearest, python};

/// Options after conversion: each one present, `null` where it was neither given nor has a default.
pub fn convert(spec: &Spec, given: Map<String, Value>) -> Result<Map<String, Value>, Vec<String>> {
    let mut errors = Vec::new();
    let converted = options(spec, given, "", &mut errors);
    if errors.is_empty() { Ok(converted) } else { Err(errors) }
}

/// Converts one level of options; `prefix` is the dotted path of the dictionary they are in.
fn options(
    spec: &Spec,
    mut given: Map<String, Value>,
    prefix: &str,
    errors: &mut Vec<String>,
) -> Map<String, Value> {
    for name in given.keys().filter(|name| !spec.0.iter().any(|(known, _)| known == name)) {
        errors.push(unknown(spec, name, prefix));
    }
    let mut converted = Map::new();
    for (name, argument) in &spec.0 {
        let path = format!("{prefix}{name}");
        let value = match given.remove(*name).or_else(|| argument.default.clone()) {
            Some(value) => option(argument, value, &path, errors),
            None if argument.required => {
                errors.push(format!("missing required option '{path}'"));
                Value::Null
            }
            None => Value::Null,
        };
        converted.insert((*name).to_owned(), value);
    }
    converted
}

fn unknown(spec: &Spec, name: &str, prefix: &str) -> String {
    let known: Vec<&str> = spec.0.iter().map(|(known, _)| *known).collect();
    let meant = nearest(name, known.iter().copied())
        .map_or_else(String::new, |meant| format!("; did you mean '{prefix}{meant}'?"));
    let options = if known.is_empty() { "none".into() } else { known.join(", ") };
    format!("unknown option '{prefix}{name}'{meant} (options: {options})")
}

/// Converts one option that was given, or that has a default.
fn option(argument: &Argument, value: Value, path: &str, errors: &mut Vec<String>) -> Value {
    // Ansible converts an explicit null only where the option must have a value.
    let value = if value.is_null() && !argument.required && argument.default.is_none() {
        value
    } else {
        match one(argument, value, path, errors) {
            Ok(value) => value,
            Err(reason) => {
                errors.push(if argument.no_log {
                    format!(
                        "option '{path}' cannot be converted to {} (its value is not shown)",
                        argument.kind.name()
                    )
                } else {
                    format!("option '{path}': {reason}")
                });
                return Value::Null;
            }
        }
    };
    choose(argument, value, path, errors)
}

/// Converts one value to the argument's type, elements and sub-options included.
fn one(argument: &Argument, value: Value, path: &str, errors: &mut Vec<String>) -> Result<Value, String> {
    match &argument.kind {
        Kind::Str => Ok(scalar::text(&value).into()),
        Kind::Path => path_of(argument, &value),
        Kind::Int => scalar::int(&value),
        Kind::Float => scalar::float(&value),
        Kind::Bool => scalar::bool(&value),
        Kind::Raw => Ok(value),
        Kind::List(element) => {
            // Ansible looks for secrets inside before it splits a string, and fails where that finds no dictionary.
            if element.sub_options().is_some() && value.is_string() {
                scalar::dict(value.clone())?;
            }
            let items = scalar::list(value)?.into_iter().enumerate();
            let inner = Argument { choices: &[], ..(**element).clone() };
            let converted = items.map(|(index, item)| {
                let path = format!("{path}[{index}]");
                one(&inner, item, &path, errors).map_err(|reason| format!("element {index}: {reason}"))
            });
            Ok(Value::Array(converted.collect::<Result<_, _>>()?))
        }
        Kind::Dict(None) => Ok(Value::Object(scalar::dict(value)?)),
        Kind::Dict(Some(spec)) => {
            Ok(Value::Object(options(spec, scalar::dict(value)?, &format!("{path}."), errors)))
        }
    }
}

fn path_of(argument: &Argument, value: &Value) -> Result<Value, String> {
    let path = scalar::path(&scalar::text(value));
    if argument.absolute && !path.starts_with('/') {
        return Err(format!(
            "'{path}' is a relative path, and would lie beside the playbook; write one that begins with '/' or '~/'"
        ));
    }
    Ok(path.into())
}

/// Refuses what is not among the choices. `True` and `False` mean the one choice that is their
/// spelling in YAML, because a template may have made them of it.
fn choose(argument: &Argument, value: Value, path: &str, errors: &mut Vec<String>) -> Value {
    let is_choice = |value: &Value| value.as_str().is_some_and(|text| argument.choices.contains(&text));
    if argument.choices.is_empty() || is_choice(&value) {
        return value;
    }
    let spellings = match value.as_str() {
        Some("True") => scalar::TRUE,
        Some("False") => scalar::FALSE,
        _ => &[],
    };
    let mut meant = argument.choices.iter().filter(|choice| spellings.contains(choice));
    if let (Some(choice), None) = (meant.next(), meant.next()) {
        return (*choice).into();
    }
    let wrong = match &value {
        Value::Array(items) => items.iter().find(|item| !is_choice(item)),
        other => Some(other),
    };
    if let Some(wrong) = wrong {
        let shown = if argument.no_log { "a value that is not shown".into() } else { python::repr(wrong) };
        errors.push(format!("option '{path}': must be one of {}; got {shown}", argument.choices.join(", ")));
    }
    value
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> Spec {
        let listen = Spec(vec![("port", Argument::int().required()), ("key", Argument::str().no_log())]);
        Spec(vec![
            ("name", Argument::str().required()),
            ("state", Argument::str().choices(&["yes", "stopped"]).default("stopped")),
            ("tags", Argument::list(Argument::int())),
            ("listen", Argument::list(Argument { kind: Kind::Dict(Some(listen)), ..Argument::dict() })),
        ])
    }

    fn run(given: &Value) -> Result<Value, Vec<String>> {
        convert(&spec(), given.as_object().unwrap().clone()).map(Value::Object)
    }

    #[test]
    fn strings_of_templates_become_values() {
        assert_eq!(
            run(&json!({"name": 7, "state": "True", "tags": "1, 2", "listen": ["port=80", {"port": "8e1"}]})),
            Ok(json!({"name": "7", "state": "yes", "tags": [1, 2],
                "listen": [{"port": 80, "key": null}, {"port": 80, "key": null}]}))
        );
    }

    #[test]
    fn every_mistake_is_named_at_once_and_no_secret_is() {
        let errors = run(
            &json!({"nmae": "x", "state": "gone", "tags": ["a"], "listen": [{"prot": 1, "key": "s3cret"}]}),
        )
        .unwrap_err();
        assert_eq!(
            errors,
            [
                "unknown option 'nmae'; did you mean 'name'? (options: name, state, tags, listen)",
                "missing required option 'name'",
                "option 'state': must be one of yes, stopped; got 'gone'",
                "option 'tags': element 0: 'a' is not an integer",
                "unknown option 'listen[0].prot'; did you mean 'listen[0].port'? (options: port, key)",
                "missing required option 'listen[0].port'",
            ]
        );
    }

    #[test]
    fn a_relative_path_is_refused_where_it_must_be_absolute() {
        let spec = Spec(vec![("at", Argument::path().absolute().required())]);
        let convert = |path: &str| convert(&spec, Map::from_iter([("at".to_owned(), json!(path))]));
        assert_eq!(convert("/srv/x").unwrap()["at"], json!("/srv/x"));
        for relative in ["", "x", "./x", "../x", "a/~"] {
            let error = convert(relative).unwrap_err().concat();
            assert!(error.starts_with(&format!("option 'at': '{relative}' is a relative path")), "{error}");
        }
    }
}
