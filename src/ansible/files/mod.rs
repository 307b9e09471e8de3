//! Files as a module writes them: decided before anything is written, visible only when complete, on
//! the disk when the call returns, and never readable by anyone who may not read the final file.

mod attributes;
mod directory;
mod file;
mod lock;
mod remove;
mod replace;

pub use attributes::Attributes;
pub use directory::{Directory, DirectoryPlan};
pub use file::{Content, File, FilePlan};
pub use lock::lock;
pub use remove::remove;
pub use replace::sync_directory;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
