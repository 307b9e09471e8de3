//! Reads a YAML or JSON inventory: groups with their hosts, children and variables.

mod construct;
mod scalar;
mod strict;
mod timestamp;

use super::builder::Builder;
use super::hosts::{GroupId, Hosts};
use super::mapping::Key;
use super::pattern;
use super::value::Value;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::{Node, Value as Shape};
use construct::{Constructor, Pair};
use std::sync::Arc;
pub(super) use strict::{unusual_character, with_usual_characters};

/// The inventory in a tree whose root is a mapping, or every mistake in it.
pub(super) fn read(file: &Arc<str>, text: &str, root: &Node, json: bool) -> Result<Hosts, Diagnostics> {
    let constructor = Constructor { json, warnings: Vec::new() };
    let mut reader = Reader { builder: Builder::new(file), constructor };
    reader.builder.errors = strict::check(file, text);
    if let Err(mistake) = reader.document(root) {
        reader.builder.errors.push(mistake);
    }
    reader.builder.hosts.warnings = reader.constructor.warnings;
    reader.builder.finish()
}

struct Reader {
    builder: Builder,
    constructor: Constructor,
}

type Step<T = ()> = Result<T, Diagnostic>;

/// What stands where a mapping is expected.
enum Section<'a> {
    Absent,
    /// A bare name stands for a mapping with that key alone.
    Name(String),
    Mapping(Vec<Pair<'a>>),
}

impl Reader {
    fn document(&mut self, root: &Node) -> Step {
        reject_unsafe(root)?;
        let pairs = self.constructor.pairs(root)?;
        if let Some(plugin) = pairs.iter().find(|pair| pair.key == Key::Text("plugin".to_owned()))
            && !is_falsy(&self.constructor.value(plugin.value, false)?)
        {
            return Err(plugin.key_node.position.mistake(
                "this configures an inventory plugin; minicluster reads only hosts, groups and variables",
            ));
        }
        for pair in &pairs {
            if let Err(mistake) = self.group(pair) {
                self.builder.errors.push(mistake);
            }
        }
        Ok(())
    }

    /// A group with all that is below it; `None` where Ansible skips it with a warning.
    fn group(&mut self, pair: &Pair) -> Step<Option<GroupId>> {
        let at = &pair.key_node.position;
        let pairs = match self.shape(pair.value)? {
            Shaped::Null => Vec::new(),
            Shaped::Mapping(pairs) => pairs,
            Shaped::Other(_) => {
                let name = pair.key.json_name();
                self.builder
                    .warn(at.location, format!("{name} is no mapping and so no group; it is ignored"));
                return Ok(None);
            }
        };
        let name = text_key(pair, "the name of a group")?;
        let group = self.builder.add_group(name, at.location).map_err(|message| at.mistake(message))?;
        for part in &pairs {
            if let Err(mistake) = self.part(group, name, part) {
                self.builder.errors.push(mistake);
            }
        }
        Ok(Some(group))
    }

    /// One of a group's `hosts`, `children` and `vars`. Other keys are ignored, as in Ansible.
    fn part(&mut self, group: GroupId, name: &str, part: &Pair) -> Step {
        let key = part.key.json_name();
        if !matches!(key.as_str(), "hosts" | "children" | "vars") || !matches!(part.key, Key::Text(_)) {
            self.constructor.value(part.value, false)?;
            let message = format!("{key} in group {name} is not one of hosts, children, vars; it is ignored");
            self.builder.warn(part.key_node.position.location, message);
            return Ok(());
        }
        let pairs = match self.section(part, name)? {
            Section::Absent => return Ok(()),
            Section::Name(text) => return self.bare_name(group, name, part, &text),
            Section::Mapping(pairs) => pairs,
        };
        for pair in &pairs {
            let done = match key.as_str() {
                "hosts" => self.host(group, pair),
                "children" => self.child(group, pair),
                _ => self.variable(name, pair),
            };
            if let Err(mistake) = done {
                self.builder.errors.push(mistake);
            }
        }
        Ok(())
    }

