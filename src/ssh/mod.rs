//! SSH: rotating the keys that open hosts (`control`, `login`, `rotation`).
//!
//! A rotation adds the new key beside the old, proves it by a real login, and only then revokes the old
//! one, under a rollback that the host carries out by itself unless it is told that all is well.

pub mod authorized_keys;
pub mod ca;
pub mod certificate;
pub mod client;
pub mod control;
pub mod hostname;
pub mod key;
pub mod known_hosts;
pub mod krl;
pub mod login;
pub mod pair;
pub mod rotation;
pub mod sshd;
pub mod trust;
pub mod wire;
