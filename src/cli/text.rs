//! Text for a person, of which a terminal lets parts stand out. Where it goes elsewhere, it has no colours.

use std::{env, fmt::Display, io::IsTerminal};

use crate::text::printable;

/// How a part stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Heading,
    Warning,
    Error,
}

impl Style {
    /// A part of this style.
    pub(super) fn of(self, text: impl Into<String>) -> Part {
        Part { style: self, text: text.into() }
    }

    /// The parameter of SGR (ECMA-48): bold, yellow, red.
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Heading => Some(1),
            Self::Warning => Some(33),
            Self::Error => Some(31),
        }
    }
}

/// A piece of text in one style.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) style: Style,
    pub(super) text: String,
}

impl<T: Into<String>> From<T> for Part {
    fn from(text: T) -> Self {
        Style::Plain.of(text)
    }
}

/// Parts one after another.
#[derive(Debug, Default)]
pub(super) struct Text(Vec<Part>);

impl Text {
    /// Appends a part.
    pub(super) fn push(&mut self, part: impl Into<Part>) {
        self.0.push(part.into());
    }

    /// Appends a line that begins with the word `warning`.
    pub(super) fn warn(&mut self, message: impl Display) {
        self.push(Style::Warning.of("warning:"));
        self.push(format!(" {message}\n"));
    }

    /// Appends another text.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// For a person. Only the colours given here reach a terminal: what else would rewrite it is shown instead.
    pub(super) fn shown(&self, colours: bool) -> String {
        let show = |part: &Part| match part.style.code().filter(|_| colours) {
            Some(code) => format!("\x1b[{code}m{}\x1b[0m", printable(&part.text)),
            None => printable(&part.text),
        };
        self.0.iter().map(show).collect()
    }

    /// For a program: as it is.
    pub(super) fn raw(self) -> String {
        self.0.into_iter().map(|it| it.text).collect()
    }
}

impl<T: Into<Part>> From<T> for Text {
    fn from(part: T) -> Self {
        Self(vec![part.into()])
    }
}

/// Whether what is written there may have colours: <https://no-color.org>, and terminals that know none.
pub(super) fn colours(stream: &impl IsTerminal) -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    let able = env::var_os("TERM").is_some_and(|it| !it.is_empty() && it != "dumb");
    stream.is_terminal() && able && !refused
}
