//! The text of an `authorized_keys` file (sshd(8)): keys are added and removed, every other line stays
//! byte for byte.

use super::key::{PublicKey, is_key_type};

/// A file's text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizedKeys {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    text: String,
    /// Options before the key, with the blank behind them.
    options: String,
    key: Option<PublicKey>,
}

impl Line {
    fn read(text: &str) -> Self {
        let trimmed = text.trim_start_matches([' ', '\t']);
        let plain = Self { text: text.into(), options: String::new(), key: None };
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return plain;
        }
        let begin = if is_key_type(trimmed) { 0 } else { options_end(trimmed) };
        let (options, rest) = trimmed.split_at(begin);
        Self { options: options.into(), key: rest.parse().ok(), ..plain }
    }

    fn of(options: &str, key: &PublicKey) -> Self {
        Self { text: format!("{options}{key}"), options: options.into(), key: Some(key.clone()) }
    }

    /// Whether sshd takes the key for a certificate authority and not for a key that opens.
    fn is_authority(&self) -> bool {
        self.options.to_ascii_lowercase().split(',').any(|it| it.trim() == "cert-authority")
    }
}

/// Where options end: at the first blank outside quotes, with all blanks behind it.
fn options_end(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, it) in text.char_indices() {
        match it {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                return text.len() - text[at..].trim_start_matches([' ', '\t']).len();
            }
            _ => {}
        }
        escaped = it == '\\' && !escaped;
    }
    text.len()
}

impl AuthorizedKeys {
    /// Reads a text. What is no key stays as it is.
    pub fn read(text: &str) -> Self {
        Self { lines: text.lines().map(Line::read).collect() }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        self.lines.iter().flat_map(|it| [it.text.as_str(), "\n"]).collect()
    }

    /// Whether `key` opens, with whatever options.
    pub fn has(&self, key: &PublicKey) -> bool {
        self.keys().any(|it| it == key)
    }

    /// The keys that open.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.lines.iter().filter(|it| !it.is_authority()).filter_map(|it| it.key.as_ref())
    }

    /// Adds `key` behind each line with one of `beside`, with the same options (a `from="…"` stays in force, and so does
    /// what another line of the same key allows); where none of these opens, at the end.
    pub fn add(&mut self, key: &PublicKey, beside: &[PublicKey]) {
        let mut options: Vec<String> = self
            .lines
            .iter()
            .filter(|it| it.key.as_ref() == Some(key))
            .map(|it| it.options.clone())
            .collect();
        let mut at = 0;
        while let Some(line) = self.lines.get(at) {
            at += 1;
            if line.key.as_ref().is_some_and(|it| beside.contains(it)) && !options.contains(&line.options) {
                options.push(line.options.clone());
                self.lines.insert(at, Line::of(&line.options, key));
            }
        }
        if !self.has(key) {
            self.lines.push(Line::of("", key));
        }
    }

    /// Removes keys.
    pub fn remove(&mut self, keys: &[PublicKey]) {
        self.lines.retain(|it| it.key.as_ref().is_none_or(|it| !keys.contains(it)));
    }

    /// Removes every key that opens and does not fulfil the condition.
    pub fn retain(&mut self, condition: impl Fn(&PublicKey) -> bool) {
        self.lines.retain(|it| it.is_authority() || it.key.as_ref().is_none_or(&condition));
    }

    /// One line a key, by fingerprint, for a diff.
    pub fn describe(&self) -> String {
        let describe = |it: &Line| {
            let options = it.options.trim_end();
            let options = if options.is_empty() { String::new() } else { format!(" [{options}]") };
            Some(format!("{}{options}\n", it.key.as_ref()?.describe()))
        };
        self.lines.iter().filter_map(describe).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(number: u8) -> PublicKey {
        let blob = crate::ssh::wire::Writer::default().string("ssh-ed25519").string([number; 32]).public();
        PublicKey::from_blob(&blob, &format!("key {number}")).unwrap()
    }

    #[test]
    fn a_key_stands_beside_the_old_one_with_its_options() {
        let options = r#"from="10.0.0.0/8",command="echo \"a b\" # no" "#;
        let before = format!("# mine\n{}\n\n{options}{}\nbroken line\n", key(1), key(2));
        let mut keys = AuthorizedKeys::read(&before);
        assert_eq!(keys.to_text(), before);
        keys.add(&key(3), &[key(2)]);
        keys.add(&key(3), &[]);
        keys.add(&key(4), &[]);
        let after = format!(
            "# mine\n{}\n\n{options}{}\n{options}{}\nbroken line\n{}\n",
            key(1),
            key(2),
            key(3),
            key(4)
        );
        assert_eq!(keys.to_text(), after);
        keys.remove(&[key(2), key(4)]);
        assert_eq!(keys.to_text(), format!("# mine\n{}\n\n{options}{}\nbroken line\n", key(1), key(3)));
    }

    #[test]
    fn each_line_of_the_old_key_has_its_own_options() {
        let (here, there) = (r#"from="10.0.0.0/8" "#, r#"from="192.0.2.7",command="backup" "#);
        let old = key(1);
        let text = format!("{here}{old}\n{}\n{there}{old}\n{old}\n", key(9));
        let mut keys = AuthorizedKeys::read(&text);
        keys.add(&key(2), std::slice::from_ref(&old));
        let after = keys.to_text();
        keys.add(&key(2), std::slice::from_ref(&old));
        assert_eq!(keys.to_text(), after, "once is enough");
        keys.remove(std::slice::from_ref(&old));
        let new = key(2);
        assert_eq!(keys.to_text(), format!("{here}{new}\n{}\n{there}{new}\n{new}\n", key(9)));
        // One that was added by an earlier version, beside the first line only.
        let mut half = AuthorizedKeys::read(&format!("{here}{old}\n{here}{new}\n{there}{old}\n"));
        half.add(&new, std::slice::from_ref(&old));
        assert_eq!(half.to_text(), format!("{here}{old}\n{here}{new}\n{there}{old}\n{there}{new}\n"));
    }

    #[test]
    fn an_authority_does_not_open_and_stays_one() {
        let mut keys = AuthorizedKeys::read(&format!("cert-authority {}\n", key(1)));
        keys.add(&key(2), &[key(1)]);
        assert_eq!(
            keys.to_text(),
            format!("cert-authority {}\ncert-authority {}\n{}\n", key(1), key(2), key(2))
        );
    }

    #[test]
    fn only_what_is_named_stays_and_authorities_are_no_keys() {
        let authority = format!("cert-authority,principals=\"a,b\" {}", key(7));
        let mut keys = AuthorizedKeys::read(&format!("{}\n{authority}\n{}\n", key(1), key(2)));
        assert!(!keys.has(&key(7)));
        keys.retain(|it| *it == key(2));
        assert_eq!(keys.to_text(), format!("{authority}\n{}\n", key(2)));
    }

    #[test]
    fn a_comment_does_not_make_another_key() {
        let mut keys =
            AuthorizedKeys::read(&format!("{}\n", PublicKey { comment: "other".into(), ..key(1) }));
        keys.add(&key(1), &[]);
        assert_eq!(keys.keys().count(), 1);
        assert!(keys.describe().ends_with("ssh-ed25519 other\n"), "{}", keys.describe());
    }
}
