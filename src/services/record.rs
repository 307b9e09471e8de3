//! Dictionaries with known keys: declared once, read, documented and described from that declaration.

use serde_json::{Value as Json, json};

use super::attribute::{Attribute, Place, refuse};
use crate::diagnostic::Diagnostics;
use crate::text::nearest;
use crate::yaml::{Entry, Node};

/// Declares a dictionary of `services.yml`. A field without `= default` is mandatory.
macro_rules! record {
    ($(#[doc = $about:literal])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* pub $field:ident: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, serde::Serialize)]
        pub struct $name { $($(#[doc = $doc])* pub $field: $type,)* }

        impl $crate::services::attribute::Attribute for $name {
            fn read(
                node: &$crate::yaml::Node,
                place: &$crate::services::attribute::Place,
                mistakes: &mut $crate::diagnostic::Diagnostics,
            ) -> Option<Self> {
                let names = [$($crate::services::record::record!(@name $field)),*];
                let fields = $crate::services::record::Fields::of(node, place, &names, mistakes)?;
                $(let $field: Option<$type> = fields.read(
                    $crate::services::record::record!(@name $field),
                    $crate::services::record::record!(@default $($default)?),
                    mistakes,
                );)*
                Some(Self { $($field: $field?,)* })
            }

            fn schema() -> serde_json::Value {
                let mut schema = $crate::services::record::RecordSchema::new(concat!($($about),*));
                $(schema.property(
                    $crate::services::record::record!(@name $field),
                    concat!($($doc),*),
                    <$type as $crate::services::attribute::Attribute>::schema(),
                    $crate::services::record::record!(@json $type $(, $default)?),
                );)*
                schema.finish()
            }
        }
    };
    (@name $field:ident) => { stringify!($field).trim_start_matches("r#") };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
    (@json $type:ty) => { None };
    (@json $type:ty, $default:expr) => {{ let default: $type = $default; Some(serde_json::json!(default)) }};
}
pub(crate) use record;

/// The entries of a dictionary, their names already checked.
pub(super) struct Fields<'a> {
    node: &'a Node,
    entries: &'a [Entry],
    place: &'a Place<'a>,
    /// Names that were probably meant by unknown ones, so that they are not also reported as missing.
    meant: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Checks that `node` is a dictionary with keys among `names`.
    pub(super) fn of(
        node: &'a Node,
        place: &'a Place,
        names: &[&str],
        mistakes: &mut Diagnostics,
    ) -> Option<Self> {
        let Some(entries) = node.entries() else {
            return refuse(node, place, "a dictionary of attributes", mistakes);
        };
        let mut meant = Vec::new();
        for Entry { key, .. } in entries {
            let name = key.text().unwrap_or_default();
            if names.contains(&name) {
                continue;
            }
            let advice = match nearest(name, names.iter().copied()) {
                Some(near) => {
                    meant.push(near.to_owned());
                    format!("; did you mean '{near}'?")
                }
                None => format!("; known attributes: {}", names.join(", ")),
            };
            let what = key.description();
            mistakes.push(key.position.mistake(format!("unknown attribute {what} in {place}{advice}")));
        }
        Some(Self { node, entries, place, meant })
    }

    /// The attribute `name`, or its default; without a default it must be given. After a mistake its
    /// default stands in, so that later checks see the rest.
    pub(super) fn read<T: Attribute>(
        &self,
        name: &str,
        default: Option<T>,
        mistakes: &mut Diagnostics,
    ) -> Option<T> {
        match self.entries.iter().find(|entry| entry.key.text() == Some(name)) {
            Some(entry) => T::read(&entry.value, &Place::Attribute(self.place, name), mistakes).or(default),
            None if default.is_some() || self.meant.iter().any(|meant| meant == name) => default,
            None => {
                mistakes.push(self.node.position.mistake(format!("{} lacks '{name}'", self.place)));
                None
            }
        }
    }
}

/// A JSON Schema object under construction.
pub(super) struct RecordSchema {
    about: &'static str,
    properties: serde_json::Map<String, Json>,
    required: Vec<&'static str>,
}

impl RecordSchema {
    /// An object described by `about`.
    pub(super) fn new(about: &'static str) -> Self {
        Self { about, properties: serde_json::Map::new(), required: Vec::new() }
    }

    /// Adds a property.
    pub(super) fn property(
        &mut self,
        name: &'static str,
        doc: &str,
        mut schema: Json,
        default: Option<Json>,
    ) {
        schema["description"] = json!(doc.trim());
        match default {
            Some(default) => schema["default"] = default,
            None => self.required.push(name),
        }
        self.properties.insert(name.into(), schema);
    }

    /// The finished schema.
    pub(super) fn finish(self) -> Json {
        let (about, properties) = (self.about.trim(), self.properties);
        let mut schema = json!({
            "type": "object", "description": about, "properties": properties, "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        schema
    }
}
