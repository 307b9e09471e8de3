//! Python literals (`{'a': [1, None]}`), as `ast.literal_eval` reads them: inventories hold them, and templates
//! print them.

mod parser;
mod tokens;

pub use parser::{Literal, parse};
use serde_json::{Map, Number, Value};

/// Reads a literal that has an equal in JSON; a tuple becomes a list. `None`: not such a literal
/// (bytes, sets, complex numbers and integers beyond 64 bits have no equal).
pub fn to_json(text: &str) -> Option<Value> {
    value(parse(text)?)
}

fn value(literal: Literal) -> Option<Value> {
    Some(match literal {
        Literal::None => Value::Null,
        Literal::Bool(bool) => bool.into(),
        Literal::Integer(digits) => Value::Number(Number::from_i128(digits.parse().ok()?)?),
        Literal::Float(number) => Value::Number(Number::from_f64(number)?),
        Literal::Text(text) => text.into(),
        Literal::Sequence { items, .. } => items.into_iter().map(value).collect::<Option<_>>()?,
        Literal::Mapping(pairs) => {
            let entries = pairs.into_iter().map(|(key, entry)| Some((name(key)?, value(entry)?)));
            Value::Object(entries.collect::<Option<Map<_, _>>>()?)
        }
        Literal::Complex(..)
        | Literal::Ellipsis
        | Literal::Bytes(_)
        | Literal::Set(_)
        | Literal::Refused(_) => {
            return None;
        }
    })
}

/// What JSON makes of a key that is no text.
fn name(key: Literal) -> Option<String> {
    match value(key)? {
        Value::String(key) => Some(key),
        Value::Null => Some("null".into()),
        Value::Bool(key) => Some(key.to_string()),
        key @ Value::Number(_) => Some(super::str(&key)),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_read_as_in_python() {
        for (text, expected) in [
            ("{'a': 1, \"b\": [True, None, (1,), (2)],}", Some(json!({"a": 1, "b": [true, null, [1], 2]}))),
            ("{'a' 'b': 'c\\n\\x41\\u00e9\\101\\q'}", Some(json!({"ab": "c\nAéA\\q"}))),
            ("{1: -0x1F, 1.5: 1_000, True: 1e3}", Some(json!({"1": -31, "1.5": 1000, "true": 1000.0}))),
            ("{'a': '''b\n'c''', # why\n}", Some(json!({"a": "b\n'c"}))),
            ("{'a': 'b\\\nc',\n}\n # why\n\n", Some(json!({"a": "bc"}))),
            ("{'a': 'b\nc'}", None),
            ("[r'\\d', u'x', .5, 1.]", Some(json!(["\\d", "x", 0.5, 1.0]))),
            ("{'a': 1 'b': 2}", None),
            ("[,]", None),
            ("[1 2]", None),
            ("{'a': b}", None),
            ("{'a': Nonesuch}", None),
            ("{'a': 'b", None),
            ("{'a': 012}", None),
            ("{'a': --1}", None),
            ("{'a': 1_e5}", None),
            ("{[1]: 2}", None),
            ("f()", None),
            ("", None),
        ] {
            assert_eq!(to_json(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        assert_eq!(to_json(&"[".repeat(1_000_000)), None);
    }
}
