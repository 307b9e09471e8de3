//! Opens an inventory file and finds out its format.

use super::{Hosts, ini};
use crate::diagnostic::{Diagnostic, Diagnostics};
use std::{path::Path, sync::Arc};

impl Hosts {
    /// Reads an inventory file as Ansible reads it, or reports every mistake in it.
    ///
    /// # Errors
    /// All mistakes found, in the order of the file.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let label: Arc<str> = Arc::from(path.display().to_string());
        let bytes = std::fs::read(path)
            .map_err(|error| vec![Diagnostic::of_file(&label, format!("cannot be read: {error}"))])?;
        let text = String::from_utf8(bytes)
            .map_err(|error| vec![Diagnostic::of_file(&label, format!("is not UTF-8: {error}"))])?;
        Self::parse(&label, &text)
    }

    /// The inventory that a text describes; `label` names it in messages, and its extension tells the format.
    ///
    /// # Errors
    /// All mistakes found, in the order of the file.
    pub fn parse(label: &Arc<str>, text: &str) -> Result<Self, Diagnostics> {
        ini::read(label, text)
    }
}
