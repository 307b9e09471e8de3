//! Python's numbers and strings.

use super::parser::Literal;
use crate::text::python::number::{digits_of, without_leading_zeros};

/// A number as its literal says.
pub(super) enum Number {
    /// Decimal digits.
    Integer(String),
    Float(f64),
    Imaginary(f64),
    /// Well-formed, but beyond what is read here.
    Refused(&'static str),
}

/// Python makes no integer of more digits than this.
const MOST_DIGITS: usize = 4300;

/// Whether a character continues a name or number.
pub(super) fn continues_name(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The number that the text starts with, and the rest. A letter must not follow.
pub(super) fn number(text: &str) -> Option<(Number, &str)> {
    let (number, rest) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => based(text, 16)?,
        [b'0', b'o' | b'O', ..] => based(text, 8)?,
        [b'0', b'b' | b'B', ..] => based(text, 2)?,
        _ => decimal(text)?,
    };
    (!rest.starts_with(continues_name)).then_some((number, rest))
}

fn based(text: &str, radix: u32) -> Option<(Number, &str)> {
    let body = &text[2..];
    let end = body.find(|it: char| !continues_name(it)).unwrap_or(body.len());
    let digits = body[..end].strip_prefix('_').unwrap_or(&body[..end]);
    let digits = digits_of(digits, radix)?;
    let number = match u128::from_str_radix(&digits, radix) {
        Ok(number) => Number::Integer(number.to_string()),
        Err(_) => Number::Refused("a hexadecimal, octal or binary number beyond 128 bits"),
    };
    Some((number, &body[end..]))
}

fn decimal(text: &str) -> Option<(Number, &str)> {
    let digits = |from: usize| {
        let rest = &text[from..];
        from + rest.find(|it: char| !it.is_ascii_digit() && it != '_').unwrap_or(rest.len())
    };
    let whole_end = digits(0);
    let mut end = whole_end;
    let whole = &text[..whole_end];
    if !whole.is_empty() {
        digits_of(whole, 10)?;
    }
    let mut is_float = false;
    if text[end..].starts_with('.') {
        let fraction = end + 1;
        end = digits(fraction);
        if end > fraction {
            digits_of(&text[fraction..end], 10)?;
        }
        is_float = true;
    }
    if text[end..].starts_with(['e', 'E']) {
        let mut exponent = end + 1;
        if text[exponent..].starts_with(['+', '-']) {
            exponent += 1;
        }
        end = digits(exponent);
        digits_of(&text[exponent..end], 10)?;
        is_float = true;
    }
    let plain: String = text[..end].chars().filter(|it| *it != '_').collect();
    if text[end..].starts_with(['j', 'J']) {
        return Some((Number::Imaginary(plain.parse().ok()?), &text[end + 1..]));
    }
    if is_float {
        return Some((Number::Float(plain.parse().ok()?), &text[end..]));
    }
    let significant = without_leading_zeros(&plain);
    let padded = plain.starts_with('0') && significant != "0";
    (!padded && plain.len() <= MOST_DIGITS).then(|| (Number::Integer(significant.to_owned()), &text[end..]))
}

/// How a string begins.
pub(super) struct Opening {
    quote_at: usize,
    raw: bool,
    bytes: bool,
}

/// Whether the text starts with a string, and what its prefix says.
pub(super) fn opening(text: &str) -> Option<Opening> {
    let quote_at = text.find(['"', '\''])?;
    let prefix = text[..quote_at].to_ascii_lowercase();
    let (raw, bytes) = match prefix.as_str() {
        "" | "u" => (false, false),
        "r" => (true, false),
        "b" => (false, true),
        "br" | "rb" => (true, true),
        _ => return None,
    };
    Some(Opening { quote_at, raw, bytes })
}

/// The string that the text starts with, and the rest; `None` where it is malformed.
pub(super) fn string<'a>(text: &'a str, opening: &Opening) -> Option<(Literal, &'a str)> {
    let &Opening { quote_at, raw, bytes } = opening;
    let text = &text[quote_at..];
    let single = &text[..1];
    let triple = single.repeat(3);
    let quote = if text.starts_with(&triple) { triple.as_str() } else { single };
    let mut body = &text[quote.len()..];
    let start = body;
    while !body.starts_with(quote) {
        let mut characters = body.chars();
        match characters.next()? {
            '\\' => drop(characters.next()?),
            '\n' if quote.len() == 1 => return None,
            _ => {}
        }
        body = characters.as_str();
    }
    let content = &start[..start.len() - body.len()];
    let rest = &body[quote.len()..];
    let literal = match (bytes, raw) {
        (true, _) if !content.is_ascii() => return None,
        (true, true) => Literal::Bytes(content.as_bytes().to_vec()),
        (false, true) => Literal::Text(content.to_owned()),
        (true, false) => Literal::Bytes(unescape(content, true)?.into_iter().map(low_byte).collect()),
        (false, false) => text_of(&unescape(content, false)?),
    };
    Some((literal, rest))
}

/// Python cuts `\777` in bytes down to a byte.
fn low_byte(code: u32) -> u8 {
    code.to_le_bytes()[0]
}

/// Stands for a character that only Unicode's table of names could tell.
const NAMED: u32 = u32::MAX;

fn text_of(codes: &[u32]) -> Literal {
    if codes.contains(&NAMED) {
        return Literal::Refused("a character by its name (\\N{…}); write it itself, or as \\u…");
    }
    match codes.iter().map(|code| char::from_u32(*code)).collect() {
        Some(text) => Literal::Text(text),
        None => Literal::Refused("half of a surrogate pair is no character"),
    }
}

/// The code points of a string without its backslashes; `None` where Python finds an escape malformed.
fn unescape(content: &str, bytes: bool) -> Option<Vec<u32>> {
    let mut codes = Vec::with_capacity(content.len());
    let mut rest = content.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            codes.push(u32::from(character));
            continue;
        }
        let escaped = rest.next()?;
        let simple = match escaped {
            '\\' | '\'' | '"' => escaped,
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            // The line goes on.
            '\n' => continue,
            '0'..='7' => {
                codes.push(octal(escaped, &mut rest));
                continue;
            }
            'x' => {
                codes.push(hexadecimal(&mut rest, 2)?);
                continue;
            }
            'u' | 'U' if !bytes => {
                let code = hexadecimal(&mut rest, if escaped == 'u' { 4 } else { 8 })?;
                codes.push((code <= 0x0010_ffff).then_some(code)?);
                continue;
            }
            'N' if !bytes => {
                let (name, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                codes.push((!name.is_empty()).then_some(NAMED)?);
                rest = after.chars();
                continue;
            }
            other => {
                codes.push(u32::from('\\'));
                other
            }
        };
        codes.push(u32::from(simple));
    }
    Some(codes)
}

fn octal(first: char, rest: &mut std::str::Chars<'_>) -> u32 {
    let mut code = first.to_digit(8).unwrap_or(0);
    for _ in 0..2 {
        let Some(digit) = rest.as_str().chars().next().and_then(|it| it.to_digit(8)) else { break };
        code = code * 8 + digit;
        rest.next();
    }
    code
}

fn hexadecimal(rest: &mut std::str::Chars<'_>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0, |code, _| Some(code * 16 + rest.next()?.to_digit(16)?))
}
