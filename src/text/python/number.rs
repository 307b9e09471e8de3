//! Integers as Python's `int()` reads them.

/// `int(text)`: blanks around, a sign, digits with single underscores between them. `None` where Python
/// raises an error, and for numbers beyond 127 bits.
pub fn integer(text: &str) -> Option<i128> {
    let text = super::strip(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits_of(digits, 10)?;
    let number: i128 = plain.parse().ok()?;
    Some(if negative { -number } else { number })
}

/// The digits of a number without its underscores, where they stand between digits only.
pub fn digits_of(text: &str, radix: u32) -> Option<String> {
    let well_placed = !text.is_empty() && text.split('_').all(|part| !part.is_empty());
    let plain: String = text.chars().filter(|it| *it != '_').collect();
    (well_placed && plain.chars().all(|it| it.is_digit(radix))).then_some(plain)
}

/// Decimal digits without the zeros before them.
pub fn without_leading_zeros(digits: &str) -> &str {
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() { "0" } else { significant }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_python_reads_them() {
        let cases = [
            ("7", Some(7)),
            (" -007 ", Some(-7)),
            ("+1_0", Some(10)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("", None),
            ("-", None),
            ("1.0", None),
            ("0x1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }
}
