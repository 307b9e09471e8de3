//! What a program needs of the system that it runs on: files, accounts, a user's rights, randomness, a limit of time.
//! Knows nothing of modules.

pub mod accounts;
mod as_user;
pub mod fault;
pub mod files;
pub mod limit;
pub mod random;
mod secret;

pub use as_user::as_user;
pub use secret::Secret;
