//! What an attribute's type can do: be read from YAML with every mistake reported, and describe itself.

use std::fmt;

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::{Node, Position, Value};

/// A type that an attribute can have. The same declaration reads `services.yml` and makes the JSON Schema.
pub(super) trait Attribute: Sized {
    /// Reads `node`; what is wrong goes to `mistakes`, and then nothing is returned.
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self>;

    /// What an editor accepts here, as JSON Schema.
    fn schema() -> Json;
}

/// What a message is about, from the inside out: `port of public_endpoints[0] of service 'web'`.
pub(super) enum Place<'a> {
    /// A service.
    Service(&'a str),
    /// An attribute of something.
    Attribute(&'a Place<'a>, &'a str),
    /// An item of a list.
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Place::Service(name) => write!(formatter, "service '{name}'"),
            Place::Attribute(of, name) => write!(formatter, "{name} of {of}"),
            Place::Item(Place::Attribute(of, name), index) => write!(formatter, "{name}[{index}] of {of}"),
            Place::Item(of, index) => write!(formatter, "item {index} of {of}"),
        }
    }
}

/// Reports that `node` is not what belongs here.
pub(super) fn refuse<T>(node: &Node, place: &Place, expected: &str, mistakes: &mut Diagnostics) -> Option<T> {
    mistakes.push(must_be(node, place, expected));
    None
}

fn must_be(node: &Node, place: &Place, expected: &str) -> Diagnostic {
    let quoted = match &node.value {
        Value::Scalar(_, false) => " in quotes",
        _ => "",
    };
    node.position.mistake(format!("{place} must be {expected}, is {}{quoted}", node.description()))
}

impl Attribute for bool {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        // The spellings that Ansible's YAML knows, so that `yes` means the same in every file.
        match node.plain().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes" | "on") => Some(true),
            Some("false" | "no" | "off") => Some(false),
            _ => refuse(node, place, "true or false", mistakes),
        }
    }

    fn schema() -> Json {
        json!({"type": "boolean"})
    }
}

/// A list; items with mistakes are left out.
impl<T: Attribute> Attribute for Vec<T> {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        let Value::Sequence(items) = &node.value else {
            return refuse(node, place, "a list (one '- …' line for each item)", mistakes);
        };
        let read = |(index, item)| T::read(item, &Place::Item(place, index), mistakes);
        Some(items.iter().enumerate().filter_map(read).collect())
    }

    fn schema() -> Json {
        json!({"type": "array", "items": T::schema()})
    }
}

/// Absent, or given.
impl<T: Attribute> Attribute for Option<T> {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::read(node, place, mistakes).map(Some) }
    }

    fn schema() -> Json {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }
}

/// A value that later checks may complain about, with the place where it was written.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub position: Position,
}

impl<T> At<T> {
    /// A default, which nobody wrote.
    pub(super) fn built_in(value: T) -> Self {
        Self { value, position: Position::file("services.yml") }
    }
}

impl<T: Attribute> Attribute for At<T> {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        T::read(node, place, mistakes).map(|value| Self { value, position: node.position.clone() })
    }

    fn schema() -> Json {
        T::schema()
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}
