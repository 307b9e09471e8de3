//! What a plain scalar means in YAML 1.1, as `PyYAML` resolves and constructs it.

use super::timestamp;
use crate::inventory::mapping::Key;
use crate::text::python::number::{digits_of, integer, without_leading_zeros};

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Integer,
    Float,
    Timestamp,
    Text,
    /// `<<`, `=`, `*` and the like: YAML 1.1 gives them a type that stands for no value.
    Special,
}

/// The type that YAML 1.1 sees in a plain scalar.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "true" | "True" | "TRUE" | "false" | "False"
        | "FALSE" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => Kind::Bool,
        "<<" | "=" | "*" | "&" | "!" => Kind::Special,
        _ if is_float(text) => Kind::Float,
        _ if is_integer(text) => Kind::Integer,
        _ if timestamp::is_timestamp(text) => Kind::Timestamp,
        _ => Kind::Text,
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// Not empty, starting with a digit of the first kind, the rest digits or underscores.
fn is_digits(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit())
        && text.bytes().all(|it| it.is_ascii_digit() || it == b'_')
}

fn is_integer(text: &str) -> bool {
    let number = unsigned(text);
    let all = |digits: &str, allowed: fn(u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|it| it == b'_' || allowed(it))
    };
    if let Some(digits) = number.strip_prefix("0b") {
        return all(digits, |it| matches!(it, b'0' | b'1'));
    }
    if let Some(digits) = number.strip_prefix("0x") {
        return all(digits, |it| it.is_ascii_hexdigit());
    }
    if let Some(digits) = number.strip_prefix('0') {
        return digits.is_empty() || all(digits, |it| (b'0'..=b'7').contains(&it));
    }
    let mut parts = number.split(':');
    parts.next().is_some_and(is_digits) && parts.all(is_sixtieth)
}

/// `0` to `59`, with or without a zero before a single digit.
fn is_sixtieth(part: &str) -> bool {
    match part.as_bytes() {
        [only] => only.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    }
}

fn is_float(text: &str) -> bool {
    if matches!(text, ".nan" | ".NaN" | ".NAN") || matches!(unsigned(text), ".inf" | ".Inf" | ".INF") {
        return true;
    }
    // Without digits before the point there is no sign, and an exponent must have one.
    let Some((whole, rest)) = text.split_once('.') else { return false };
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let fraction_fits = fraction.bytes().all(|it| it.is_ascii_digit() || it == b'_');
    let exponent_fits = exponent.is_none_or(|digits| {
        digits
            .strip_prefix(['-', '+'])
            .is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
    });
    let mut parts = unsigned(whole).split(':');
    let first = parts.next().unwrap_or("");
    let sixtieths: Vec<&str> = parts.collect();
    if first.is_empty() {
        return whole.is_empty() && is_digits(fraction) && exponent_fits;
    }
    let sexagesimal = !sixtieths.is_empty();
    is_digits(first)
        && sixtieths.into_iter().all(is_sixtieth)
        && fraction_fits
        && exponent_fits
        && !(sexagesimal && exponent.is_some())
}

/// The value of a scalar of a type, as a key; timestamps become text in ISO format, as in Ansible's JSON.
pub(super) fn construct(kind: Kind, text: &str) -> Result<Key, String> {
    match kind {
        Kind::Null => Ok(Key::Null),
        Kind::Bool => match text.to_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Key::Bool(true)),
            "no" | "false" | "off" => Ok(Key::Bool(false)),
            _ => Err(format!("{text:?} is no bool")),
        },
        Kind::Integer => python_integer(text).map(Key::Integer),
        Kind::Float => python_float(text).map(Key::Float),
        Kind::Timestamp => timestamp::isoformat(text).map(Key::Date),
        Kind::Text => Ok(Key::Text(text.to_owned())),
        Kind::Special => Err(format!("a plain {text} has a special meaning in YAML; quote it")),
    }
}

fn sign_and_rest(text: &str) -> (bool, String) {
    let plain: String = text.chars().filter(|it| *it != '_').collect();
    (plain.starts_with('-'), unsigned(&plain).to_owned())
}

fn python_integer(text: &str) -> Result<String, String> {
    let (negative, number) = sign_and_rest(text);
    let refused = || format!("{text:?} is no integer, or is beyond 127 bits");
    let based = |digits: &str, radix| {
        i128::from_str_radix(digits, radix).ok().filter(|it| *it >= 0).map(|it| it.to_string())
    };
    let digits = if let Some(digits) = number.strip_prefix("0b") {
        based(digits, 2)
    } else if let Some(digits) = number.strip_prefix("0x") {
        based(digits, 16)
    } else if number.starts_with('0') && number.len() > 1 {
        based(&number, 8)
    } else if number.contains(':') {
        sexagesimal(&number)
    } else {
        digits_of(&number, 10).map(|digits| without_leading_zeros(&digits).to_owned())
    };
    let digits = digits.ok_or_else(refused)?;
    Ok(if negative && digits != "0" { format!("-{digits}") } else { digits })
}

fn sexagesimal(number: &str) -> Option<String> {
    let sum =
        number.split(':').try_fold(0_i128, |sum, part| sum.checked_mul(60)?.checked_add(integer(part)?))?;
    Some(sum.to_string())
}

fn python_float(text: &str) -> Result<f64, String> {
    let (negative, number) = sign_and_rest(&text.to_lowercase());
    let parse = |part: &str| part.trim().parse::<f64>().ok();
    let magnitude = match number.as_str() {
        ".inf" => Some(f64::INFINITY),
        ".nan" => Some(f64::NAN),
        // Summed from the last part on, as PyYAML does, so that it rounds the same.
        parts if parts.contains(':') => parts
            .rsplit(':')
            .try_fold((0.0, 1.0), |(sum, base), part| Some((sum + parse(part)? * base, base * 60.0)))
            .map(|(sum, _)| sum),
        plain => parse(plain),
    };
    let magnitude = magnitude.ok_or_else(|| format!("{text:?} is no number"))?;
    Ok(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_pyyaml() {
        let text = |text: &str| Key::Text(text.to_owned());
        let integer = |text: &str| Key::Integer(text.to_owned());
        let cases = [
            ("yes", Key::Bool(true)),
            ("Off", Key::Bool(false)),
            ("y", text("y")),
            ("tRue", text("tRue")),
            ("~", Key::Null),
            ("", Key::Null),
            ("010", integer("8")),
            ("0o17", text("0o17")),
            ("08", text("08")),
            ("0x_1f", integer("31")),
            ("-0b11", integer("-3")),
            ("1_000", integer("1000")),
            ("12:30", integer("750")),
            ("12:30:45", integer("45045")),
            ("12:60", text("12:60")),
            ("1e3", text("1e3")),
            ("1.0e3", text("1.0e3")),
            ("1.5e+3", Key::Float(1500.0)),
            ("-.5", text("-.5")),
            (".5", Key::Float(0.5)),
            ("1.", Key::Float(1.0)),
            ("-1:30.5", Key::Float(-90.5)),
            ("+.inf", Key::Float(f64::INFINITY)),
            ("1.2.3", text("1.2.3")),
            ("2024-02-29", Key::Date("2024-02-29".to_owned())),
            ("0644", integer("420")),
            ("+0", integer("0")),
        ];
        for (source, expected) in cases {
            assert_eq!(construct(resolve(source), source), Ok(expected), "{source:?}");
        }
        for source in ["0b_", "0x_", "<<", "=", "2024-02-30", "2024-01-01 24:00:00"] {
            assert!(construct(resolve(source), source).is_err(), "{source:?}");
        }
    }
}
