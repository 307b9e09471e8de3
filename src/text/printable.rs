//! Text for a terminal. What a host, a user's file or another program says may hold escape sequences that
//! rewrite the screen, the window's title or what lies in the clipboard: they are shown, not sent.

use std::fmt::Write as _;

use serde_json::Value;

/// The text with control characters as `cat -v` shows them (`^[` for escape), and those that turn the direction of
/// writing by number. Ends of lines and tabs stay.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '\n' | '\t' => shown.push(it),
            '\0'..='\x1f' | '\x7f' => {
                shown.push('^');
                // The letter that makes it with the control key: these are one bit apart.
                shown.push(char::from_u32(u32::from(it) ^ 0x40).unwrap_or('?'));
            }
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "<U+{:04X}>", u32::from(it));
            }
            _ => shown.push(it),
        }
    }
    shown
}

/// The same, of every text in a result.
pub fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(text),
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(entries) => {
            for (name, mut item) in std::mem::take(entries) {
                make_printable(&mut item);
                entries.insert(printable(&name), item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_rewrites_a_screen_is_shown() {
        for (text, shown) in [
            ("plain ü €\ttab\nnext", "plain ü €\ttab\nnext"),
            ("\x1b]0;title\x07\x1b[2J", "^[]0;title^G^[[2J"),
            ("ok\rchanged\x08\0\x7f", "ok^Mchanged^H^@^?"),
            ("\u{9b}31m", "<U+009B>31m"),
            ("user\u{202e}nimda", "user<U+202E>nimda"),
        ] {
            assert_eq!(printable(text), shown);
        }
        let mut value = json!({"a\x1b": ["\x1b[m", {"b": "\r"}, 1, null]});
        make_printable(&mut value);
        assert_eq!(value, json!({"a^[": ["^[[m", {"b": "^M"}, 1, null]}));
    }
}
