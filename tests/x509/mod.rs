//! The X.509 modules as a play runs them, judged by OpenSSL and by Python's `ssl`.

mod cluster;
#[cfg(feature = "fault_points")]
mod faults;
mod index;
mod issue;
mod judge;
mod listing;
mod refuse;
mod renew;
mod revoke;
mod rollover;
mod tls;
mod vault;
