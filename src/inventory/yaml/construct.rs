//! From YAML's tree to keys and values, as Ansible's loader constructs them.

use super::scalar::{self, Kind};
use crate::diagnostic::Diagnostic;
use crate::inventory::mapping::{Key, Mapping};
use crate::inventory::value::{Value, reject_reserved};
use crate::yaml::{Node, Value as Shape};

type Result<T> = std::result::Result<T, Diagnostic>;

const CORE: &str = "tag:yaml.org,2002:";

/// Constructs values, and notes what JSON cannot express.
pub(super) struct Constructor {
    /// The text is JSON: Ansible reads it as such, and numbers mean something else then.
    pub json: bool,
    pub warnings: Vec<Diagnostic>,
}

/// A pair of a mapping with its key constructed.
pub(super) struct Pair<'a> {
    pub key: Key,
    pub key_node: &'a Node,
    pub value: &'a Node,
}

/// What a tag asks for.
enum Tag {
    Implicit,
    Unsafe,
    Vault,
    Scalar(Kind),
    Sequence,
    Mapping,
}

fn tag(node: &Node) -> Result<Tag> {
    let Some(tag) = node.tag.as_deref() else { return Ok(Tag::Implicit) };
    Ok(match tag.strip_prefix(CORE) {
        None if tag == "!" => Tag::Implicit,
        None if tag == "!unsafe" => Tag::Unsafe,
        None if tag == "!vault" || tag == "!vault-encrypted" => Tag::Vault,
        Some("null") => Tag::Scalar(Kind::Null),
        Some("bool") => Tag::Scalar(Kind::Bool),
        Some("int") => Tag::Scalar(Kind::Integer),
        Some("float") => Tag::Scalar(Kind::Float),
        Some("timestamp") => Tag::Scalar(Kind::Timestamp),
        Some("str") => Tag::Scalar(Kind::Text),
        Some("seq") => Tag::Sequence,
        Some("map") => Tag::Mapping,
        Some(name @ ("set" | "omap" | "pairs" | "binary")) => {
            return Err(node.position.mistake(format!("!!{name} has no equal in JSON; use a list or text")));
        }
        _ => return Err(node.position.mistake(format!("the tag {tag} is unknown to Ansible"))),
    })
}

impl Constructor {
    /// The value of a node. Below `!unsafe` text is no template.
    pub(super) fn value(&mut self, node: &Node, is_unsafe: bool) -> Result<Value> {
        let tag = tag(node)?;
        let is_unsafe = is_unsafe || matches!(tag, Tag::Unsafe);
        match (&node.value, &tag) {
            (Shape::Scalar(text, _), Tag::Vault) => vault(node, text),
            (Shape::Scalar(..), _) => Ok(text_or(self.scalar(node, &tag)?, is_unsafe)),
            (Shape::Sequence(items), Tag::Implicit | Tag::Unsafe | Tag::Sequence) => {
                let items = items.iter().map(|item| self.value(item, is_unsafe));
                Ok(Value::List(items.collect::<Result<_>>()?))
            }
            (Shape::Mapping(_), Tag::Implicit | Tag::Unsafe | Tag::Mapping) => self.map(node, is_unsafe),
            _ => Err(node.position.mistake("the tag does not fit the value")),
        }
    }

    fn scalar(&mut self, node: &Node, tag: &Tag) -> Result<Key> {
        let Shape::Scalar(text, plain) = &node.value else {
            return Err(node.position.mistake("expected a single value"));
        };
        let kind = match tag {
            Tag::Scalar(kind) => *kind,
            // Ansible resolves the text below !unsafe anew, quoted or not.
            Tag::Unsafe => scalar::resolve(text),
            Tag::Implicit if *plain && self.json => return json_scalar(text, node),
            Tag::Implicit if *plain => scalar::resolve(text),
            Tag::Implicit => Kind::Text,
            _ => return Err(node.position.mistake("the tag does not fit the value")),
        };
        let key = scalar::construct(kind, text).map_err(|message| node.position.mistake(message))?;
        if kind == Kind::Timestamp {
            let message = format!("{text} is a date in YAML, and text in the published inventory; quote it");
            self.warnings.push(node.position.mistake(message));
        }
        Ok(key)
    }

