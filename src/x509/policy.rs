//! What certificates shall be like, beside their names.

use anyhow::{Result, bail};
use time::Duration;

use super::{duration, key::KeyType};

/// Lifetime, renewal and key type of leaves. Host and control node are given the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// From issue to `not_after`.
    pub lifetime: Duration,
    /// From `not_before` to issue: clocks differ.
    pub backdate: Duration,
    /// A certificate is renewed when this part of its lifetime is left.
    pub renew_fraction: f64,
    /// The kind of new keys.
    pub key_type: KeyType,
}

impl Policy {
    /// Reads a task's options.
    pub fn new(lifetime: &str, backdate: &str, renew_fraction: f64, key_type: KeyType) -> Result<Self> {
        if !(0.0..1.0).contains(&renew_fraction) {
            bail!("option 'renew_fraction': {renew_fraction} is not a part of a lifetime; write 0.333, say");
        }
        Ok(Self {
            lifetime: duration::parse("lifetime", lifetime)?,
            backdate: duration::parse("backdate", backdate)?,
            renew_fraction,
            key_type,
        })
    }
}
