//! The inventory: reading `hosts` as Ansible reads it, and writing the JSON that Ansible loads.
//!
//! `ansible-inventory --list` on the same file is the measure. [`read`](Hosts::read) takes INI, YAML and
//! JSON; [`output`] writes what Ansible's `script` plugin turns into the same groups, children and variables.
//!
//! What Ansible reads and we refuse, each with file, line and column:
//! - values without an equal in JSON, or whose meaning is left to chance: sets, `!!omap`, `!!pairs`, `!!binary`, a
//!   date as a key, `\N{…}` and half surrogate pairs in Python strings, hexadecimal beyond 127 bits, the keys
//!   `__ansible_vault` and `__ansible_unsafe`;
//! - a key that `<<` merges in with two different values where versions of PyYAML disagree on which one counts: in
//!   two mappings of one list, or a key of one character twice (the order of keys is that of PyYAML 6.0.4);
//! - `!unsafe` on more than the value of a variable, and anchors and aliases below it;
//! - names that a published inventory cannot have: a group `_meta`, `ungrouped` below another group, a host
//!   named like a group that would lose its variables or its place to it;
//! - a file that is encrypted as a whole, is TOML, or is a program; text that is not UTF-8 outside comments;
//! - YAML beyond our limits (64 levels, a million values, a value that contains itself, a key of two lines, NEL,
//!   U+2028, U+2029 and byte order marks outside escapes), and more than 200,000 hosts from ranges.
//!
//! A file that is a YAML mapping is YAML, with its mistakes; Ansible would go on to read it as INI. Now and then
//! a malformed file is YAML 1.2, which we read, but not YAML 1.1, which Ansible reads.
//!
//! Dates and keys that are no text become text in the published inventory; [`Hosts::warnings`] says where.
//! `inventory_file` and `inventory_dir` name the program instead of the file.

mod address;
mod builder;
mod hosts;
mod ini;
mod literal;
mod mapping;
pub mod output;
mod pattern;
mod read;
mod value;
mod yaml;

pub use hosts::{Group, Host, HostId, Hosts, Owner};
pub use value::{Value, Variable, Variables};
