//! From the parser's events to the tree: anchors, aliases, merge keys and limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::{Entry, Node, Position, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Location};

/// Deeper nesting than any file of this project has; keeps recursion from exhausting the stack.
const DEPTH: usize = 64;
/// More nodes than the largest inventory has after aliases are expanded; stops an "alias bomb".
const NODES: usize = 1_000_000;

/// Why a text was not read.
#[derive(Debug)]
pub struct Refusal {
    /// What is wrong, and where.
    pub mistake: Diagnostic,
    /// The text is YAML, but beyond what this reader takes.
    pub is_limit: bool,
}

impl From<Diagnostic> for Refusal {
    fn from(mistake: Diagnostic) -> Self {
        Self { mistake, is_limit: false }
    }
}

/// Reads the one document of `text`; an empty text is a null scalar.
pub fn load(file: &str, text: &str) -> Result<Node, Box<Diagnostic>> {
    load_with_contested(file, text).map(|it| it.0).map_err(|it| Box::new(it.mistake))
}

/// The same, and every merged key whose value depends on the version of `PyYAML`: it compares keys by the identity
/// of their text from 6.0.4 on, which differs for keys of one character and others.
pub fn load_with_contested(file: &str, text: &str) -> Result<(Node, Diagnostics), Box<Refusal>> {
    let mut loader = Loader {
        parser: Parser::new_from_str(text),
        file: file.into(),
        anchors: HashMap::new(),
        nodes: 0,
        overriding: HashSet::new(),
        contested: Diagnostics::new(),
    };
    let root = loader.document().map_err(|refusal| {
        let mistake = tab(text, &refusal.mistake).unwrap_or(refusal.mistake);
        Box::new(Refusal { mistake, ..refusal })
    })?;
    Ok((root, loader.contested))
}

struct Loader<'text> {
    parser: Parser<'text, StrInput<'text>>,
    file: Arc<str>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// Where keys of one character stand that override a merged or earlier one in their mapping.
    overriding: HashSet<Location>,
    contested: Diagnostics,
}

