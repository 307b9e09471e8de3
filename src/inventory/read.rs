//! Opens an inventory file and finds out its format as Ansible does: YAML first, then INI.

use super::{Hosts, ini, yaml};
use crate::diagnostic::{Diagnostic, Diagnostics, unreadable};
use crate::system::files;
use crate::yaml::{Node, Value as Shape, load, load_with_contested};
use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

impl Hosts {
    /// Reads an inventory file as Ansible reads it, or reports every mistake in it.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let label: Arc<str> = Arc::from(path.display().to_string());
        let bytes =
            files::content(path).map_err(|error| vec![Diagnostic::of_file(&label, unreadable(&error))])?;
        if bytes.starts_with(b"#!") && is_executable(path) {
            let message =
                "is a program, which Ansible would run; minicluster reads INI, YAML and JSON (or chmod -x)";
            return Err(vec![Diagnostic::of_file(&label, message)]);
        }
        Self::parse(&label, &decode(&label, &bytes)?)
    }

    /// The inventory that a text describes; `label` names it in messages, and its extension tells the format:
    /// none, `.yml`, `.yaml` and `.json` may be YAML or INI, all others are INI.
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
    match load_with_contested(label, text) {
        Ok((root, contested)) if is_inventory(&root) => Attempt::Inventory(if let Some(mistake) = unusual {
            Err(vec![mistake])
        } else if !contested.is_empty() {
            Err(contested)
        } else {
            let json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            yaml::read(label, text, &root, json)
        }),
        Ok(_) => Attempt::OtherYaml,
        // YAML, and so no INI to Ansible.
        Err(refusal) if refusal.is_limit => Attempt::Inventory(Err(vec![refusal.mistake])),
        Err(refusal) => match unusual {
            // Ansible's parser may take the character, and so the text for YAML.
            Some(unusual)
                if load(label, &yaml::with_usual_characters(text)).is_ok_and(|it| is_inventory(&it)) =>
            {
                Attempt::Inventory(Err(vec![unusual]))
            }
            unusual => Attempt::Mistake(unusual.unwrap_or(refusal.mistake)),
        },
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn of_text(name: &str, text: &str) -> Result<Hosts, Vec<String>> {
        let found = Hosts::parse(&Arc::from(name), text);
        found.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn of_bytes(bytes: &[u8], mode: u32) -> Result<Hosts, Diagnostics> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts");
        std::fs::write(&path, bytes).expect("it is written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it has a mode");
        Hosts::read(&path)
    }

    #[test]
    fn the_format_is_told_by_extension_and_content() {
        assert!(of_text("hosts.ini", "a: {b: }\n").is_err());
        assert!(of_text("hosts", "[a]\nh\n").is_ok_and(|hosts| hosts.len() == 1));
        assert!(of_text("hosts.yml", "a: {hosts: {h: }}\n").is_ok_and(|hosts| hosts.len() == 1));
        let toml = "hosts.toml: is TOML; minicluster reads INI, YAML and JSON";
        assert_eq!(of_text("hosts.toml", "").err(), Some(vec![toml.to_owned()]));
    }

    #[test]
    fn the_mistake_is_of_the_format_that_was_meant() {
        assert!(of_text("hosts", "all:\n  hosts: {a: \n").is_err_and(|it| it[0].contains("not valid YAML")));
        assert!(of_text("hosts", "[all\n  x\n").is_err_and(|it| it[0].starts_with("hosts:1:1: ")));
        assert!(
            of_text("hosts", "$ANSIBLE_VAULT;1.1;AES256\n33\n").is_err_and(|it| it[0].contains("encrypted"))
        );
    }

    #[test]
    fn what_is_yaml_to_libyaml_by_a_rare_character_is_not_read_as_ini() {
        let texts = ["host1 note='a: \u{feff}b'\n\u{2028}\n", "h: \u{85}a: b\n", "h a: b\n\u{feff} c d\n"];
        for text in texts {
            assert!(
                of_text("hosts", text).is_err_and(|it| it[0].contains("has no place in YAML")),
                "{text:?}"
            );
        }
        assert!(of_text("hosts", "[a]\nh note='\u{7f}'\n").is_ok());
    }

    #[test]
    fn comments_may_be_in_another_encoding() {
        assert!(of_bytes(b"# caf\xe9\n[a]\nh\n", 0o644).is_ok());
        let mistakes = of_bytes(b"[a]\ncaf\xe9\n", 0o644).expect_err("a mistake");
        assert_eq!((mistakes.len(), mistakes[0].line), (1, 2));
    }

    #[test]
    fn a_program_is_no_inventory_file() {
        assert!(of_bytes(b"#!/bin/sh\n", 0o755).is_err());
        assert!(of_bytes(b"#!/bin/sh\n", 0o644).is_ok());
    }
}
