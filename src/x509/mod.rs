//! X.509: who may have which certificate (`service`, `names`, `policy`), what is wrong with the one
//! that is there (`examine`), and the four modules that bring it in order: `x509_request` on the
//! host, `x509_ca` and `x509_sign` on the control node, `x509_install` on the host.
//!
//! Deciding is apart from signing, and both are apart from files. Private keys stay on the host that
//! made them; the control node takes names, usages and lifetime from the inventory alone.

pub mod addresses;
pub mod approval;
pub mod ca;
pub mod certificate;
pub mod crl;
pub mod csr;
pub mod evidence;
pub mod examine;
pub mod group;
pub mod index;
pub mod install;
pub mod installation;
pub mod issue;
pub mod key;
pub mod layout;
pub mod listing;
pub mod messages;
pub mod names;
pub mod owners;
pub mod policy;
pub mod request;
pub mod revocation;
pub mod rollover;
pub mod service;
pub mod sign;
pub mod store;
pub mod trusted_variables;
pub mod unused;
pub mod vault;

pub use crate::text::duration;

// The edges of the modules: clock and randomness enter here.

/// Certificates count in whole seconds.
fn whole_second(moment: time::OffsetDateTime) -> time::OffsetDateTime {
    moment.replace_nanosecond(0).unwrap_or(moment)
}

/// A new serial number of the system's randomness.
fn serial() -> anyhow::Result<issue::Serial> {
    Ok(issue::Serial::new(crate::system::random::bytes()?))
}
