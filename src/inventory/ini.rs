//! Reads an INI inventory: sections of hosts, child groups and variables.

use super::builder::{Builder, Result};
use super::hosts::{GroupId, Hosts, UNGROUPED};
use super::value::Value;
use super::{literal, pattern};
use crate::diagnostic::{Diagnostics, Location};
use crate::text::python::{is_space, strip};
use crate::text::words;
use std::sync::Arc;

/// The inventory that the text describes, or every mistake in it.
pub(super) fn read(file: &Arc<str>, text: &str) -> std::result::Result<Hosts, Diagnostics> {
    let mut reader =
        Reader { builder: Builder::new(file), section: Section::Hosts(UNGROUPED), awaited: Vec::new() };
    for (index, line) in split_lines(text).into_iter().enumerate() {
        let column = 1 + line.chars().take_while(|it| is_space(*it)).count();
        let at = Location { line: index + 1, column };
        if let Err((offset, message)) = reader.line(strip(line), at) {
            reader.builder.error(Location { column: column + offset, ..at }, message);
        }
    }
    reader.report_undeclared();
    reader.builder.finish()
}

/// What the lines of the current section define.
#[derive(Clone, Copy)]
enum Section {
    Hosts(GroupId),
    Children(GroupId),
    Variables(GroupId),
    /// The header was refused; so its lines mean nothing.
    Refused,
}

/// A group that a line names before a section declares it.
struct Awaited {
    name: String,
    location: Location,
    /// The groups it becomes a child of; none when only its variables came first.
    parents: Vec<GroupId>,
}

struct Reader {
    builder: Builder,
    section: Section,
    awaited: Vec<Awaited>,
}

/// A mistake and how many characters into the line it is.
type LineResult = std::result::Result<(), (usize, String)>;

fn at_start(message: String) -> (usize, String) {
    (0, message)
}

impl Reader {
    fn line(&mut self, line: &str, at: Location) -> LineResult {
        if line.is_empty() || line.starts_with([';', '#']) {
            return Ok(());
        }
        if let Some((group, kind)) = section_header(line) {
            self.section = Section::Refused;
            return self.open_section(group, kind, at).map_err(at_start);
        }
        if line.starts_with('[') && line.ends_with(']') {
            self.section = Section::Refused;
            return Err(at_start(format!("{line} is no section header: no spaces, [group] or [group:kind]")));
        }
        // Among variables it may be a name.
        let is_variable = matches!(self.section, Section::Variables(_)) && line.contains('=');
        if line.starts_with('[') && !line.contains(']') && !is_variable {
            self.section = Section::Refused;
            return Err(at_start(format!(
                "{line} is a section header without its end: write [group] or [group:kind]"
            )));
        }
        match self.section {
            Section::Hosts(group) => self.host_line(line, group, at),
            Section::Children(parent) => self.child_line(line, parent, at).map_err(at_start),
            Section::Variables(group) => self.variable_line(line, group, at),
            Section::Refused => Ok(()),
        }
    }

    fn open_section(&mut self, name: &str, kind: Option<&str>, at: Location) -> Result<()> {
        let declares = match kind {
            None | Some("hosts" | "children") => true,
            Some("vars") => false,
            Some(other) => {
                return Err(format!("section [{name}:{other}]: {other} is not one of hosts, children, vars"));
            }
        };
        let known = self.builder.group_id(name);
        if known.is_none() && !declares && !self.awaited.iter().any(|it| it.name == name) {
            self.awaited.push(Awaited { name: name.to_owned(), location: at, parents: Vec::new() });
        }
        let group = self.builder.add_group(name, at)?;
        self.section = match kind {
            Some("children") => Section::Children(group),
            Some("vars") => Section::Variables(group),
            _ => Section::Hosts(group),
        };
        if declares {
            self.resolve_awaited(name, group)?;
        }
        Ok(())
    }

    /// The group is declared now: whoever named it before gets it as a child.
    fn resolve_awaited(&mut self, name: &str, group: GroupId) -> Result<()> {
        let Some(index) = self.awaited.iter().position(|it| it.name == name) else { return Ok(()) };
        for parent in self.awaited.remove(index).parents {
            self.builder.add_child(parent, group)?;
        }
        Ok(())
    }

    fn host_line(&mut self, line: &str, group: GroupId, at: Location) -> LineResult {
        let mut words = words::split(line, true).map_err(at_start)?.into_iter();
        let Some(first) = words.next() else { return Ok(()) };
        let pattern = pattern::expand(&first.text).map_err(at_start)?;
        if pattern.port.is_none() && first.text.trim_end_matches(is_space).ends_with(':') {
            return Err((0, format!("{:?} ends in ':', which a port must follow", first.text)));
        }
        if pattern.names.iter().any(|name| strip(name) == "---") {
            return Err((0, "`---` begins YAML, but the file is not a YAML mapping".to_owned()));
        }
        let mut variables: Vec<(String, Value, usize)> = Vec::new();
        for word in words {
            let Some((name, text)) = word.text.split_once('=') else {
                return Err((word.start, format!("expected name=value, found {:?}", word.text)));
            };
            let value = literal::evaluate(text).map_err(|message| (word.start, message))?;
            variables.push((name.to_owned(), value, word.start));
        }
        for name in &pattern.names {
            self.builder.add_host(name, group, pattern.port.as_deref(), at).map_err(at_start)?;
            for (variable, value, start) in &variables {
                let location = Location { column: at.column + start, ..at };
                self.builder
                    .set_variable(name, variable, value.clone(), location)
                    .map_err(|message| (*start, message))?;
            }
        }
        Ok(())
    }

