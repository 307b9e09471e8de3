//! The JSON Schema of `services.yml`, made from the types that read it.

use serde_json::{Value as Json, json};

use super::attribute::Attribute;
use super::service::Service;
use super::text::ServiceName;

/// The schema, for editors and other programs.
pub fn schema() -> Json {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "services.yml",
        "description": "Services of a minicluster by name, with their attributes.",
        "type": ["object", "null"],
        "properties": {
            "include": {
                "description": "Files to read first, relative to this one; what stands here overrides them.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            },
        },
        "propertyNames": {"pattern": ServiceName::PATTERN},
        "additionalProperties": {"anyOf": [{"$ref": "#/$defs/service"}, {"type": "null"}]},
        "$defs": {"service": Service::schema()},
    })
}
