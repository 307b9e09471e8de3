//! Options of ssh as an operator writes them into the inventory: words with a shell's quotes.

use anyhow::{Result, bail};

/// Splits a text into words, as a shell would: blanks part, quotes and backslashes protect.
pub fn split(option: &str, text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(it) = rest.next() {
        match (quote, it) {
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(it);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == it => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(rest.next()),
            _ => word.get_or_insert_default().push(it),
        }
    }
    if quote.is_some() {
        bail!("option '{option}': a quote in '{text}' is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn quotes_protect_blanks() {
        let words = split("a", r#"-o 'A=b c' -o "D=\"e f"  g\ h '' "#).unwrap();
        assert_eq!(words, ["-o", "A=b c", "-o", "D=\"e f", "g h", ""]);
        assert!(split("a", "'b").is_err());
    }
}
