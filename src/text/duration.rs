//! Lengths of time as an operator writes them: `365d`, `12h`, `90s`, or plain seconds.

use anyhow::{Result, bail};
use time::Duration;

/// Reads a length of time.
pub fn parse(option: &str, text: &str) -> Result<Duration> {
    let (number, unit) = match text.find(|it: char| !it.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => 0,
    };
    // A century is longer than anything here lives, and far from where dates overflow.
    match number.parse::<i64>().ok().and_then(|it| it.checked_mul(seconds)) {
        Some(seconds @ 1..=3_155_760_000) => Ok(Duration::seconds(seconds)),
        _ => bail!(
            "option '{option}': '{text}' is not a length of time; write a number and a unit: 90s, 15m, 12h, 365d, 52w"
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("2d", 172_800), ("1w", 604_800)]
        {
            assert_eq!(parse("lifetime", text).unwrap(), Duration::seconds(seconds), "{text}");
        }
        for text in ["", "d", "0d", "-1d", "1y", "1.5d", "99999999999d", "5 d", "9223372036854775807w"] {
            assert!(parse("lifetime", text).is_err(), "{text}");
        }
    }
}
