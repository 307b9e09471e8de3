//! Opens an inventory file and finds out its format as Ansible does: YAML first, then INI.

use super::{Hosts, ini, yaml};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::{Node, Value as Shape, load};
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
        Self::parse(&label, &decode(&label, &bytes)?)
    }

    /// The inventory that a text describes; `label` names it in messages, and its extension tells the format:
    /// none, `.yml`, `.yaml` and `.json` may be YAML or INI, all others are INI.
    ///
    /// # Errors
    /// All mistakes found, in the order of the file.
    pub fn parse(label: &Arc<str>, text: &str) -> Result<Self, Diagnostics> {
        let refused = |message: &str| Err(vec![Diagnostic::of_file(label, message)]);
        if text.starts_with("$ANSIBLE_VAULT") {
            return refused(
                "is encrypted as a whole; keep it readable and encrypt single values with !vault",
            );
        }
        let extension = Path::new(&**label).extension().map(|it| it.to_string_lossy().into_owned());
        match extension.as_deref() {
            None | Some("yml" | "yaml" | "json") => {}
            Some("toml") => return refused("is TOML; minicluster reads INI, YAML and JSON"),
            Some(_) => return ini::read(label, text),
        }
        let of_yaml = match read_yaml(label, text) {
            Attempt::Inventory(result) => return result,
            Attempt::OtherYaml => None,
            Attempt::Mistake(mistake) => Some(mistake),
        };
        let like_yaml = extension.is_some() || begins_like_yaml(text);
        match (ini::read(label, text), of_yaml) {
            (Err(_), Some(mistake)) if like_yaml => Err(vec![mistake]),
            (result, _) => result,
        }
    }
}

/// What came of reading a text as YAML.
enum Attempt {
    Inventory(Result<Hosts, Diagnostics>),
    /// YAML, but no mapping: INI to Ansible.
    OtherYaml,
    /// Not YAML: perhaps INI.
    Mistake(Diagnostic),
}

fn read_yaml(label: &Arc<str>, text: &str) -> Attempt {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unusual = yaml::unusual_character(label, text);
    match load(label, text) {
        Ok(root) if is_inventory(&root) => Attempt::Inventory(if let Some(mistake) = unusual {
            Err(vec![mistake])
        } else {
            let json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            yaml::read(label, text, &root, json)
        }),
        Ok(_) => Attempt::OtherYaml,
        Err(mistake) if LIMITS.iter().any(|limit| mistake.message.starts_with(limit)) => {
            Attempt::Inventory(Err(vec![*mistake]))
        }
        Err(mistake) => Attempt::Mistake(unusual.unwrap_or(*mistake)),
    }
}

/// What our loader refuses although it is YAML, and so no INI to Ansible.
const LIMITS: [&str; 3] = ["nested more than", "more than", "an alias inside"];

/// A mapping with anything in it; all else is INI to Ansible.
fn is_inventory(root: &Node) -> bool {
    matches!(&root.value, Shape::Mapping(entries) if !entries.is_empty())
}

/// Whether the first line that says anything is one of YAML rather than INI.
fn begins_like_yaml(text: &str) -> bool {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.is_some_and(|line| {
        let key = line.split_once(": ").map(|(key, _)| key);
        line.starts_with("---")
            || line.starts_with(['{', '%'])
            || line.ends_with(':')
            || key.is_some_and(|key| !key.contains('='))
    })
}

/// The text of the file. Comments may be in another encoding, as Ansible allows in INI.
fn decode(label: &Arc<str>, bytes: &[u8]) -> Result<String, Diagnostics> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_owned());
    }
    let (mut text, mut mistakes) = (String::with_capacity(bytes.len()), Diagnostics::new());
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let readable = String::from_utf8_lossy(line);
        let comment = readable.trim_start().starts_with(['#', ';']);
        if std::str::from_utf8(line).is_err() && !comment {
            let location = crate::diagnostic::Location { line: index + 1, column: 0 };
            mistakes.push(Diagnostic::new(label, location, "is not UTF-8"));
        }
        text.push_str(&readable);
    }
    if mistakes.is_empty() { Ok(text) } else { Err(mistakes) }
}
