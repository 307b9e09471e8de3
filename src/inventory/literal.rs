//! Values of an INI inventory: Python literals as `ast.literal_eval` reads them; all other text is a string.

use super::mapping::{Key, Mapping};
use super::value::{Value, python_float};
use crate::text::python::literal::{self, Literal};

/// What Ansible makes of the text of a value. An error where Ansible fails on it, or where what it makes of
/// it cannot be told (a set has no order, `\N{…}` needs Unicode's table of names).
pub(super) fn evaluate(text: &str) -> Result<Value, String> {
    match literal::parse(text) {
        Some(literal) => value(literal),
        None => Ok(Value::Text(text.to_owned())),
    }
}

fn value(literal: Literal) -> Result<Value, String> {
    Ok(match literal {
        Literal::None => Value::Null,
        Literal::Bool(bool) => Value::Bool(bool),
        Literal::Integer(digits) => Value::Integer(digits),
        Literal::Float(number) => Value::Float(number),
        Literal::Complex(real, imaginary) => Value::Text(python_complex(real, imaginary)),
        Literal::Ellipsis => Value::Text("...".to_owned()),
        Literal::Text(text) => Value::Text(text),
        Literal::Bytes(bytes) => match String::from_utf8(bytes) {
            // Ansible trusts no bytes to be a template.
            Ok(text) => Value::Unsafe(text),
            Err(_) => return Err("these bytes are not UTF-8".to_owned()),
        },
        Literal::Sequence { items, .. } => {
            Value::List(items.into_iter().map(value).collect::<Result<_, _>>()?)
        }
        Literal::Set(items) if items.is_empty() => Value::List(Vec::new()),
        Literal::Set(_) => return Err("a set has no order: write a list, or quote the text twice".to_owned()),
        Literal::Mapping(pairs) => mapping(pairs)?,
        Literal::Refused(reason) => return Err(reason.to_owned()),
    })
}

fn mapping(pairs: Vec<(Literal, Literal)>) -> Result<Value, String> {
    let mut mapping = Mapping::default();
    for (key, entry) in pairs {
        let key = match key {
            Literal::None => Key::Null,
            Literal::Bool(bool) => Key::Bool(bool),
            Literal::Integer(digits) => Key::Integer(digits),
            Literal::Float(number) => Key::Float(number),
            Literal::Text(text) => Key::Text(text),
            Literal::Refused(reason) => return Err(reason.to_owned()),
            _ => return Err("a key of a dictionary is neither text nor a number".to_owned()),
        };
        mapping.insert(key, entry);
    }
    super::value::reject_reserved(mapping.finish(value)?)
}

/// `str()` of a complex number.
fn python_complex(real: f64, imaginary: f64) -> String {
    let plain = |number: f64| {
        let text = python_float(number);
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    if real == 0.0 && real.is_sign_positive() {
        return format!("{}j", plain(imaginary));
    }
    let sign = if imaginary.is_sign_negative() && !imaginary.is_nan() { "" } else { "+" };
    format!("({}{sign}{}j)", plain(real), plain(imaginary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn integer(text: &str) -> Value {
        Value::Integer(text.to_owned())
    }

    #[test]
    fn literals_and_what_only_looks_like_one() {
        let cases = [
            ("5", integer("5")),
            ("-(1) # one", integer("-1")),
            ("0x1F", integer("31")),
            ("010", text("010")),
            ("1_000", integer("1000")),
            ("1.50", Value::Float(1.5)),
            ("True", Value::Bool(true)),
            ("true", text("true")),
            ("yes", text("yes")),
            ("None", Value::Null),
            ("'a' \"b\"", text("ab")),
            ("r'\\d'", text("\\d")),
            ("'\\x41\\101\\q'", text("AA\\q")),
            ("b'x'", Value::Unsafe("x".to_owned())),
            ("5j", text("5j")),
            ("-1.5+2j", text("(-1.5+2j)")),
            ("...", text("...")),
            ("1,2", Value::List(vec![integer("1"), integer("2")])),
            ("()", Value::List(vec![])),
            ("set()", Value::List(vec![])),
            ("{1: 'a', True: 'b'}", Value::Map(vec![("1".to_owned(), text("b"))])),
            ("10.0.0.1", text("10.0.0.1")),
            ("1+2", text("1+2")),
            ("--1", text("--1")),
            ("[a]", text("[a]")),
            ("{{ x }}", text("{{ x }}")),
            ("'a", text("'a")),
            ("1 2", text("1 2")),
            ("{1, a}", text("{1, a}")),
            ("", text("")),
        ];
        for (source, expected) in cases {
            assert_eq!(evaluate(source), Ok(expected), "{source:?}");
        }
    }

    #[test]
    fn what_ansible_fails_on_or_leaves_to_chance_is_an_error() {
        for source in ["{[]: 1}", "{1, 2}", "b'\\xff'", "'\\ud800'", "{b'a': 1}", "[{1}]", "{(1, []): 2}"] {
            assert!(evaluate(source).is_err(), "{source:?}");
        }
    }
}
