//! YAML as a tree that remembers where everything stands and how it was written.
//!
//! Nothing is resolved here: a scalar keeps its text and whether it was plain, so that each reader
//! decides what `yes` or `010` means. Anchors, aliases and merge keys are applied.

mod load;
mod node;

pub use load::{Refusal, load, load_with_contested, tag};
pub use node::{Entry, Node, Position, Value};
