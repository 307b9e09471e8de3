//! Attribute values that are neither texts nor dictionaries: numbers, choices, command lines.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::attribute::{Attribute, Place, refuse};
use super::text::Word;
use crate::diagnostic::Diagnostics;
use crate::text::nearest;
use crate::yaml::{Node, Value};

/// How many instances of a service run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// One on every candidate.
    All,
    /// So many, on hosts chosen among the candidates.
    Limited(usize),
}

impl Attribute for Instances {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        match (node.text(), node.plain().map(str::parse)) {
            (Some("all"), _) => Some(Self::All),
            (_, Some(Ok(number))) if number > 0 => Some(Self::Limited(number)),
            (_, Some(Ok(_))) => refuse(node, place, "at least 1 ('enabled: false' runs none)", mistakes),
            _ => refuse(node, place, "a whole number or 'all'", mistakes),
        }
    }

    fn schema() -> Json {
        json!({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]})
    }
}

impl Serialize for Instances {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Limited(number) => number.serialize(serializer),
        }
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port(pub u16);

impl Attribute for Port {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        match whole(node) {
            Some(port) => Some(Self(port)),
            None => refuse(node, place, "a port from 1 to 65535", mistakes),
        }
    }

    fn schema() -> Json {
        json!({"type": "integer", "minimum": 1, "maximum": 65535})
    }
}

/// Seconds, of which there is at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Seconds(pub u16);

impl Attribute for Seconds {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        match whole(node).filter(|it| (1..=3600).contains(it)) {
            Some(seconds) => Some(Self(seconds)),
            None => refuse(node, place, "seconds from 1 to 3600", mistakes),
        }
    }

    fn schema() -> Json {
        json!({"type": "integer", "minimum": 1, "maximum": 3600})
    }
}

/// A status code of HTTP (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Status(pub u16);

impl Attribute for Status {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        match whole(node).filter(|it| (100..=599).contains(it)) {
            Some(status) => Some(Self(status)),
            None => refuse(node, place, "an HTTP status from 100 to 599", mistakes),
        }
    }

    fn schema() -> Json {
        json!({"type": "integer", "minimum": 100, "maximum": 599})
    }
}

/// A whole number without a leading zero, which YAML 1.1 would take for octal.
fn whole(node: &Node) -> Option<u16> {
    let digits = node.plain().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.filter(|text| !text.starts_with('0')).and_then(|text| text.parse().ok())
}

/// Declares a choice of words.
macro_rules! choice {
    ($(#[doc = $about:literal])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)* }) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word),*];
            /// The word in `services.yml`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl Attribute for $name {
            fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
                match node.text() {
                    $(Some($word) => Some(Self::$variant),)*
                    text => {
                        let mut expected = format!("one of {}", Self::WORDS.join(", "));
                        if let Some(meant) = text.and_then(|text| nearest(text, Self::WORDS.iter().copied())) {
                            expected = format!("{expected} (perhaps '{meant}'?)");
                        }
                        refuse(node, place, &expected, mistakes)
                    }
                }
            }

            fn schema() -> Json {
                json!({"enum": Self::WORDS})
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

choice! {
    /// Which extended key usages a certificate has.
    CertMode {
        /// `clientAuth`
        Client = "client",
        /// `serverAuth`
        Server = "server",
        /// Both.
        Both = "both",
    }
}
choice! {
    /// How the instances behind an endpoint are found.
    Discovery {
        /// From the inventory.
        Static = "static",
        /// From the service registry, at run time.
        Dynamic = "dynamic",
    }
}
choice! {
    /// When systemd starts a container again that has ended.
    Restart {
        /// Whatever its exit status.
        Always = "always",
        /// After an exit status other than 0, or a signal.
        OnFailure = "on-failure",
        /// Never.
        Never = "never",
    }
}
choice! {
    /// The protocol of an endpoint.
    Scheme {
        /// With TLS.
        Https = "https",
        /// Without.
        Http = "http",
    }
}

/// Words of a command line, written as a list or as one text that is split as a shell would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Words(pub Vec<String>);

impl Attribute for Words {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        if let Value::Sequence(_) = node.value {
            let words = Vec::<Word>::read(node, place, mistakes)?;
            return Some(Self(words.into_iter().map(|word| word.0).collect()));
        }
        match node.text().filter(|_| !node.is_null()).and_then(split) {
            Some(words) => Some(Self(words)),
            None => refuse(node, place, "a list of words, or one text with balanced quotes", mistakes),
        }
    }

    fn schema() -> Json {
        json!({"anyOf": [Vec::<Word>::schema(), {"type": ["string", "number", "boolean"]}]})
    }
}

/// Splits at white space outside quotes; `\` takes the next character as it is, except in single quotes.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().push(characters.next()?),
            (_, Some(open)) if open == character => quote = None,
            ('\'' | '"', None) => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_split_as_a_shell_does() {
        for (text, words) in [
            ("", Some(vec![])),
            ("  --cap-add NET_ADMIN ", Some(vec!["--cap-add", "NET_ADMIN"])),
            ("-e 'A=b c' -e \"D=\\\"e\\\"\" f\\ g ''", Some(vec!["-e", "A=b c", "-e", "D=\"e\"", "f g", ""])),
            ("'open", None),
            ("end\\", None),
        ] {
            let words: Option<Vec<String>> = words.map(|w| w.into_iter().map(str::to_owned).collect());
            assert_eq!(split(text), words, "{text}");
        }
    }
}