    fn child_line(&mut self, line: &str, parent: GroupId, at: Location) -> Result<()> {
        let Some(name) = group_name(line) else {
            return Err(format!("expected the name of a group, found {line:?}"));
        };
        if let Some(child) = self.builder.group_id(name) {
            return self.builder.add_child(parent, child);
        }
        if let Some(awaited) = self.awaited.iter_mut().find(|it| it.name == name) {
            awaited.parents.push(parent);
        } else {
            let (name, parents) = (name.to_owned(), vec![parent]);
            self.awaited.push(Awaited { name, location: at, parents });
        }
        Ok(())
    }

    fn variable_line(&mut self, line: &str, group: GroupId, at: Location) -> LineResult {
        let Some((name, text)) = line.split_once('=') else {
            return Err((0, format!("expected name=value, found {line:?}")));
        };
        let value_at = name.chars().count() + 1;
        let value = literal::evaluate(strip(text)).map_err(|message| (value_at, message))?;
        let owner = self.builder.hosts.groups[group].name.clone();
        self.builder.set_variable(&owner, strip(name), value, at).map_err(|message| (value_at, message))
    }

    fn report_undeclared(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            let name = &awaited.name;
            let message = if awaited.parents.is_empty() {
                format!("section [{name}:vars], but no section declares the group {name}: add [{name}]")
            } else {
                format!("group {name} is named as a child, but no section declares it: add [{name}]")
            };
            self.builder.error(awaited.location, message);
        }
    }
}

/// `[group]` or `[group:kind]` with nothing but a comment after it.
fn section_header(line: &str) -> Option<(&str, Option<&str>)> {
    let inner = line.strip_prefix('[')?;
    let end = inner.find(|it: char| it == ':' || it == ']' || is_space(it))?;
    let (group, rest) = inner.split_at(end);
    let (kind, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let end = rest.find(|it: char| !(it == '_' || it.is_alphanumeric()))?;
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, rest),
    };
    let after = rest.strip_prefix(']')?.trim_start_matches(is_space);
    let complete = !group.is_empty() && kind != Some("") && (after.is_empty() || after.starts_with('#'));
    complete.then_some((group, kind))
}

/// A group's name with nothing but a comment after it.
fn group_name(line: &str) -> Option<&str> {
    let end = line.find(|it: char| it == ':' || it == ']' || is_space(it)).unwrap_or(line.len());
    // A comment needs no blank before it, but a name takes all it can get.
    let (name, rest) = line.split_at(end);
    let after = rest.trim_start_matches(is_space);
    if !name.is_empty() && (after.is_empty() || after.starts_with('#')) {
        return Some(name);
    }
    // As a regular expression would, try a shorter name with the comment starting inside it.
    let hash = name.char_indices().skip(1).filter(|(_, it)| *it == '#').map(|(index, _)| index).last()?;
    Some(&name[..hash])
}

/// The lines of a text where Python's `str.splitlines` ends them.
fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends = |it: char| {
            matches!(it, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
        };
        let Some(end) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        lines.push(&rest[..end]);
        let after = &rest[end..];
        rest = after.strip_prefix("\r\n").unwrap_or_else(|| {
            let mut characters = after.chars();
            characters.next();
            characters.as_str()
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let found = read(&Arc::from("hosts"), text).expect_err("mistakes");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let text = "web1 port\n[a b]\n[x:what]\nignored here\n[a]\n  w[1:2:3:4] x=1\n[a:vars]\nnovalue\n\
                    [b:children]\nnowhere\nb\n[c:vars]\n";
        assert_eq!(
            errors(text),
            [
                "hosts:1:6: expected name=value, found \"port\"",
                "hosts:2:1: [a b] is no section header: no spaces, [group] or [group:kind]",
                "hosts:3:1: section [x:what]: what is not one of hosts, children, vars",
                "hosts:6:3: range [1:2:3:4] is not [begin:end] or [begin:end:step]",
                "hosts:8:1: expected name=value, found \"novalue\"",
                "hosts:10:1: group nowhere is named as a child, but no section declares it: add [nowhere]",
                "hosts:11:1: b as a child of b makes a circle: b is below b",
                "hosts:12:1: section [c:vars], but no section declares the group c: add [c]",
            ]
        );
    }

    #[test]
    fn a_header_without_its_end_is_one_all_the_same() {
        assert_eq!(
            errors("[core\nhost1 x\n[a]\nh\n"),
            ["hosts:1:1: [core is a section header without its end: write [group] or [group:kind]"]
        );
    }

    #[test]
    fn headers_are_recognized_as_ansible_recognizes_them() {
        assert_eq!(section_header("[web]"), Some(("web", None)));
        assert_eq!(section_header("[web:vars]  # x"), Some(("web", Some("vars"))));
        assert_eq!(section_header("[a#b]"), Some(("a#b", None)));
        for line in ["[web] ; x", "[web :vars]", "[]", "[a:]", "[a:b:c]", "web", "[a] b", "[a"] {
            assert_eq!(section_header(line), None, "{line}");
        }
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        assert_eq!(split_lines("a\r\nb\rc\u{2028}d\n\ne"), ["a", "b", "c", "d", "", "e"]);
        assert_eq!(split_lines("a\n"), ["a"]);
    }
}
