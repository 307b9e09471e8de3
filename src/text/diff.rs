//! What `--diff` shows.

use std::fmt::Display;

use serde::Serialize;

/// One file or object before and after.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct Diff {
    /// What the text was; empty: not there.
    pub before: String,
    /// What it will be; empty: gone.
    pub after: String,
    /// Path or name, with what distinguishes it.
    pub before_header: String,
    /// Same, after.
    pub after_header: String,
}

impl Diff {
    /// The same header, a path or a name, for both texts.
    pub fn of(header: impl Display, before: impl Into<String>, after: impl Into<String>) -> Self {
        let header = header.to_string();
        Self {
            before: before.into(),
            after: after.into(),
            before_header: header.clone(),
            after_header: header,
        }
    }
}
