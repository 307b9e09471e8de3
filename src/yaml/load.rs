//! From the parser's events to the tree: anchors, aliases, merge keys and limits.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::{Entry, Node, Position, Value};
use crate::diagnostic::{Diagnostic, Location};

/// Deeper nesting than any file of this project has; keeps recursion from exhausting the stack.
const DEPTH: usize = 64;
/// More nodes than the largest inventory has after aliases are expanded; stops an "alias bomb".
const NODES: usize = 1_000_000;

/// Reads the one document of `text`; an empty text is a null scalar.
///
/// # Errors
/// What is not YAML, with its position in `file`.
pub fn load(file: &str, text: &str) -> Result<Node, Box<Diagnostic>> {
    Loader { parser: Parser::new_from_str(text), file: file.into(), anchors: HashMap::new(), nodes: 0 }
        .document()
        .map_err(Box::new)
}

struct Loader<'text> {
    parser: Parser<'text, StrInput<'text>>,
    file: Arc<str>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'text> Loader<'text> {
    fn document(mut self) -> Result<Node, Diagnostic> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(at.mistake("a second YAML document begins here; keep one"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, at, 0)?),
            }
        }
        Ok(root.unwrap_or_else(|| Node {
            position: Position { file: self.file, location: Location { line: 1, column: 1 } },
            tag: None,
            value: Value::Scalar(String::new(), true),
        }))
    }

    fn next(&mut self) -> Result<(Event<'text>, Position), Diagnostic> {
        match self.parser.next_event() {
            None => Ok((
                Event::StreamEnd,
                Position { file: self.file.clone(), location: Location { line: 1, column: 1 } },
            )),
            Some(Err(error)) => Err(self.mistake(&error)),
            Some(Ok((event, span))) => Ok((event, self.position(&span.start))),
        }
    }

    fn node(&mut self, event: Event<'text>, position: Position, depth: usize) -> Result<Node, Diagnostic> {
        if depth > DEPTH {
            return Err(position.mistake(format!("nested more than {DEPTH} levels deep")));
        }
        let before = self.nodes;
        self.count(1, &position)?;
        let anchor = event.anchor_id();
        let tag = event.tag().map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
        let value = match event {
            Event::Alias(id) => {
                let inside = "an alias inside the value it stands for";
                let size = self.anchors.get(&id).ok_or_else(|| position.mistake(inside))?.1;
                self.count(size, &position)?;
                let node = self.anchors[&id].0.clone();
                return Ok(Node { position, ..node });
            }
            Event::Scalar(text, style, ..) => Value::Scalar(text.into_owned(), style == ScalarStyle::Plain),
            Event::SequenceStart(..) => Value::Sequence(self.sequence(depth)?),
            Event::MappingStart(..) => Value::Mapping(self.mapping(depth)?),
            _ => return Err(position.mistake("a value is missing here")),
        };
        let node = Node { position, tag, value };
        if let Some(id) = anchor {
            self.anchors.insert(id, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Diagnostic> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Diagnostic> {
        let (mut entries, mut merged) = (Vec::new(), Vec::new());
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, at) => self.node(event, at, depth + 1)?,
            };
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            if key.plain() == Some("<<") {
                merge(value, &mut merged)?;
            } else {
                entries.push(Entry { key, value });
            }
        }
        Ok(overridden(merged, entries))
    }

    fn count(&mut self, nodes: usize, at: &Position) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES {
            return Err(at.mistake(format!("more than {NODES} values; are aliases nested?")));
        }
        Ok(())
    }

    fn position(&self, marker: &Marker) -> Position {
        let location = Location { line: marker.line(), column: marker.col() + 1 };
        Position { file: self.file.clone(), location }
    }

    fn mistake(&self, error: &ScanError) -> Diagnostic {
        self.position(error.marker()).mistake(format!("not valid YAML: {}", error.info()))
    }
}

