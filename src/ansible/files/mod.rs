//! Files as a module writes them: decided before anything is written, visible only when complete, on
//! the disk when the call returns, and never readable by anyone who may not read the final file.

mod attributes;
mod directory;
mod file;
mod json_lines;
mod lock;
mod persisted;
mod read;
mod remove;
mod replace;

pub use attributes::Attributes;
pub use directory::{Directory, DirectoryPlan};
pub use file::{Content, File, FilePlan};
pub use json_lines::{append_json_lines, read_json_lines};
pub use lock::{lock, try_lock};
pub use persisted::Persisted;
pub use read::{read, read_text};
pub use remove::remove;
pub use replace::sync_directory;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
