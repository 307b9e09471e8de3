//! What a host knows of itself, and the units that run on it.

mod ledger;

pub use ledger::{Holdings, Ledger, Records};
