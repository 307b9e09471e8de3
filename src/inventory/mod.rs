//! The inventory: reading `hosts` as Ansible reads it, and writing the JSON that Ansible loads.
//!
//! `ansible-inventory --list` on the same file is the measure. [`read`](Hosts::read) takes INI, YAML and
//! JSON; [`output`] writes what Ansible's `script` plugin turns into the same groups, children and variables.

mod address;
mod builder;
mod hosts;
mod ini;
mod literal;
mod mapping;
mod number;
pub mod output;
mod pattern;
mod read;
mod value;
mod words;
mod yaml;

pub use hosts::{Group, Host, HostId, Hosts, Owner};
pub use value::{Value, Variable, Variables};
