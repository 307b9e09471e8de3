//! The encoding of SSH's messages and key files (RFC 4251, section 5): numbers and strings, one after another.

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

/// Bytes being written. Overwritten when dropped: private keys pass through here.
#[derive(Default)]
pub struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// One byte.
    pub fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    /// Four bytes.
    pub fn number(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    /// Eight bytes.
    pub fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }
    /// Bytes with their length before them.
    ///
    /// # Panics
    /// Never: nothing here comes near four gigabytes.
    pub fn string(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let length = u32::try_from(value.len()).unwrap_or_default();
        self.0.extend(length.to_be_bytes());
        self.0.extend(value);
        self
    }
    /// Bytes as they are.
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.0.extend(value);
        self
    }
    /// What was written.
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
    /// What was written, where it is no secret.
    pub fn public(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// Bytes being read.
pub struct Reader<'bytes>(pub &'bytes [u8]);

impl<'bytes> Reader<'bytes> {
    /// So many bytes.
    pub fn raw(&mut self, length: usize) -> Result<&'bytes [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("it is cut short")?;
        self.0 = rest;
        Ok(taken)
    }
    /// One byte.
    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.raw(1)?[0])
    }
    /// Four bytes.
    pub fn number(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.raw(4)?.try_into()?))
    }
    /// Eight bytes.
    pub fn long(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.raw(8)?.try_into()?))
    }
    /// Bytes with their length before them.
    pub fn string(&mut self) -> Result<&'bytes [u8]> {
        let length = self.number()?;
        self.raw(usize::try_from(length)?)
    }
    /// A string that is text.
    pub fn text(&mut self) -> Result<&'bytes str> {
        std::str::from_utf8(self.string()?).context("a text in it is not UTF-8")
    }
    /// Exactly these bytes.
    pub fn expect(&mut self, bytes: &[u8]) -> Result<()> {
        if self.raw(bytes.len())? != bytes {
            bail!("it is something else");
        }
        Ok(())
    }
    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
