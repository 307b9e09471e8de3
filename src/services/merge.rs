//! Several files to one tree: `include`, and the rule by which a later file overrides an earlier one.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::diagnostic::{Diagnostics, unreadable};
use crate::yaml::{self, Entry, Node, Position, Value};

/// How a file is read; tests and the fuzzer put other things in its place.
pub type Reader<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Includes nested deeper, or more files, than anyone writes by hand.
const DEPTH: usize = 16;
const FILES: usize = 500;

/// Collects files and what is wrong with them.
pub(super) struct Gatherer<'a> {
    reader: Reader<'a>,
    files: usize,
    /// What is wrong so far.
    pub mistakes: Diagnostics,
}

impl<'a> Gatherer<'a> {
    /// A gatherer that reads files with `reader`.
    pub(super) fn new(reader: Reader<'a>) -> Self {
        Self { reader, files: 0, mistakes: Diagnostics::new() }
    }

    /// The entries of the file at `path` on top of those of the files that it includes.
    pub(super) fn file(&mut self, path: &Path, asked: &Position, above: &mut Vec<PathBuf>) -> Vec<Entry> {
        let label = path.display().to_string();
        if above.iter().any(|other| other == path) {
            let chain: Vec<_> =
                above.iter().chain([&path.to_owned()]).map(|p| p.display().to_string()).collect();
            self.mistakes.push(asked.mistake(format!("files include each other: {}", chain.join(" → "))));
            return Vec::new();
        }
        self.files += 1;
        if above.len() > DEPTH || self.files > FILES {
            self.mistakes
                .push(asked.mistake(format!("more than {DEPTH} levels of includes, or {FILES} files")));
            return Vec::new();
        }
        match (self.reader)(path) {
            Ok(text) => {
                above.push(path.to_owned());
                let entries = self.text(&label, &text, path, above);
                above.pop();
                entries
            }
            Err(error) => {
                let what = if *asked.file == *label { String::new() } else { label + " " };
                self.mistakes.push(asked.mistake(format!("{what}{}", unreadable(&error))));
                Vec::new()
            }
        }
    }

    /// The entries of `text`, which stands at `path`, on top of those of the files that it includes.
    pub(super) fn text(
        &mut self,
        label: &str,
        text: &str,
        path: &Path,
        above: &mut Vec<PathBuf>,
    ) -> Vec<Entry> {
        let root = match yaml::load(label, text) {
            Ok(root) => root,
            Err(mistake) => {
                self.mistakes.push(*mistake);
                return Vec::new();
            }
        };
        self.duplicates(&root);
        let is_null = root.is_null();
        let Value::Mapping(entries) = root.value else {
            if !is_null {
                let message = "the file must be a dictionary: service names with their attributes";
                self.mistakes.push(root.position.mistake(message));
            }
            return Vec::new();
        };
        let (includes, own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.key.text() == Some("include"));
        let mut all = Vec::new();
        for include in includes {
            self.include(&include.value, path, above, &mut all);
        }
        merge(&mut all, own);
        all
    }

    fn include(&mut self, node: &Node, from: &Path, above: &mut Vec<PathBuf>, into: &mut Vec<Entry>) {
        let names = match &node.value {
            Value::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for name in names {
            let Some(text) = name.text().filter(|text| !text.is_empty() && !name.is_null()) else {
                let message =
                    format!("include must be a file name or a list of them, is {}", name.description());
                self.mistakes.push(name.position.mistake(message));
                continue;
            };
            let path = tidy(&from.parent().unwrap_or(Path::new("")).join(text));
            let included = self.file(&path, &name.position, above);
            merge(into, included);
        }
    }

    fn duplicates(&mut self, node: &Node) {
        match &node.value {
            Value::Sequence(items) => items.iter().for_each(|item| self.duplicates(item)),
            Value::Mapping(entries) => {
                let mut first = std::collections::HashMap::new();
                for Entry { key, value } in entries {
                    self.duplicates(value);
                    let Some(text) = key.text() else { continue };
                    if let Some(line) = first.insert(text, key.position.location.line) {
                        let message = format!("'{text}' is given twice (also in line {line}); keep one");
                        self.mistakes.push(key.position.mistake(message));
                    }
                }
            }
            Value::Scalar(..) => {}
        }
    }
}

/// Puts `over` on top of `base`: dictionaries are merged key by key, everything else is replaced.
pub(super) fn merge(base: &mut Vec<Entry>, over: Vec<Entry>) {
    let mut places: std::collections::HashMap<String, usize> =
        base.iter().enumerate().filter_map(|(at, entry)| Some((entry.key.text()?.to_owned(), at))).collect();
    for entry in over {
        let text = entry.key.text().map(str::to_owned);
        let Some(&at) = text.as_ref().and_then(|text| places.get(text)) else {
            places.extend(text.map(|text| (text, base.len())));
            base.push(entry);
            continue;
        };
        let below = &mut base[at];
        below.key = entry.key;
        match (&mut below.value.value, entry.value) {
            (Value::Mapping(below), Node { value: Value::Mapping(above), .. }) => merge(below, above),
            // A service named without attributes changes nothing about it.
            (Value::Mapping(_), above) if above.is_null() => {}
            (_, above) => below.value = above,
        }
    }
}

/// Removes `.` and resolves `..` in the text of a path, so that one file has one name.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if tidy.file_name().is_some() => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}
