//! The SSH modules as a play runs them, judged by OpenSSH's own programs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod control;
mod rotation;