/// Collects what `<<: value` brings in, a mapping or a list of them: of equal keys the last one counts, so
/// the first of a list comes last.
fn merge(value: Node, into: &mut Vec<Entry>) -> Result<(), Diagnostic> {
    match value.value {
        Value::Mapping(entries) => into.extend(entries),
        Value::Sequence(items) if items.iter().all(|item| item.entries().is_some()) => {
            for item in items.into_iter().rev() {
                merge(item, into)?;
            }
        }
        _ => return Err(value.position.mistake("'<<' merges dictionaries: give one, or a list of them")),
    }
    Ok(())
}

/// What is merged in, with what is written in the mapping itself in its place; a key that is written twice
/// is still there twice.
fn overridden(merged: Vec<Entry>, written: Vec<Entry>) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::with_capacity(merged.len() + written.len());
    for entry in merged {
        match all.iter_mut().find(|other| same(&other.key, &entry.key)) {
            Some(other) => *other = entry,
            None => all.push(entry),
        }
    }
    let mut open: Vec<bool> = vec![true; all.len()];
    for entry in written {
        let place = all.iter().zip(&open).position(|(other, open)| *open && same(&other.key, &entry.key));
        if let Some(place) = place {
            (all[place], open[place]) = (entry, false);
        } else {
            all.push(entry);
        }
    }
    all
}

/// Whether two keys are written alike; `yes` and `"yes"` may differ.
fn same(left: &Node, right: &Node) -> bool {
    left.text().is_some() && left.value == right.value && left.tag == right.tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Scalar(text, true) => text.clone(),
            Value::Scalar(text, false) => format!("{text:?}"),
            Value::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Mapping(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|e| format!("{}:{}", show(&e.key), show(&e.value))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn mistake(text: &str) -> String {
        load("f.yml", text).expect_err("must not load").to_string()
    }

    #[test]
    fn trees_keep_text_and_style() {
        for (text, tree) in [
            ("", ""),
            ("# nothing\n", ""),
            ("a: yes\nb: '010'\nc:\n", "{a:yes b:\"010\" c:~}"),
            ("- 1\n- [x, 'y']\n", "[1 [x \"y\"]]"),
            ("a: &x {k: 1}\nb: *x\n", "{a:{k:1} b:{k:1}}"),
            ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\n", "{a:{k:1 l:2} b:{k:3 l:2}}"),
            ("b:\n  <<: [{k: 1}, {k: 2, m: 3}]\n", "{b:{k:1 m:3}}"),
            ("a: 1\na: 2\n", "{a:1 a:2}"),
        ] {
            assert_eq!(show(&load("f.yml", text).unwrap()), tree, "{text}");
        }
    }

    #[test]
    fn positions_are_of_characters() {
        let tree = load("f.yml", "first: é\nsecond: {ü: !vault x}\n").unwrap();
        let second = &tree.entries().unwrap()[1].value.entries().unwrap()[0];
        assert_eq!(second.key.position.mistake("x").to_string(), "f.yml:2:10: x");
        assert_eq!(second.value.tag.as_deref(), Some("!vault"));
    }

    #[test]
    fn what_is_not_yaml_has_a_position() {
        assert!(mistake("a: [1\nb: 2\n").starts_with("f.yml:2:"), "{}", mistake("a: [1\nb: 2\n"));
        assert_eq!(mistake("a: 1\n---\nb: 2\n"), "f.yml:2:1: a second YAML document begins here; keep one");
        assert!(mistake("a: *nobody\n").starts_with("f.yml:1:4: "), "{}", mistake("a: *nobody\n"));
        assert_eq!(mistake("a: &x [*x]\n"), "f.yml:1:8: an alias inside the value it stands for");
        assert_eq!(
            mistake("a: {<<: 1}\n"),
            "f.yml:1:9: '<<' merges dictionaries: give one, or a list of them"
        );
    }

    #[test]
    fn depth_and_aliases_are_bounded() {
        assert_eq!(
            mistake(&("[".repeat(80) + &"]".repeat(80))),
            "f.yml:1:66: nested more than 64 levels deep"
        );
        assert!(mistake(&"[".repeat(100_000)).starts_with("f.yml:1:"));
        let line =
            |level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(","));
        let bomb =
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned() + &(1..12).map(line).collect::<Vec<_>>().concat();
        assert!(mistake(&bomb).contains("values; are aliases nested?"), "{}", mistake(&bomb));
    }
}
