//! What every module shares: arguments in, one JSON object out, check mode, diff mode, safe files.

mod arguments;
mod module;
mod outcome;
mod program;

pub use arguments::{Argument, Arguments, Kind, Spec};
pub use module::{Module, Task};
pub use outcome::{Diff, Outcome};
pub use program::run;
