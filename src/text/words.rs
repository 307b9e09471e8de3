//! Splits a line into words, as Python's `shlex.split` does: Ansible reads hosts and arguments of ssh with it.

type Result<T> = std::result::Result<T, String>;

/// A word without its quotes, and the character of the line at which it starts.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Counted from 0.
    pub start: usize,
}

/// The words of a line. Where there may be comments, `#` starts one, in the middle of a word too.
pub fn split(line: &str, comments: bool) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.chars().enumerate();
    while let Some((start, character)) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if comments => break,
            _ => {
                let word = word.get_or_insert(Word { text: String::new(), start });
                match character {
                    '\\' => word.text.push(characters.next().ok_or("nothing follows the backslash")?.1),
                    '\'' | '"' => quoted(&mut characters, character, &mut word.text)?,
                    _ => word.text.push(character),
                }
            }
        }
    }
    words.extend(word);
    Ok(words)
}

/// The rest of a quoted part. Within double quotes a backslash quotes a double quote and a backslash only.
fn quoted(
    characters: &mut impl Iterator<Item = (usize, char)>,
    quote: char,
    text: &mut String,
) -> Result<()> {
    while let Some((_, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok(()),
            '\\' if quote == '"' => {
                let (_, next) = characters.next().ok_or("nothing follows the backslash")?;
                if !matches!(next, '"' | '\\') {
                    text.push('\\');
                }
                text.push(next);
            }
            _ => text.push(character),
        }
    }
    Err(format!("the quotation that {quote} opens is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_comments() {
        let words = |line: &str| -> Vec<String> {
            split(line, true).expect("well-formed").into_iter().map(|word| word.text).collect()
        };
        assert_eq!(words("a  b=1\tc"), ["a", "b=1", "c"]);
        assert_eq!(words("a b='x y' # c"), ["a", "b=x y"]);
        assert_eq!(words("a b=x#y z"), ["a", "b=x"]);
        assert_eq!(words(r#"a "b\"c\d" 'e\f' g\ h '' x''y"#), ["a", r#"b"c\d"#, r"e\f", "g h", "", "xy"]);
        assert!(split("a 'b", true).is_err());
        assert!(split("a \\", true).is_err());
        assert_eq!(split("a#b #c", false).expect("well-formed").len(), 2);
    }
}