impl<'text> Loader<'text> {
    fn document(&mut self) -> Result<Node, Refusal> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(at.mistake("a second YAML document begins here; keep one").into());
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, at, 0)?),
            }
        }
        Ok(root.unwrap_or_else(|| Node {
            position: Position { file: self.file.clone(), location: Location { line: 1, column: 1 } },
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

    fn node(&mut self, event: Event<'text>, position: Position, depth: usize) -> Result<Node, Refusal> {
        if depth > DEPTH {
            return Err(limit(position.mistake(format!("nested more than {DEPTH} levels deep"))));
        }
        let before = self.nodes;
        self.count(1, &position)?;
        let anchor = event.anchor_id();
        let tag = tag(&event);
        let value = match event {
            Event::Alias(id) => {
                let inside = || limit(position.mistake("an alias inside the value it stands for"));
                let size = self.anchors.get(&id).ok_or_else(inside)?.1;
                self.count(size, &position)?;
                let node = self.anchors[&id].0.clone();
                return Ok(Node { position, ..node });
            }
            Event::Scalar(text, style, ..) => Value::Scalar(text.into_owned(), style == ScalarStyle::Plain),
            Event::SequenceStart(..) => Value::Sequence(self.sequence(depth)?),
            Event::MappingStart(..) => Value::Mapping(self.mapping(depth)?),
            _ => return Err(position.mistake("a value is missing here").into()),
        };
        let node = Node { position, tag, value };
        if let Some(id) = anchor {
            self.anchors.insert(id, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Refusal> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Refusal> {
        let (mut entries, mut merged) = (Vec::new(), Merged::default());
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, at) => self.node(event, at, depth + 1)?,
            };
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            if key.plain() == Some("<<") {
                merged.add(value, &self.overriding)?;
            } else {
                entries.push(Entry { key, value });
            }
        }
        Ok(self.overridden(merged, entries))
    }

    /// What is merged in, with what is written in the mapping itself in its place; a key that is written twice
    /// is still there twice.
    fn overridden(&mut self, merged: Merged, written: Vec<Entry>) -> Vec<Entry> {
        let Merged { entries: mut all, contested } = merged;
        // What is written in the mapping itself counts in every version.
        let is_written = |text: &String| written.iter().any(|entry| entry.key.text() == Some(text));
        let contested = contested.into_iter().filter(|(text, _)| !is_written(text));
        self.contested.extend(contested.map(|(_, mistake)| mistake));
        let mut open: Vec<bool> = vec![true; all.len()];
        for entry in written {
            if is_short(&entry.key) && all.iter().any(|other| rivals(other, &entry)) {
                self.overriding.insert(entry.key.position.location);
            }
            let place = all.iter().zip(&open).position(|(other, open)| *open && same(&other.key, &entry.key));
            if let Some(place) = place {
                (all[place], open[place]) = (entry, false);
            } else {
                all.push(entry);
            }
        }
        all
    }

    fn count(&mut self, nodes: usize, at: &Position) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES {
            return Err(limit(at.mistake(format!("more than {NODES} values; are aliases nested?"))));
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

/// The tag of a value in full, however it was written.
pub fn tag(event: &Event) -> Option<String> {
    event.tag().map(|tag| format!("{}{}", tag.handle(), tag.suffix()))
}

const fn limit(mistake: Diagnostic) -> Refusal {
    Refusal { mistake, is_limit: true }
}

/// What the `<<` of one mapping bring in: of a list the first value counts, of several `<<` the last.
#[derive(Default)]
struct Merged {
    entries: Vec<Entry>,
    /// Keys on whose value versions of `PyYAML` disagree.
    contested: Vec<(String, Diagnostic)>,
}

impl Merged {
    /// Adds what `<<: value` brings in, a mapping or a list of them.
    fn add(&mut self, value: Node, overriding: &HashSet<Location>) -> Result<(), Diagnostic> {
        let position = value.position;
        let mistake = || position.mistake("'<<' merges dictionaries: give one, or a list of them");
        let items = match value.value {
            Value::Sequence(items) => items.into_iter().map(|item| item.value).collect(),
            mapping => vec![mapping],
        };
        let mut brought: Vec<Entry> = Vec::new();
        for item in items {
            let Value::Mapping(entries) = item else { return Err(mistake()) };
            let before = brought.len();
            for entry in entries {
                let short = is_short(&entry.key);
                let (earlier, own) = brought.split_at(before);
                if earlier.iter().any(|other| rivals(other, &entry))
                    || short && overriding.contains(&entry.key.position.location)
                    || short && own.iter().chain(&self.entries).any(|other| rivals(other, &entry))
                {
                    self.contest(&position, &entry.key);
                }
                if !earlier.iter().any(|other| same(&other.key, &entry.key)) {
                    brought.push(entry);
                }
            }
        }
        for entry in brought {
            match self.entries.iter_mut().find(|other| same(&other.key, &entry.key)) {
                Some(other) => *other = entry,
                None => self.entries.push(entry),
            }
        }
        Ok(())
    }

    fn contest(&mut self, at: &Position, key: &Node) {
        let text = key.text().unwrap_or_default().to_owned();
        let message = format!(
            "the key {text} is merged in with two different values, and which one counts depends on the version of \
             PyYAML; write it in this mapping itself"
        );
        self.contested.push((text, at.mistake(message)));
    }
}

/// A tab at the beginning of the line of a mistake, or of the next one, is its cause: YAML takes it for no indentation.
fn tab(text: &str, mistake: &Diagnostic) -> Option<Diagnostic> {
    let mut lines = text.lines().enumerate().skip(mistake.line.saturating_sub(1)).take(2);
    let column = |line: &str| {
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        line[..blanks].find('\t')
    };
    let (index, at) = lines.find_map(|(index, line)| Some((index, column(line)?)))?;
    let location = Location { line: index + 1, column: at + 1 };
    Some(Diagnostic::new(
        &mistake.file,
        location,
        "not valid YAML: a tab where only spaces may indent; use spaces",
    ))
}

/// A key that Python has only one object for.
fn is_short(key: &Node) -> bool {
    key.text().is_some_and(|text| text.chars().nth(1).is_none())
}

/// Whether two entries give one key different values.
fn rivals(left: &Entry, right: &Entry) -> bool {
    left.key.text().is_some() && left.key.text() == right.key.text() && !left.value.is_alike(&right.value)
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
            ("b: {<<: {k: 1}, l: 0, <<: {k: 2, m: 3}}\n", "{b:{k:2 m:3 l:0}}"),
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
    fn what_versions_of_pyyaml_merge_differently_is_contested() {
        let contested = |text| load_with_contested("f.yml", text).expect("YAML").1.len();
        for text in [
            "{<<: [{key: 1}, {key: 2}]}",
            "{<<: [{key: 1}, {'key': 2}]}",
            "{<<: {<<: [{key: 1}, {key: 2}]}}",
            "{<<: {k: 1, k: 2}}",
            "{<<: {k: 1}, <<: {k: 2}}",
            "{<<: {<<: {k: 1}, k: 2}}",
            "{<<: {k: 2, <<: {k: 1}}}",
        ] {
            assert_eq!(contested(text), 1, "{text}");
        }
        for text in [
            "{<<: [{key: 1}, {key: 2}], key: 3}",
            "{<<: {<<: [{key: 1}, {key: 2}], key: 3}}",
            "{<<: [{key: 1, k: }, {key: 1, k: }]}",
            "{<<: {key: 1, key: 2}}",
            "{<<: {key: 1}, <<: {key: 2}}",
            "{<<: {<<: {key: 1}, key: 2}}",
            "{<<: {k: 1}, k: 2}",
            "{a: &a {k: 1}, b: {<<: [*a, *a]}}",
        ] {
            assert_eq!(contested(text), 0, "{text}");
        }
    }

    #[test]
    fn a_tab_is_named_where_it_stands() {
        for (text, place) in [
            ("web:\n\tuser: x\n", "2:1"),
            ("a: 1\nweb:\n  b: 1\n \tc: 2\n", "4:2"),
            ("web:\n- a\n\t- b: [\n", "3:1"),
        ] {
            assert_eq!(
                mistake(text),
                format!("f.yml:{place}: not valid YAML: a tab where only spaces may indent; use spaces")
            );
        }
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
