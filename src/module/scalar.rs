//! Conversion of one value, type by type, as `ansible.module_utils.common.validation` does it.

use serde_json::{Map, Value};

use crate::{system::accounts, text::python};

/// Spellings of true, in lower case.
pub(super) const TRUE: &[&str] = &["y", "yes", "on", "1", "true", "t"];
/// Spellings of false, in lower case.
pub(super) const FALSE: &[&str] = &["n", "no", "off", "0", "false", "f"];

/// Any value as a string; `null` is the empty one.
pub(super) fn text(value: &Value) -> String {
    if value.is_null() { String::new() } else { python::str(value) }
}

/// A boolean in any of its spellings.
pub(super) fn bool(value: &Value) -> Result<Value, String> {
    let spelling = match value {
        Value::Bool(_) => return Ok(value.clone()),
        Value::String(text) => python::strip(&text.to_lowercase()).to_owned(),
        Value::Number(number) if number.as_f64() == Some(1.0) => "1".into(),
        Value::Number(number) if number.as_f64() == Some(0.0) => "0".into(),
        _ => String::new(),
    };
    if TRUE.contains(&spelling.as_str()) {
        Ok(true.into())
    } else if FALSE.contains(&spelling.as_str()) {
        Ok(false.into())
    } else {
        Err(format!("{} is not a boolean (yes or no)", python::repr(value)))
    }
}

/// An integer: also `"3"`, `3.0`, `"3e2"` and booleans, which Python counts as 0 and 1.
pub(super) fn int(value: &Value) -> Result<Value, String> {
    let converted = match value {
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(integer), _) => Some(integer),
            // The plain decimal text of a float is exact.
            (None, Some(float)) => decimal(&float.to_string()),
            (None, None) => None,
        },
        Value::String(text) => decimal(python::strip(text)),
        _ => None,
    };
    converted
        .and_then(serde_json::Number::from_i128)
        .map(Value::Number)
        .ok_or_else(|| format!("{} is not an integer", python::repr(value)))
}

/// The integer that a decimal number written out (`12`, `1.20e1`) equals; `None` if it is not one,
/// or needs more than 38 digits.
fn decimal(text: &str) -> Option<i128> {
    let text = text.replace('_', "");
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !is_digits(&digits) || !is_digits(exponent_digits) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let scale = exponent.parse::<i64>().ok()?.checked_add(i64::try_from(trailing).ok()?)?;
    let scale = scale.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(u32::try_from(scale).ok()?)?;
    let magnitude = significant.parse::<i128>().ok()?.checked_mul(power)?;
    Some(if negative { -magnitude } else { magnitude })
}

/// A number, as Python's `float()` reads it.
pub(super) fn float(value: &Value) -> Result<Value, String> {
    let converted = match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            // Not `strip`: float() leaves the separators U+001C to U+001F.
            let text = text.trim();
            let bytes = text.as_bytes();
            let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
            let underscores_separate_digits =
                text.match_indices('_').all(|(at, _)| digit(at.checked_sub(1)) && digit(Some(at + 1)));
            if underscores_separate_digits { text.replace('_', "").parse().ok() } else { None }
        }
        _ => None,
    };
    converted
        .and_then(serde_json::Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| format!("{} is not a finite number", python::repr(value)))
}

/// A list; a string is split at its commas.
pub(super) fn list(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items),
        Value::String(text) => Ok(text.split(',').map(Value::from).collect()),
        Value::Bool(_) | Value::Number(_) => Ok(vec![python::str(&value).into()]),
        Value::Null | Value::Object(_) => Err(format!("a {} is not a list", python::type_name(&value))),
    }
}

