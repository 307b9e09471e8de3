//! The tree.

use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Location};

/// A place in one of several files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file as the operator named it.
    pub file: Arc<str>,
    /// Where in it.
    pub location: Location,
}

impl Position {
    /// A file as a whole.
    pub fn file(file: &str) -> Self {
        Self { file: file.into(), location: Location::default() }
    }

    /// A mistake at this place.
    pub fn mistake(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&self.file, self.location, message)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match (self.location.line, self.location.column) {
            (0, _) => formatter.write_str(&self.file),
            (line, _) => write!(formatter, "{}:{line}", self.file),
        }
    }
}

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// Its tag, such as `!vault` or `tag:yaml.org,2002:str`.
    pub tag: Option<String>,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar: its text after escapes, and whether it was written without quotes or block markers.
    Scalar(String, bool),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values as written; a key that was given twice is there twice.
    Mapping(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Node,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar written without quotes, the only kind that can mean anything but text.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, true) if self.tag.is_none() => Some(text),
            _ => None,
        }
    }

    /// Whether another node has the same content, wherever it stands.
    pub fn is_alike(&self, other: &Self) -> bool {
        let content = match (&self.value, &other.value) {
            (Value::Sequence(ours), Value::Sequence(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| one.is_alike(other))
            }
            (Value::Mapping(ours), Value::Mapping(theirs)) => {
                let alike = |(one, other): (&Entry, &Entry)| {
                    one.key.is_alike(&other.key) && one.value.is_alike(&other.value)
                };
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(alike)
            }
            (ours, theirs) => ours == theirs,
        };
        content && self.tag == other.tag
    }

    /// Whether nothing was written here, or `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// What it is, for an error message.
    pub fn description(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".into(),
            Value::Scalar(text, _) if text.chars().count() > 40 => {
                format!("'{}…'", text.chars().take(40).collect::<String>().escape_debug())
            }
            Value::Scalar(text, _) => format!("'{}'", text.escape_debug()),
            Value::Sequence(_) => "a list".into(),
            Value::Mapping(_) => "a dictionary".into(),
        }
    }
}
