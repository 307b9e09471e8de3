//! YAML 1.1 timestamps, written as Python's `isoformat` writes them: that is how they reach JSON.

/// The parts of a timestamp as text.
struct Parts<'a> {
    date: [&'a str; 3],
    time: Option<Time<'a>>,
}

struct Time<'a> {
    clock: [&'a str; 3],
    fraction: &'a str,
    zone: Option<Zone<'a>>,
}

enum Zone<'a> {
    Utc,
    Offset { negative: bool, hours: &'a str, minutes: &'a str },
}

/// Whether a plain scalar is a timestamp.
pub(super) fn is_timestamp(text: &str) -> bool {
    split(text).is_some_and(|parts| {
        let [_, month, day] = parts.date;
        parts.time.is_some() || (month.len() == 2 && day.len() == 2)
    })
}

/// The timestamp in ISO format; an error where there is no such day or time.
pub(super) fn isoformat(text: &str) -> Result<String, String> {
    split(text).and_then(|parts| format(&parts)).ok_or_else(|| format!("there is no date or time {text:?}"))
}

/// Takes between the least and most number of digits off the front.
fn digits<'a>(text: &mut &'a str, least: usize, most: usize) -> Option<&'a str> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (taken, rest) = text.split_at(count);
    *text = rest;
    (count >= least).then_some(taken)
}

fn eat(text: &mut &str, token: char) -> Option<()> {
    *text = text.strip_prefix(token)?;
    Some(())
}

fn split(text: &str) -> Option<Parts<'_>> {
    let mut rest = text;
    let year = digits(&mut rest, 4, 4)?;
    eat(&mut rest, '-')?;
    let month = digits(&mut rest, 1, 2)?;
    eat(&mut rest, '-')?;
    let date = [year, month, digits(&mut rest, 1, 2)?];
    if rest.is_empty() {
        return Some(Parts { date, time: None });
    }
    rest = match rest.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None => Some(rest.trim_start_matches([' ', '\t'])).filter(|trimmed| trimmed.len() < rest.len())?,
    };
    let hour = digits(&mut rest, 1, 2)?;
    eat(&mut rest, ':')?;
    let minute = digits(&mut rest, 2, 2)?;
    eat(&mut rest, ':')?;
    let clock = [hour, minute, digits(&mut rest, 2, 2)?];
    let fraction = match eat(&mut rest, '.') {
        Some(()) => digits(&mut rest, 0, usize::MAX)?,
        None => "",
    };
    let blanks = rest;
    rest = rest.trim_start_matches([' ', '\t']);
    let zone = match rest.chars().next() {
        None if blanks.is_empty() => None,
        Some('Z') => {
            rest = &rest[1..];
            Some(Zone::Utc)
        }
        Some(sign @ ('-' | '+')) => {
            rest = &rest[1..];
            let hours = digits(&mut rest, 1, 2)?;
            let minutes = if eat(&mut rest, ':').is_some() { digits(&mut rest, 2, 2)? } else { "0" };
            Some(Zone::Offset { negative: sign == '-', hours, minutes })
        }
        _ => return None,
    };
    rest.is_empty().then_some(Parts { date, time: Some(Time { clock, fraction, zone }) })
}

fn format(parts: &Parts) -> Option<String> {
    let [year, month, day] = numbers(parts.date)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > days {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some(time) = &parts.time else { return Some(date) };
    let [hour, minute, second] = numbers(time.clock)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros: String = time.fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
    let fraction = if micros == "000000" { String::new() } else { format!(".{micros}") };
    let zone = match &time.zone {
        None => String::new(),
        Some(Zone::Utc) => "+00:00".to_owned(),
        Some(Zone::Offset { negative, hours, minutes }) => {
            let total: u32 = hours.parse::<u32>().ok()? * 60 + minutes.parse::<u32>().ok()?;
            if total >= 24 * 60 {
                return None;
            }
            let sign = if *negative && total > 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", total / 60, total % 60)
        }
    };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

fn numbers(parts: [&str; 3]) -> Option<[u32; 3]> {
    let [first, second, third] = parts.map(str::parse);
    Some([first.ok()?, second.ok()?, third.ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_python_writes_them() {
        let cases = [
            ("2001-12-14", "2001-12-14"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14T21:59:43.100000-05:00"),
            ("2001-1-4 1:59:43 Z", "2001-01-04T01:59:43+00:00"),
            ("2001-12-14 21:59:43.000", "2001-12-14T21:59:43"),
            ("2001-12-14 21:59:43-0", "2001-12-14T21:59:43+00:00"),
            ("2001-12-14 21:59:43 +1:90", "2001-12-14T21:59:43+02:30"),
        ];
        for (text, expected) in cases {
            assert!(is_timestamp(text), "{text}");
            assert_eq!(isoformat(text).as_deref(), Ok(expected));
        }
        for text in ["2001-1-4", "2001-12-14T", "2001-12-14 21:59", "2001-12-14 21:59:43 ", "01-12-14"] {
            assert!(!is_timestamp(text), "{text}");
        }
    }
}
