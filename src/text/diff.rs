//! What `--diff` shows.

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
