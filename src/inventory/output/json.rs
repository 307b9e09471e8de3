//! A compact JSON writer for values that Python's decoder understands: integers of any size, `Infinity`.

use crate::inventory::mapping::json_float;
use crate::inventory::value::Value;
use std::fmt::Write as _;

/// JSON text in the making; objects are opened and closed in turn.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    /// Whether the innermost object or list has an item already.
    filled: bool,
}

impl Writer {
    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn open(&mut self) {
        self.text.push('{');
        self.filled = false;
    }

    pub(super) fn close(&mut self) {
        self.text.push('}');
        self.filled = true;
    }

    pub(super) fn open_key(&mut self, key: &str) {
        self.key(key);
        self.open();
    }

    /// A list of names under a key.
    pub(super) fn names<'a>(&mut self, key: &str, names: impl Iterator<Item = &'a str>) {
        self.key(key);
        self.text.push('[');
        self.filled = false;
        for name in names {
            self.separate();
            self.string(name);
        }
        self.text.push(']');
        self.filled = true;
    }

    /// A variable of the file.
    pub(super) fn value(&mut self, key: &str, value: &Value) {
        self.key(key);
        self.inventory_value(value);
    }

    /// A value of ours.
    pub(super) fn json(&mut self, key: &str, value: &serde_json::Value) {
        self.key(key);
        // Display of a JSON value is its compact text.
        let _ = write!(self.text, "{value}");
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.string(key);
        self.text.push(':');
    }

    fn separate(&mut self) {
        if self.filled {
            self.text.push(',');
        }
        self.filled = true;
    }

    pub(super) fn inventory_value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(bool) => self.text.push_str(if *bool { "true" } else { "false" }),
            Value::Integer(digits) => self.text.push_str(digits),
            Value::Float(number) => self.text.push_str(&json_float(*number)),
            Value::Text(text) | Value::Date(text) => self.string(text),
            Value::Unsafe(text) => self.marked("__ansible_unsafe", text),
            Value::Vault(text) => self.marked("__ansible_vault", text),
            Value::List(items) => {
                self.text.push('[');
                self.filled = false;
                for item in items {
                    self.separate();
                    self.inventory_value(item);
                }
                self.text.push(']');
            }
            Value::Map(pairs) => {
                self.open();
                for (key, value) in pairs {
                    self.value(key, value);
                }
                self.close();
            }
        }
        self.filled = true;
    }

    fn marked(&mut self, mark: &str, text: &str) {
        self.open();
        self.key(mark);
        self.string(text);
        self.close();
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        let mut from = 0;
        for (index, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.text.push_str(&text[from..index]);
            match byte {
                b'"' => self.text.push_str("\\\""),
                b'\\' => self.text.push_str("\\\\"),
                b'\n' => self.text.push_str("\\n"),
                control => {
                    let _ = write!(self.text, "\\u{control:04x}");
                }
            }
            from = index + 1;
        }
        self.text.push_str(&text[from..]);
        self.text.push('"');
    }
}
