//! etcd, over gRPC: its JSON gateway does not look at client certificates.

mod client;
mod messages;
mod session;

pub(crate) use session::{Directory, Sources, run};
