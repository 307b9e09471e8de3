//! What a command ends with: a text and a status, or mistakes.

use super::text::{Style, Text};
use crate::diagnostic::Diagnostics;

/// What a command prints, and the exit status of the program.
#[derive(Debug)]
pub(super) struct Answer {
    /// For standard output.
    pub(super) text: Text,
    /// Exit status.
    pub(super) status: u8,
}

impl<T: Into<Text>> From<T> for Answer {
    fn from(text: T) -> Self {
        Self { text: text.into(), status: 0 }
    }
}

/// Why a command could not do its work; nothing was printed or written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Mistakes in the operator's files.
    Mistakes(Diagnostics),
    /// Anything else.
    Other(String),
}

impl From<Diagnostics> for Failure {
    fn from(mistakes: Diagnostics) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::Other(message.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(format!("{error:#}"))
    }
}

impl Failure {
    /// For standard error: what is wrong stands out by its place.
    pub(super) fn text(&self) -> Text {
        let mut text = Text::default();
        match self {
            Self::Mistakes(mistakes) => {
                for mistake in mistakes {
                    text.push(Style::Error.of(mistake.place()));
                    text.push(format!(" {}\n", mistake.message));
                }
            }
            Self::Other(message) => {
                text.push(Style::Error.of("minicluster:"));
                text.push(format!(" {message}\n"));
            }
        }
        text
    }
}
