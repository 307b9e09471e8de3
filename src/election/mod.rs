//! Machines that share a secret and a number find each other and start one action on one of them.
//!
//! mDNS only *finds* addresses; everything that decides travels over authenticated TCP between members.
//! [`Protocol`] is the whole of the rules: events in, actions out, no clock, socket or disk inside, so that the
//! tests can drive the very type that the program runs. The other files are its edges.
//!
//! In reading order: who a node is (`identity`, `record`), what nodes say (`message`, `session`), what a node
//! keeps (`state`), the rules (`rule`, `peers`, `protocol`), then the edges.

mod command;
mod dialler;
mod discovery;
mod disk;
mod identity;
mod interfaces;
mod link;
mod message;
mod module;
mod note;
mod peers;
mod program;
mod protocol;
mod record;
mod request;
mod rule;
mod run;
mod session;
mod state;
mod wire;

pub use command::main;
pub use identity::NodeId;
pub use message::{Message, Peer, Status};
pub use module::ZeroconfElection;
pub use note::Note;
pub use protocol::{Action, Config, Event, Protocol, Verdict};
pub use record::{Ballot, Digest, Membership, Record};
pub use session::{Hello, SecretKey, Session};
pub use state::{ElectionState, Stage};

/// Milliseconds on a monotonic clock that starts with the process.
pub type Millis = u64;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
