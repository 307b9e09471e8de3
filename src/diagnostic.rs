//! What is wrong in an operator's file, and where: one mistake a [`Diagnostic`], all of them in one run.

use std::{fmt, io, sync::Arc};

/// Why a file of the operator's cannot be read, and what to do about it.
pub fn unreadable(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::IsADirectory => "; name a file in it",
        io::ErrorKind::PermissionDenied => "; run this as a user who may read it",
        io::ErrorKind::InvalidData => return "is not UTF-8 text; save it as UTF-8".to_owned(),
        _ => "",
    };
    format!("cannot be read: {error}{remedy}")
}

/// A place in a text file, counted from 1; 0 stands for "the whole file" or "the whole line".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One mistake in a file, displayed as `services.yml:12:5: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The file as the operator named it.
    pub file: Arc<str>,
    /// Line, counted from 1; 0 when the mistake is the file as a whole.
    pub line: usize,
    /// Column in characters, counted from 1; 0 when the mistake is the line as a whole.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// All mistakes of one run.
pub type Diagnostics = Vec<Diagnostic>;

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(file: &Arc<str>, location: Location, message: impl Into<String>) -> Self {
        let Location { line, column } = location;
        Self { file: Arc::clone(file), line, column, message: message.into() }
    }

    /// A mistake of the file as a whole.
    pub fn of_file(file: &Arc<str>, message: impl Into<String>) -> Self {
        Self::new(file, Location::default(), message)
    }

    /// Where it is, as far as that is known: `services.yml:12:5:`.
    pub fn place(&self) -> String {
        let Self { file, line, column, .. } = self;
        match (line, column) {
            (0, _) => format!("{file}:"),
            (_, 0) => format!("{file}:{line}:"),
            _ => format!("{file}:{line}:{column}:"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.place(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_what_it_knows_of_its_place() {
        let file = Arc::from("hosts");
        let at = |line, column| Diagnostic::new(&file, Location { line, column }, "no").to_string();
        assert_eq!(at(12, 5), "hosts:12:5: no");
        assert_eq!(at(12, 0), "hosts:12: no");
        assert_eq!(Diagnostic::of_file(&file, "no").to_string(), "hosts: no");
    }
}
