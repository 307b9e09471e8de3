//! Everything that is tested as a process: the real programs with real arguments, judged by foreign ones. One program,
//! since each would link the whole crate again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]
#![allow(unreachable_pub, reason = "nothing of a program can be reached")]

mod support;

mod action_plugins;
mod argument_spec;
mod become_user;
mod callback;
mod cli;
mod container_images;
mod docs;
mod earlier;
mod election;
mod enrol;
mod etcd;
mod fall_back;
mod golden;
mod handover;
mod inventory;
mod modules;
mod node_files;
mod node_packages;
mod node_state;
mod placement;
mod placement_module;
mod placement_properties;
mod program;
mod protocol;
mod published;
mod purge;
mod report_role;
mod roles;
mod service_turndown;
mod service_units;
mod service_writes;
mod services;
mod shell;
mod ssh;
mod supply;
mod system_accounts;
mod tree;
mod turndown_role;
mod turns;
mod user_data;
mod x509;
