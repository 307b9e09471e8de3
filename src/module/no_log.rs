//! Values that must not be shown: found among the arguments, and removed from results.

use serde_json::Value;

use super::{Kind, Spec, scalar};
use crate::text::python;

/// The values given to `no_log` options, at any depth, as Ansible collects them.
pub fn collect(spec: &Spec, given: &serde_json::Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, argument) in &spec.0 {
        let Some(value) = given.get(*name).or(argument.default.as_ref()) else { continue };
        // As in Ansible: a zero is no secret, or every zero of a result would be hidden.
        if argument.no_log && value.as_f64() != Some(0.0) {
            strings(value, &mut found);
        }
        let Some(options) = argument.sub_options() else { continue };
        let entries = match (&argument.kind, value) {
            (Kind::List(_), Value::Array(entries)) => entries.clone(),
            (Kind::List(_), Value::String(_)) => scalar::list(value.clone()).unwrap_or_default(),
            _ => vec![value.clone()],
        };
        for entry in entries {
            found.extend(scalar::dict(entry).map(|entry| collect(options, &entry)).unwrap_or_default());
        }
    }
    // The longest first: one may be a part of another.
    found.sort_by_key(|it| std::cmp::Reverse(it.len()));
    found
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| strings(item, found)),
        Value::Number(_) | Value::String(_) => {
            let text = python::str(value);
            if !text.is_empty() {
                found.push(text);
            }
        }
    }
}

/// Removes secrets from a result, as Ansible does, and every private key in PEM.
pub fn scrub(value: Value, secrets: &[String]) -> Value {
    match value {
        Value::String(text) => {
            if secrets.contains(&text) {
                return "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER".into();
            }
            let hidden = secrets.iter().fold(text, |text, secret| text.replace(secret, "********"));
            without_private_keys(&hidden).into()
        }
        Value::Number(number) if secrets.iter().any(|secret| number.to_string().contains(secret)) => {
            "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER".into()
        }
        Value::Array(items) => items.into_iter().map(|item| scrub(item, secrets)).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(name, item)| (name, scrub(item, secrets))).collect()
        }
        other => other,
    }
}

/// Replaces PEM blocks that hold a private key (RFC 7468 section 10, and OpenSSL's older labels). One
/// whose end is missing is cut to the end of the text.
fn without_private_keys(text: &str) -> String {
    const MARK: &str = "PRIVATE KEY-----";
    let mut shown = String::new();
    let mut rest = text;
    while let Some(mark) = rest.find(MARK) {
        let begin = rest[..mark].rfind("-----BEGIN ").unwrap_or(mark);
        shown.push_str(&rest[..begin]);
        shown.push_str("(a private key)");
        rest = &rest[mark + MARK.len()..];
        rest = rest.find(MARK).map_or("", |end| &rest[end + MARK.len()..]);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Argument;
    use serde_json::json;

    #[test]
    fn values_of_no_log_options_are_found_at_any_depth() {
        let inner = Spec(vec![("key", Argument::str().no_log()), ("port", Argument::int())]);
        let spec = Spec(vec![
            ("pin", Argument::int().no_log()),
            ("list", Argument::list(Argument { kind: Kind::Dict(Some(inner)), ..Argument::dict() })),
        ]);
        let given = json!({"pin": 1234, "list": [{"key": "long secret", "port": 80}, "key=other"]});
        let secrets = collect(&spec, given.as_object().unwrap_or(&serde_json::Map::new()));
        assert_eq!(secrets, ["long secret", "other", "1234"]);
    }

    #[test]
    fn secrets_and_private_keys_leave_a_result() {
        let pem = "x -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- y";
        let result = json!({"msg": "bad value 's3cret'", "n": [991_234, true], "whole": "s3cret", "pem": pem,
            "cut": "-----BEGIN PRIVATE KEY-----\nMHc"});
        assert_eq!(
            scrub(result, &["s3cret".into(), "1234".into()]),
            json!({"msg": "bad value '********'", "n": ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", true],
                "whole": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "pem": "x (a private key) y", "cut": "(a private key)"})
        );
    }
}