/// A dictionary, or one written as JSON, as a Python literal, or as `key=value, key=value`.
pub(super) fn dict(value: Value) -> Result<Map<String, Value>, String> {
    let text = match value {
        Value::Object(entries) => return Ok(entries),
        Value::String(text) => text,
        other => return Err(format!("a {} is not a dictionary", python::type_name(&other))),
    };
    if text.starts_with('{') {
        return match serde_json::from_str(&text).ok().or_else(|| python::literal::to_json(&text)) {
            Some(Value::Object(entries)) => Ok(entries),
            _ => Err("neither JSON nor a Python dictionary".into()),
        };
    }
    if !text.contains('=') {
        return Err("a dictionary is needed: {\"key\": \"value\"} or key=value".into());
    }
    fields(python::strip(&text))
        .iter()
        .map(|field| field.split_once('=').map(|(key, value)| (key.to_owned(), value.into())))
        .collect::<Option<_>>()
        .ok_or_else(|| "one of its parts is not key=value".into())
}

/// Splits at commas and spaces outside quotes; a backslash takes the next character as it is.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let (mut quote, mut escaped) = (None, false);
    for character in text.chars() {
        let field = fields.len() - 1;
        match character {
            _ if escaped => {
                fields[field].push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '\'' | '"' if quote.is_none() => quote = Some(character),
            _ if quote == Some(character) => quote = None,
            ',' | ' ' if quote.is_none() => fields.push(String::new()),
            _ => fields[field].push(character),
        }
    }
    fields.retain(|field| !field.is_empty());
    fields
}

/// Expands `$VARIABLE`, `${VARIABLE}` and a leading `~` or `~user`; what is unknown stays.
pub(super) fn path(text: &str) -> String {
    expand_home(&expand_variables(text, |name| std::env::var(name).ok()))
}

fn expand_variables(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, length) = if let Some(braced) = rest[1..].strip_prefix('{') {
            braced.find('}').map_or(("", 1), |end| (&braced[..end], end + 3))
        } else {
            let end = rest[1..].find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            let name = end.map_or(&rest[1..], |end| &rest[1..=end]);
            (name, name.len() + 1)
        };
        match Some(name).filter(|it| !it.is_empty()).and_then(&lookup) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    expanded + rest
}

fn expand_home(path: &str) -> String {
    let Some(tail) = path.strip_prefix('~') else { return path.to_owned() };
    let (user, tail) = tail.split_at(tail.find('/').unwrap_or(tail.len()));
    let home = if user.is_empty() {
        // The environment goes first, as in a shell.
        let own = rustix::process::getuid().as_raw().to_string();
        std::env::var("HOME").ok().or_else(|| accounts::user(&own).ok()??.home)
    } else {
        // A number is not a user's name here.
        let by_name = user.parse::<u32>().is_err();
        accounts::user(user).ok().flatten().filter(|_| by_name).and_then(|it| it.home)
    };
    let Some(home) = home else { return path.to_owned() };
    let expanded = format!("{}{tail}", home.trim_end_matches('/'));
    if expanded.is_empty() { "/".into() } else { expanded }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_integer_is_what_python_calls_one() {
        for (given, expected) in [
            (json!("  12 "), Some(json!(12))),
            (json!("1_000"), Some(json!(1000))),
            (json!("12.50e2"), Some(json!(1250))),
            (json!(3.0), Some(json!(3))),
            (json!(-1e18), Some(json!(-1_000_000_000_000_000_000_i64))),
            (json!(true), Some(json!(1))),
            (json!("0e999999999"), Some(json!(0))),
            (json!("1e999999999"), None),
            (json!("-0.5"), None),
            (json!(0.5), None),
            (json!("0x10"), None),
            (json!(""), None),
            (json!([1]), None),
        ] {
            assert_eq!(int(&given).ok(), expected, "{given}");
        }
    }

    #[test]
    fn variables_expand_where_they_are_known() {
        let lookup = |name: &str| (name == "NAME").then(|| "$NAME".to_owned());
        for (text, expected) in [
            ("/a/$NAME/b", "/a/$NAME/b"),
            ("${NAME}x$OTHER", "$NAMEx$OTHER"),
            ("$", "$"),
            ("${NAME", "${NAME"),
            ("${}$$NAME", "${}$$NAME"),
        ] {
            assert_eq!(expand_variables(text, lookup), expected, "{text}");
        }
    }
}
