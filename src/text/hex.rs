//! Bytes as hexadecimal digits: serial numbers, key identifiers, digests.

use std::fmt::Write as _;

/// Lower-case digits.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes behind an even number of digits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(encode(&[0, 10, 255]), "000aff");
        assert_eq!(decode("000AFF"), Some(vec![0, 10, 255]));
        assert_eq!((decode("0"), decode("0g"), decode("ää")), (None, None, None));
    }
}
