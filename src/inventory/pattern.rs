//! Host patterns as Ansible expands them: `web[01:20:2].example.com:2222`.

use super::address::is_host_address;
use super::builder::{MOST_HOSTS, Result};
use crate::text::python::number::{integer, without_leading_zeros};

/// Deepest nesting of ranges in one pattern.
const MOST_RANGES: usize = 8;

/// The host names that a pattern stands for, and the port that it gives all of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Names, in order.
    pub names: Vec<String>,
    /// Port, in decimal digits.
    pub port: Option<String>,
}

/// Expands a pattern. What is no address is a literal name, as in Ansible.
pub(super) fn expand(pattern: &str) -> Result<Pattern> {
    let (host, port) = split_port(pattern);
    let mut names = Vec::new();
    if host.contains('[') {
        expand_ranges(host, 0, &mut names)?;
    } else {
        names.push(host.to_owned());
    }
    Ok(Pattern { names, port })
}

/// Cuts a port off where the rest is an address: `[::1]:22`, `web1:22`; not `::1`, not `we!rd:22`.
fn split_port(pattern: &str) -> (&str, Option<String>) {
    let (mut host, mut port) = (pattern, None);
    if let Some((inner, digits)) = pattern.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"))
        && !inner.is_empty()
        && is_port(digits)
    {
        (host, port) = (inner, Some(digits));
    }
    // Ansible looks for a second port inside the brackets, too.
    if let Some((before, digits)) = host.rsplit_once(':')
        && is_port(digits)
        && is_free_of_colons(before)
    {
        (host, port) = (before, Some(digits));
    }
    match port {
        Some(digits) if is_host_address(host) => (host, Some(without_leading_zeros(digits).to_owned())),
        _ => (pattern, None),
    }
}

fn is_port(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())
}

/// Whether colons and brackets occur only as complete `[…]` parts.
fn is_free_of_colons(text: &str) -> bool {
    let mut inside = false;
    for character in text.chars() {
        match (inside, character) {
            (false, '[') => inside = true,
            (false, ':' | ']') => return false,
            (true, ']') => inside = false,
            _ => {}
        }
    }
    !inside
}

fn expand_ranges(pattern: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    // Bars take the place of brackets, so that a bar in the name is a mistake as it is in Ansible.
    let barred = pattern.replacen('[', "|", 1).replacen(']', "|", 1);
    let parts: Vec<&str> = barred.split('|').collect();
    let &[head, range, tail] = parts.as_slice() else {
        return Err(format!("{pattern:?} is not a host name with ranges such as web[01:20]"));
    };
    if depth == MOST_RANGES {
        return Err(format!("more than {MOST_RANGES} ranges in one host pattern"));
    }
    for item in range_items(range)? {
        let name = format!("{head}{item}{tail}");
        if name.contains('[') {
            expand_ranges(&name, depth + 1, names)?;
        } else {
            names.push(name);
        }
        if names.len() > MOST_HOSTS {
            return Err(format!("range [{range}] stands for more than {MOST_HOSTS} hosts"));
        }
    }
    Ok(())
}

/// The items of `begin:end` or `begin:end:step`.
fn range_items(range: &str) -> Result<Vec<String>> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match *bounds.as_slice() {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err(format!("range [{range}] is not [begin:end] or [begin:end:step]")),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err(format!("range [{range}] has no end"));
    }
    let width = begin.chars().count();
    let padded = begin.starts_with('0') && width > 1;
    if padded && width != end.chars().count() {
        return Err(format!("range [{range}]: begin and end have different numbers of digits"));
    }
    let step = integer(step).filter(|step| *step != 0);
    let step = step.ok_or_else(|| format!("range [{range}]: the step is not a number other than 0"))?;
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        return letters(range, first, last, step);
    }
    let bound = |text| integer(text).ok_or_else(|| format!("range [{range}]: {text:?} is not a number"));
    numbers(range, bound(begin)?, bound(end)?, step, if padded { width } else { 0 })
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The place of a letter. Ansible finds several consecutive letters, too, and takes the first.
fn letter(text: &str) -> Option<usize> {
    LETTERS.find(text)
}

fn letters(range: &str, first: usize, last: usize, step: i128) -> Result<Vec<String>> {
    if first > last {
        return Err(format!("range [{range}] ends before it begins"));
    }
    // Python's slice with a negative step runs the other way and so is empty here.
    let Ok(step) = usize::try_from(step) else { return Ok(Vec::new()) };
    Ok(LETTERS[first..=last].chars().step_by(step).map(String::from).collect())
}

fn numbers(range: &str, begin: i128, end: i128, step: i128, width: usize) -> Result<Vec<String>> {
    let mut items = Vec::new();
    let Some(limit) = end.checked_add(1) else { return Err(format!("range [{range}] is too large")) };
    let mut next = begin;
    while if step > 0 { next < limit } else { next > limit } {
        if items.len() == MOST_HOSTS {
            return Err(format!("range [{range}] stands for more than {MOST_HOSTS} hosts"));
        }
        items.push(if next < 0 { format!("{next:0width$}") } else { format!("{next:0>width$}") });
        let Some(following) = next.checked_add(step) else { break };
        next = following;
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        expand(pattern).expect("a pattern").names
    }

    #[test]
    fn ranges_expand() {
        assert_eq!(names("web[01:05:2].x"), ["web01.x", "web03.x", "web05.x"]);
        assert_eq!(names("[a:c]"), ["a", "b", "c"]);
        assert_eq!(names("[y:B]"), ["y", "z", "A", "B"]);
        assert_eq!(names("r[1:2]-[a:b]"), ["r1-a", "r1-b", "r2-a", "r2-b"]);
        assert_eq!(names("[:2]"), ["0", "1", "2"]);
        assert_eq!(names("[5:1:-1]"), ["5", "4", "3"]);
        assert_eq!(names("[5:1]"), [""; 0]);
        assert_eq!(names("plain"), ["plain"]);
    }

    #[test]
    fn a_range_that_ansible_refuses_is_refused() {
        for pattern in
            ["[1]", "[1:2:3:4]", "[1:]", "[01:100]", "[1:2:0]", "[a:5]", "[c:a]", "w[1:2", "a|[1:2]"]
        {
            assert!(expand(pattern).is_err(), "{pattern}");
        }
        assert!(expand("[1:9999999999999999999]").is_err());
        assert!(expand("[0:999][0:999]").is_err());
    }

    #[test]
    fn a_port_is_cut_off_an_address_only() {
        let split = |pattern| {
            let found = expand(pattern).expect("a pattern");
            (found.names[0].clone(), found.port)
        };
        let cases = [
            ("web1:2222", "web1", Some("2222")),
            ("[2001:db8::1]:22", "2001:db8::1", Some("22")),
            ("2001:db8::1", "2001:db8::1", None),
            ("::1:22", "::1:22", None),
            ("web_:22", "web_:22", None),
            ("web:0022", "web", Some("22")),
            ("[web:23]:22", "web", Some("23")),
            ("10.0.0.1:22", "10.0.0.1", Some("22")),
        ];
        for (pattern, name, port) in cases {
            assert_eq!(split(pattern), (name.to_owned(), port.map(str::to_owned)), "{pattern}");
        }
    }
}
