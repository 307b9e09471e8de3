//! The boot configuration of machines that become a cluster by themselves: cloud-config for cloud-init.
//!
//! One template and a few variables. The module and the command `minicluster user-data` share everything here.

mod module;
mod render;
mod request;
mod shared;
#[cfg(test)]
mod tests;

pub use module::UserData;
pub use render::render;
pub use request::{BootRequest, Bundle, check_public_key};
pub use shared::Shared;
