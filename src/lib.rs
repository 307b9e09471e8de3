//! minicluster: identical machines, one inventory, one playbook, a cluster.
//!
//! The crate in reading order. Dependencies point one way: `bin` → domain folders → `module` → `system` → `text`;
//! nothing in a domain folder prints or exits.

// Shell words, hex, durations, Python literals: texts as others write them.
pub mod text;

// Files, accounts, a user's rights, randomness, fault points: what is asked of the system.
pub mod system;

// The protocol of a module: arguments in, plan, check and diff mode, one JSON object out.
pub mod module;

// What is wrong in an operator's file, and where.
pub mod diagnostic;

// YAML with the place of every value.
pub mod yaml;

// `hosts`, read as Ansible reads it, and the JSON that Ansible loads.
pub mod inventory;

// What a host may be called.
pub mod host_name;

// `services.yml`.
pub mod services;

// Who runs where, as a function of the two and of `services.lock`.
pub mod placement;

// The three files together, read and judged.
pub mod workspace;

// The program `minicluster`, which shows them.
pub mod cli;

// What runs on a host, and what was put there.
pub mod node;

// Certificates.
pub mod x509;

// SSH keys, their certificates and their rotation.
pub mod ssh;

// The membership of etcd.
pub mod etcd;

// What machines boot with that become a cluster by themselves.
pub mod user_data;

// How they elect one of them.
pub mod election;

// What they do around that: enrolment, handover, removal of boot secrets.
pub mod enrolment;
