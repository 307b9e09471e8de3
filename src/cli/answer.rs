//! What a command ends with: a text and a status, or mistakes.

use std::fmt;

use crate::diagnostic::Diagnostics;

/// What a command prints, and the exit status of the program.
#[derive(Debug)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// Exit status.
    pub status: u8,
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text, status: 0 }
    }
}

/// Why a command could not do its work; nothing was printed or written.
#[derive(Debug)]
pub enum Failure {
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

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => {
                let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                formatter.write_str(&lines.join("\n"))
            }
            Self::Other(message) => write!(formatter, "minicluster: {message}"),
        }
    }
}
