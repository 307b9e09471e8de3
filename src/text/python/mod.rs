//! Python's text of a value, where Ansible reads and writes it: `str()` and `repr()`, literals, integers, blanks.

pub mod literal;
pub mod number;

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// What `str(value)` gives in Python.
pub fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// What `repr(value)` gives in Python. Keys of a dictionary come sorted: JSON objects keep no order here.
pub fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number_repr(number),
        Value::String(text) => string_repr(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}: {}", string_repr(key), repr(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Python's name of a value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// `text.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `character.isspace()`: Python also counts the separators U+001C to U+001F.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

fn number_repr(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_repr(float),
        _ => number.to_string(),
    }
}

/// The shortest digits that read back the same, in Python's layout: `1e-05`, `0.0001`, `1e+16`.
pub fn float_repr(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = float.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn string_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if character == quote => shown.extend(['\\', character]),
            _ if is_printable(character) => shown.push(character),
            _ => {
                let code = u32::from(character);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(shown, "\\x{code:02x}"),
                    0x100..=0xffff => write!(shown, "\\u{code:04x}"),
                    _ => write!(shown, "\\U{code:08x}"),
                };
            }
        }
    }
    shown.push(quote);
    shown
}

/// `str.isprintable`, which is what `Debug` escapes too. The leading letter: `Debug` also escapes a
/// combining mark at the start of a string.
fn is_printable(character: char) -> bool {
    let shown: String = format!("a{character}").escape_debug().collect();
    !shown.starts_with("a\\u{") && !shown.starts_with("a\\0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_writes_them() {
        // Each right-hand side was printed by Python's repr().
        for (value, expected) in [
            (json!(1e16), "1e+16"),
            (json!(123_456_789_012_345.0), "123456789012345.0"),
            (json!(1e-5), "1e-05"),
            (json!(0.0001), "0.0001"),
            (json!(-0.0), "-0.0"),
            (json!(1.5e300), "1.5e+300"),
            (json!("it's"), "\"it's\""),
            (json!("it's \"so\""), "'it\\'s \"so\"'"),
            (json!("a\u{0}\u{7f}\u{200b}\u{e9}\u{301}"), "'a\\x00\\x7f\\u200bé\u{301}'"),
            (json!({"b": [null, true], "a": 1}), "{'a': 1, 'b': [None, True]}"),
        ] {
            assert_eq!(repr(&value), expected);
        }
    }
}
