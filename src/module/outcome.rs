//! What a module reports: the one JSON object on standard output.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::text::Diff;

/// The result of a module that did not fail.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct Outcome {
    /// Whether something changed, or in check mode would.
    pub changed: bool,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// Shown with `--diff`. Never holds a secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Diff>,
    /// Shown as `[WARNING]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The module's own return values.
    #[serde(flatten)]
    pub values: Map<String, Value>,
}

impl Outcome {
    /// Whether something changed, and nothing more yet.
    pub fn new(changed: bool) -> Self {
        Self { changed, ..Self::default() }
    }

    /// With the module's return value `name`.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.values.insert(name.into(), json!(value));
        self
    }

    /// With what `--diff` shows.
    pub fn with_diff(mut self, diff: impl IntoIterator<Item = Diff>) -> Self {
        self.diff.extend(diff);
        self
    }

    /// With what is shown as `[WARNING]`.
    pub fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// An error that says more than its message.
#[derive(Debug)]
pub struct Failure {
    /// For a person.
    pub message: String,
    /// The result's values beside it.
    pub values: Map<String, Value>,
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for Failure {}
