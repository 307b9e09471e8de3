//! Values that must not be shown: a type that cannot be printed.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Bytes that nothing prints: no `Debug`, no `Serialize`, and overwritten when dropped. As the type of
/// an option it takes a string.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