    fn section<'a>(&mut self, part: &Pair<'a>, group: &str) -> Step<Section<'a>> {
        match self.shape(part.value)? {
            Shaped::Null => Ok(Section::Absent),
            Shaped::Mapping(pairs) => Ok(Section::Mapping(pairs)),
            Shaped::Other(Value::Text(text) | Value::Unsafe(text)) => Ok(Section::Name(text)),
            Shaped::Other(_) => {
                let key = part.key.json_name();
                let message = format!("{key} of group {group} must be a mapping: end each name with a colon");
                Err(part.value.position.mistake(message))
            }
        }
    }

    /// `hosts: web1` and the like.
    fn bare_name(&mut self, group: GroupId, of: &str, part: &Pair, name: &str) -> Step {
        let at = &part.value.position;
        let mistake = |message| at.mistake(message);
        match part.key.json_name().as_str() {
            "hosts" => self.named_hosts(group, name, part.value).map(drop),
            "children" => {
                let child = self.builder.add_group(name, at.location).map_err(mistake)?;
                self.builder.add_child(group, child).map_err(mistake)
            }
            _ => self.builder.set_variable(of, name, Value::Null, at.location).map_err(mistake),
        }
    }

    fn host(&mut self, group: GroupId, pair: &Pair) -> Step {
        let pattern = text_key(pair, "the name of a host")?;
        let names = self.named_hosts(group, pattern, pair.key_node)?;
        let variables = match self.shape(pair.value)? {
            Shaped::Mapping(pairs) => pairs,
            Shaped::Null => Vec::new(),
            Shaped::Other(value) if is_falsy(&value) => Vec::new(),
            Shaped::Other(_) => {
                let message = format!("the variables of {pattern} must be a mapping of names to values");
                return Err(pair.value.position.mistake(message));
            }
        };
        for variable in &variables {
            let value = self.constructor.value(variable.value, false)?;
            for name in &names {
                self.set(name, variable, value.clone())?;
            }
        }
        Ok(())
    }

    fn named_hosts(&mut self, group: GroupId, pattern: &str, at: &Node) -> Step<Vec<String>> {
        let mistake = |message| at.position.mistake(message);
        let expanded = pattern::expand(pattern).map_err(mistake)?;
        for name in &expanded.names {
            let port = expanded.port.as_deref();
            self.builder.add_host(name, group, port, at.position.location).map_err(mistake)?;
        }
        Ok(expanded.names)
    }

    fn child(&mut self, parent: GroupId, pair: &Pair) -> Step {
        let at = &pair.key_node.position;
        let skipped = || {
            at.mistake(format!(
                "the child {} is no group: it must be a mapping or empty",
                pair.key.json_name()
            ))
        };
        let mut child = self.group(pair)?;
        if child.is_none() {
            let name = text_key(pair, "the name of a group")?;
            child = self.builder.group_id(name);
            if child.is_none() && self.builder.hosts.host_id(name).is_some() {
                // Ansible takes the name of a host here for the host.
                let added = self.builder.add_host(name, parent, None, at.location);
                return added.map_err(|message| at.mistake(message));
            }
        }
        let child = child.ok_or_else(skipped)?;
        self.builder.add_child(parent, child).map_err(|message| at.mistake(message))
    }

    fn variable(&mut self, owner: &str, pair: &Pair) -> Step {
        let value = self.constructor.value(pair.value, false)?;
        self.set(owner, pair, value)
    }

    fn set(&mut self, owner: &str, pair: &Pair, value: Value) -> Step {
        let at = &pair.key_node.position;
        self.builder
            .set_variable(owner, &pair.key.json_name(), value, at.location)
            .map_err(|message| at.mistake(message))
    }

    fn shape<'a>(&mut self, node: &'a Node) -> Step<Shaped<'a>> {
        let allowed = matches!(node.tag.as_deref(), None | Some("!" | "!unsafe" | "tag:yaml.org,2002:map"));
        if matches!(node.value, Shape::Mapping(_)) && allowed {
            reject_unsafe(node)?;
            return Ok(Shaped::Mapping(self.constructor.pairs(node)?));
        }
        Ok(match self.constructor.value(node, false)? {
            Value::Null => Shaped::Null,
            other => Shaped::Other(other),
        })
    }
}

/// What the tag means for all values below a group or a host is left to those who read Ansible's source.
fn reject_unsafe(node: &Node) -> Step {
    if node.tag.as_deref() == Some("!unsafe") {
        return Err(node
            .position
            .mistake("!unsafe marks the value of a variable; give it to each that needs it"));
    }
    Ok(())
}

/// A node as Ansible's inventory plugin tells nodes apart.
enum Shaped<'a> {
    Null,
    Mapping(Vec<Pair<'a>>),
    Other(Value),
}

fn text_key<'a>(pair: &'a Pair, what: &str) -> Step<&'a str> {
    match &pair.key {
        Key::Text(text) => Ok(text),
        other => {
            let message = format!("{what} must be text, and {} is not; quote it", other.json_name());
            Err(pair.key_node.position.mistake(message))
        }
    }
}

/// What Python takes for false.
pub(super) fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Integer(digits) => digits == "0",
        Value::Float(number) => *number == 0.0,
        Value::Text(text) | Value::Unsafe(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(pairs) => pairs.is_empty(),
        Value::Bool(true) | Value::Vault(_) | Value::Date(_) => false,
    }
}
