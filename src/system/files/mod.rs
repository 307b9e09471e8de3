//! Files as a module writes them: decided before anything is written, visible only when complete, on
//! the disk when the call returns, and never readable by anyone who may not read the final file.

mod attributes;
mod directory;
mod file;
mod json_lines;
mod lock;
mod persisted;
mod place;
mod private;
mod read;
mod remove;
mod rename;
mod replace;

pub use attributes::Attributes;
pub use directory::{Directory, DirectoryPlan};
pub use file::{Content, File, FilePlan};
pub use json_lines::{JsonLine, JsonLines};
pub use lock::{LockGuard, lock, lock_directory, try_lock};
pub use persisted::Persisted;
pub use place::{resolve, sync_directory};
pub use private::{check_private_directory, read_private};
pub use read::{content, open, read, read_text, read_text_up_to, text};
pub use remove::{remove, remove_empty};
pub use rename::{exchange, rename};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod foreign;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
