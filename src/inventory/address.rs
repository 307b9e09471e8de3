//! What Ansible takes for a host's address: it decides whether `name:22` is a name and a port.

/// Whether the text is a host name or an IPv6 address, with ranges in it or not. IPv4 addresses are host
/// names by this measure.
pub(super) fn is_host_address(text: &str) -> bool {
    is_host_name(text) || is_ipv6(text)
}

fn is_host_name(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Letters, digits, `_` and `-`, and ranges of letters or numbers; neither `-` first nor `-` or `_` last.
fn is_label(label: &str) -> bool {
    let mut rest = label;
    let mut first = true;
    let mut ends_well = false;
    while let Some(character) = rest.chars().next() {
        if character == '[' {
            let Some((range, after)) = rest[1..].split_once(']') else { return false };
            if !is_range(range, is_letter_or_number) {
                return false;
            }
            (rest, ends_well) = (after, true);
        } else {
            let word = character == '_' || character.is_alphanumeric();
            if !word && (first || character != '-') {
                return false;
            }
            (rest, ends_well) = (&rest[character.len_utf8()..], !matches!(character, '-' | '_'));
        }
        first = false;
    }
    ends_well
}

/// `begin:end` or `begin:end:step`, with bounds of one kind.
fn is_range(range: &str, bounds: fn(&str, &str) -> bool) -> bool {
    let parts: Vec<&str> = range.split(':').collect();
    match parts.as_slice() {
        [begin, end] => bounds(begin, end),
        [begin, end, step] => bounds(begin, end) && is_decimal(step),
        _ => false,
    }
}

fn is_letter_or_number(begin: &str, end: &str) -> bool {
    let letter = |text: &str| text.len() == 1 && text.bytes().all(|it| it.is_ascii_alphabetic());
    (letter(begin) && letter(end)) || (is_decimal(begin) && is_decimal(end))
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// The forms of RFC 4291 section 2.2, where a range may stand for a group of digits.
fn is_ipv6(text: &str) -> bool {
    let Some(parts) = split_outside_brackets(text) else { return false };
    let is_part = |part: &&String| is_part(part);
    let quad =
        parts.last().is_some_and(|last| last.split('.').count() == 4 && last.split('.').all(self::is_part));
    if quad {
        let before: Vec<String> = parts[..parts.len() - 1].iter().map(|it| it.to_ascii_lowercase()).collect();
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        return matches!(before.as_slice(), ["", ""] | ["", "", "ffff"])
            || before == ["0"; 6]
            || before == ["0", "0", "0", "0", "0", "ffff"];
    }
    let Some(gap) = parts.iter().position(String::is_empty) else {
        return parts.len() == 8 && parts.iter().all(|part| is_part(&part));
    };
    // `a::b` has one empty part, `a::` and `::b` two, `::` three; all at the gap.
    let (left, right) = (&parts[..gap], &parts[gap + 1..]);
    let all = |side: &[String]| side.iter().all(|part| self::is_part(part));
    match (left, right) {
        ([], [second, rest @ ..]) if second.is_empty() => {
            matches!(rest, [only] if only.is_empty()) || (!rest.is_empty() && rest.len() <= 6 && all(rest))
        }
        ([], _) => false,
        (left, [last]) if last.is_empty() => left.len() <= 6 && all(left),
        (left, right) => !right.is_empty() && left.len() + right.len() <= 7 && all(left) && all(right),
    }
}

fn is_part(part: &str) -> bool {
    match part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(range) => is_range(range, |begin, end| is_hexadecimal(begin) && is_hexadecimal(end)),
        None => part.len() <= 4 && is_hexadecimal(part),
    }
}

/// Splits at colons that are not part of a range; `None` where brackets do not match.
fn split_outside_brackets(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut inside) = (vec![String::new()], false);
    for character in text.chars() {
        match character {
            ':' if !inside => parts.push(String::new()),
            '[' if inside => return None,
            ']' if !inside => return None,
            _ => {
                inside = if character == '[' { true } else { inside && character != ']' };
                parts.last_mut()?.push(character);
            }
        }
    }
    (!inside).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_text() {
        let addresses = [
            "web1",
            "web-1.example.com",
            "web[01:20:2]",
            "10.0.0.[1:9]",
            "é",
            "::",
            "::1",
            "fe80::",
            "1::2",
            "1:2:3:4:5:6:7:8",
            "2001:db8::[a:f]",
            "::ffff:1.2.3.4",
            "0:0:0:0:0:ffff:1.2.3.4",
            "a_b",
            "_a",
        ];
        for text in addresses {
            assert!(is_host_address(text), "{text}");
        }
        let others = [
            "",
            "-a",
            "a-",
            "a_",
            "a..b",
            "a b",
            "a[1:b]",
            "a[1]",
            "1:2",
            ":",
            ":::",
            "1::2::3",
            "12345::",
            "1:2:3:4:5:6:7:8:9",
            "::g",
            "1:2:3:4:5:6:7::8:9",
            "a[1:2",
            "::1:1.2.3.4",
        ];
        for text in others {
            assert!(!is_host_address(text), "{text}");
        }
    }
}
