//! Random bytes of the system, for keys, serial numbers and names.

use anyhow::{Context as _, Result};
use ring::rand::{SecureRandom as _, SystemRandom};

/// So many of them.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Fills memory that is the caller's, such as one that is wiped.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).ok().context("the system has no randomness")
}
