//! The protocol of a module: arguments in, plan, check mode, diff mode, one JSON object out.

mod arguments;
pub mod by_name;
pub mod convert;
#[cfg(test)]
mod fuzz;
mod help;
pub mod no_log;
mod outcome;
mod process;
mod reports;
mod scalar;
mod steps;

pub use arguments::{Argument, Arguments, Kind, Spec, take};
pub use outcome::{Failure, Outcome};
pub use process::run;
pub use reports::{LIMIT as REPORT_LIMIT, Reports};
pub use steps::{Module, Task};