    fn map(&mut self, node: &Node, is_unsafe: bool) -> Result<Value> {
        let mut mapping = Mapping::default();
        for pair in self.pairs(node)? {
            if self.json && matches!(pair.key_node.text(), Some("__ansible_vault" | "__ansible_unsafe")) {
                return marked(&pair);
            }
            mapping.insert(pair.key, self.value(pair.value, is_unsafe)?);
        }
        reject_reserved(mapping.finish(Ok)?).map_err(|message| node.position.mistake(message))
    }

    /// The pairs of a mapping; of equal keys the last value counts, at the place of the first.
    pub(super) fn pairs<'a>(&mut self, node: &'a Node) -> Result<Vec<Pair<'a>>> {
        let mut pairs: Vec<Pair<'a>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for entry in node.entries().unwrap_or_default() {
            let key = self.key(&entry.key)?;
            let next = pairs.len();
            let place = *places.entry(key.identity()).or_insert(next);
            if place == next {
                pairs.push(Pair { key, key_node: &entry.key, value: &entry.value });
                continue;
            }
            // What is overwritten must be well-formed all the same.
            let overwritten = std::mem::replace(&mut pairs[place].value, &entry.value);
            self.value(overwritten, false)?;
            let message = format!("the key {} is given twice; the last one counts", key.json_name());
            self.warnings.push(entry.key.position.mistake(message));
        }
        Ok(pairs)
    }

    fn key(&mut self, node: &Node) -> Result<Key> {
        if !matches!(node.value, Shape::Scalar(..)) {
            return Err(node.position.mistake("a list or mapping cannot be a key"));
        }
        // `=` is special as a value only.
        if node.plain() == Some("=") {
            return Ok(Key::Text("=".to_owned()));
        }
        let tag = tag(node)?;
        let key = self.scalar(node, &tag)?;
        if matches!(key, Key::Date(_)) {
            return Err(node.position.mistake("a date cannot be a key in JSON; quote it"));
        }
        if !matches!(key, Key::Text(_)) {
            let name = key.json_name();
            let message =
                format!("the key {name} is no text in YAML, but is in the published inventory; quote it");
            self.warnings.push(node.position.mistake(message));
        }
        Ok(key)
    }
}

fn vault(node: &Node, text: &str) -> Result<Value> {
    match scalar::resolve(text) {
        Kind::Text => Ok(Value::Vault(text.to_owned())),
        _ => Err(node.position.mistake("!vault requires text: what `ansible-vault encrypt_string` prints")),
    }
}

fn text_or(key: Key, is_unsafe: bool) -> Value {
    match key {
        Key::Null => Value::Null,
        Key::Bool(bool) => Value::Bool(bool),
        Key::Integer(digits) => Value::Integer(digits),
        Key::Float(number) => Value::Float(number),
        Key::Text(text) if is_unsafe => Value::Unsafe(text),
        Key::Text(text) => Value::Text(text),
        Key::Date(text) => Value::Date(text),
    }
}

/// A number, `true`, `false` or `null` of JSON.
fn json_scalar(text: &str, node: &Node) -> Result<Key> {
    Ok(match text {
        "null" => Key::Null,
        "true" => Key::Bool(true),
        "false" => Key::Bool(false),
        "-0" => Key::Integer("0".to_owned()),
        number if number.contains(['.', 'e', 'E']) => {
            Key::Float(number.parse().map_err(|_| node.position.mistake("no number"))?)
        }
        digits => Key::Integer(digits.to_owned()),
    })
}

/// An encrypted or unsafe string as Ansible's JSON writes it.
fn marked(pair: &Pair) -> Result<Value> {
    match (pair.key_node.text(), pair.value.text()) {
        (Some("__ansible_vault"), Some(text)) => Ok(Value::Vault(text.to_owned())),
        (_, Some(text)) => Ok(Value::Unsafe(text.to_owned())),
        _ => Err(pair.value.position.mistake("this must be text")),
    }
}
