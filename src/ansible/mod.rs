//! What every module shares: arguments in, one JSON object out, check mode, diff mode, safe files.

pub mod accounts;
mod arguments;
pub mod convert;
pub mod duration;
pub mod fault;
pub mod files;
#[cfg(test)]
mod fuzz;
mod help;
pub mod hex;
mod limit;
mod module;
pub mod modules;
mod nearest;
mod outcome;
mod printable;
mod program;
pub mod python;
pub mod random;
mod reports;
mod scalar;
pub mod secret;

pub use arguments::{Argument, Arguments, Kind, Spec, take};
pub use module::{Module, Task};
pub use nearest::nearest;
pub use outcome::{Diff, Failure, Outcome};
pub use printable::printable;
pub use program::run;
pub use reports::{LIMIT as REPORT_LIMIT, Reports};
pub use secret::Secret;
