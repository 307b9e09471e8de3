//! What our parser, of YAML 1.2, reads and Ansible's, of YAML 1.1, refuses or reads differently.

use crate::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::yaml::tag;
use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Span};
use std::{collections::HashSet, sync::Arc};

/// The first character that YAML 1.1 does not allow in a file, or takes for the end of a line.
pub(in crate::inventory) fn unusual_character(file: &Arc<str>, text: &str) -> Option<Diagnostic> {
    let (before, _) = text.split_at(text.find(is_unusual)?);
    let character = text[before.len()..].chars().next()?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let location =
        Location { line: 1 + before.matches('\n').count(), column: 1 + before[line_start..].chars().count() };
    let message =
        format!("the character {} has no place in YAML; write it as an escape", character.escape_unicode());
    Some(Diagnostic::new(file, location, message))
}

/// The text with a usual character in the place of each that [`unusual_character`] reports: the one that libyaml
/// takes it for, which is a line end, a blank where a byte order mark begins a line, and a part of a word.
pub(in crate::inventory) fn with_usual_characters(text: &str) -> String {
    let mut usual = String::with_capacity(text.len());
    for character in text.chars() {
        usual.push(match character {
            '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            '\u{feff}' if usual.is_empty() || usual.ends_with('\n') => ' ',
            _ if is_unusual(character) => '_',
            _ => character,
        });
    }
    usual
}

const fn is_unusual(it: char) -> bool {
    match it {
        '\t' | '\n' | '\r' | ' '..='~' => false,
        '\0'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        _ => false,
    }
}

/// Every place where the text is YAML 1.2, but not 1.1.
pub(super) fn check(file: &Arc<str>, text: &str) -> Diagnostics {
    let options = granit_parser::options! { emit_anchor_events: true };
    let (anchors, open) = (HashSet::new(), Vec::new());
    let mut checker =
        Checker { file, text, anchors, open, below_unsafe: 0, is_below: false, found: Vec::new() };
    for (event, span) in Parser::new_from_str_with_options(text, options).map_while(Result::ok) {
        checker.event(&event, &span);
    }
    checker.found
}

/// An open collection.
enum Open {
    List,
    /// Whether a key comes next.
    Mapping(bool),
}

struct Checker<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    anchors: HashSet<String>,
    open: Vec<Open>,
    /// How many of the open collections are or lie below one with the tag `!unsafe`.
    below_unsafe: usize,
    /// Whether the last node lies below one.
    is_below: bool,
    found: Diagnostics,
}

impl Checker<'_> {
    fn mistake(&mut self, at: &Marker, message: impl Into<String>) {
        let location = Location { line: at.line(), column: at.col() + 1 };
        self.found.push(Diagnostic::new(self.file, location, message));
    }

    fn event(&mut self, event: &Event, span: &Span) {
        match event {
            Event::Anchor(_, name) => return self.anchor(name, span),
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                self.below_unsafe = self.below_unsafe.saturating_sub(1);
                return;
            }
            _ if !event.is_node() => return,
            _ => {}
        }
        self.is_below = self.below_unsafe > 0;
        if self.is_below && matches!(event, Event::Alias(_)) {
            self.shared_below_unsafe(span);
        }
        self.tag(event, span);
        if let Some(Open::Mapping(is_key)) = self.open.last_mut() {
            let is_key = std::mem::replace(is_key, !*is_key);
            if is_key {
                self.key(event, span);
            }
        }
        match event {
            Event::SequenceStart(..) => self.open.push(Open::List),
            Event::MappingStart(..) => self.open.push(Open::Mapping(true)),
            _ => return,
        }
        let is_unsafe = tag(event).as_deref() == Some("!unsafe");
        self.below_unsafe += usize::from(is_unsafe || self.below_unsafe > 0);
    }

    /// Ansible constructs a value once, and it is a template or none by the first place where it stands.
    fn shared_below_unsafe(&mut self, span: &Span) {
        self.mistake(&span.start, "an anchor or alias below !unsafe; write the value out in both places");
    }

    fn anchor(&mut self, name: &str, span: &Span) {
        if !name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_')) {
            let message = format!("the anchor {name} has other characters than letters, digits, '-' and '_'");
            self.mistake(&span.start, message);
        }
        if self.is_below {
            self.shared_below_unsafe(span);
        }
        if !self.anchors.insert(name.to_owned()) {
            self.mistake(&span.start, format!("the anchor {name} is defined twice"));
        }
    }

    /// A blank follows a tag, and a value the bare `!`, whose meaning without one differs.
    fn tag(&mut self, event: &Event, span: &Span) {
        let Some(tag) = span.tag_span() else { return };
        if tag.slice(self.text) == Some("!") && span.is_empty() && event.scalar().is_some() {
            self.mistake(&tag.start, "a value must follow the tag !");
        }
        let Some(after) = tag.byte_range().and_then(|range| self.text.get(range.end..)) else { return };
        if !after.is_empty() && !after.starts_with([' ', '\t', '\n', '\r', ',']) {
            self.mistake(&tag.start, "a blank must follow the tag");
        }
    }

    fn key(&mut self, event: &Event, span: &Span) {
        let Event::Scalar(_, style, anchor, tag) = event else { return };
        if span.is_empty() && *anchor == 0 && tag.is_none() {
            self.mistake(&span.start, "a key is missing before the colon");
        }
        let on_one_line =
            matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        if on_one_line && span.start.line() != span.end.line() {
            self.mistake(&span.start, "a key must be on one line");
        }
    }
}
