//! Python literals (`{'a': [1, None]}`), as `ast.literal_eval` reads them: templates print them.

use serde_json::{Map, Number, Value};

use super::python;

/// Nesting beyond this is refused, as Python refuses to parse it.
const DEPTH: usize = 90;

/// Reads one literal that has an equal in JSON; a tuple becomes a list. `None`: not such a literal
/// (bytes, sets, complex numbers and integers beyond 64 bits have no equal).
#[must_use]
pub fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    let value = parser.value()?;
    parser.space();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'text> {
    rest: &'text str,
    depth: usize,
}

impl Parser<'_> {
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    /// Whether `token` comes next; it is then passed.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        let value = match self.rest.chars().next()? {
            '[' => self.list("[", "]").map(|(items, _)| Value::Array(items)),
            '(' => self.list("(", ")").and_then(|(mut items, comma)| match items.len() {
                1 if !comma => items.pop(),
                _ => Some(Value::Array(items)),
            }),
            '{' => self.dict(),
            '0'..='9' | '.' | '-' | '+' => self.number(),
            _ => self.word_or_string(),
        };
        self.depth -= 1;
        value
    }

    /// The items between two brackets, and whether a comma came last.
    fn list(&mut self, open: &str, close: &str) -> Option<(Vec<Value>, bool)> {
        self.take(open);
        let mut items = Vec::new();
        let mut comma = false;
        while !self.take(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value()?);
            comma = self.take(",");
        }
        Some((items, comma))
    }

    fn dict(&mut self) -> Option<Value> {
        self.take("{");
        let mut entries = Map::new();
        let mut comma = true;
        while !self.take("}") {
            if !comma {
                return None;
            }
            let key = match self.value()? {
                Value::String(key) => key,
                // What JSON makes of such keys.
                Value::Null => "null".into(),
                Value::Bool(key) => key.to_string(),
                key @ Value::Number(_) => python::str(&key),
                Value::Array(_) | Value::Object(_) => return None,
            };
            if !self.take(":") {
                return None;
            }
            let value = self.value()?;
            entries.insert(key, value);
            comma = self.take(",");
        }
        Some(Value::Object(entries))
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        self.space();
        let bytes = self.rest.as_bytes();
        let mut end = 0;
        while let Some(&byte) = bytes.get(end) {
            let exponent_sign = matches!(byte, b'+' | b'-')
                && matches!(bytes[..end].last(), Some(b'e' | b'E'))
                && !self.rest.starts_with("0x")
                && !self.rest.starts_with("0X");
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent_sign) {
                break;
            }
            end += 1;
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        number(word, negative)
    }

    fn word_or_string(&mut self) -> Option<Value> {
        for (word, value) in [("None", Value::Null), ("True", true.into()), ("False", false.into())] {
            if let Some(rest) = self.rest.strip_prefix(word)
                && !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
            {
                self.rest = rest;
                return Some(value);
            }
        }
        let mut text = self.string()?;
        // Adjacent strings are one.
        loop {
            self.space();
            if !self.rest.starts_with(['\'', '"', 'r', 'R', 'u', 'U']) {
                return Some(Value::String(text));
            }
            text.push_str(&self.string()?);
        }
    }

    fn string(&mut self) -> Option<String> {
        let raw = self.rest.starts_with(['r', 'R']);
        let prefixed = raw || self.rest.starts_with(['u', 'U']);
        let rest = if prefixed { &self.rest[1..] } else { self.rest };
        let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| rest.starts_with(quote))?;
        let rest = &rest[quote.len()..];
        let mut end = 0;
        while !rest[end..].starts_with(quote) {
            let mut characters = rest[end..].chars();
            let character = characters.next()?;
            if character == '\n' && quote.len() == 1 {
                return None;
            }
            end += character.len_utf8();
            if character == '\\' {
                end += characters.next()?.len_utf8();
            }
        }
        let (inside, rest) = rest.split_at(end);
        self.rest = &rest[quote.len()..];
        if raw { Some(inside.to_owned()) } else { unescape(inside) }
    }
}

/// A number as Python writes it: underscores between digits, `0x`, `0o`, `0b`, no leading zeros.
fn number(word: &str, negative: bool) -> Option<Value> {
    if word.starts_with('_') || word.ends_with('_') || word.contains("__") || word.contains("_.") {
        return None;
    }
    let digits = word.replace('_', "").to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| digits.starts_with(prefix));
    let is_float = radix.is_none() && digits.contains(['.', 'e']);
    if is_float {
        if ["._", "_e", "e_"].iter().any(|it| word.to_ascii_lowercase().contains(it)) {
            return None;
        }
        let float: f64 = digits.parse().ok()?;
        return Number::from_f64(if negative { -float } else { float }).map(Value::Number);
    }
    let (digits, radix) =
        radix.map_or((digits.as_str(), 10), |(prefix, radix)| (&digits[prefix.len()..], radix));
    if digits.starts_with('+')
        || radix == 10 && digits.starts_with('0') && !digits.trim_matches('0').is_empty()
    {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    Number::from_i128(if negative { -magnitude } else { magnitude }).map(Value::Number)
}

/// Resolves the escapes of a string. An unknown one stays as it is written.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        let simple = match escape {
            '\n' => Some(None),
            '\\' | '\'' | '"' => Some(Some(escape)),
            'n' => Some(Some('\n')),
            'r' => Some(Some('\r')),
            't' => Some(Some('\t')),
            'a' => Some(Some('\u{7}')),
            'b' => Some(Some('\u{8}')),
            'f' => Some(Some('\u{c}')),
            'v' => Some(Some('\u{b}')),
            _ => None,
        };
        if let Some(simple) = simple {
            out.extend(simple);
            continue;
        }
        let (radix, length) = match escape {
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => {
                rest = &text[text.len() - rest.len() - 1..];
                (8, rest.bytes().take(3).take_while(|it| (b'0'..=b'7').contains(it)).count())
            }
            // A character by its name: nobody prints those.
            'N' => return None,
            _ => {
                out.extend(['\\', escape]);
                continue;
            }
        };
        let digits = rest.get(..length).filter(|it| it.chars().all(|digit| digit.is_digit(radix)))?;
        out.push(char::from_u32(u32::from_str_radix(digits, radix).ok()?)?);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Some(out)
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
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        assert_eq!(parse(&"[".repeat(1_000_000)), None);
    }
}
