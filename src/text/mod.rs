//! Texts as others write and read them: shell words, hex, durations, Python literals, terminals. Pure.

mod diff;
pub mod duration;
pub mod hex;
mod nearest;
mod printable;
pub mod python;
pub mod words;

pub use diff::Diff;
pub use nearest::nearest;
pub use printable::{make_printable, printable};
