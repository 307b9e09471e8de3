//! The grammar of Python literals; expressions that are no literals are not told from other text.

use super::tokens::{self, Number};

/// A literal as Python has it, before Ansible turns it into a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// Decimal digits with a sign.
    Integer(String),
    /// `1.5`.
    Float(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
    /// `...`.
    Ellipsis,
    /// `'text'`.
    Text(String),
    /// `b'bytes'`.
    Bytes(Vec<u8>),
    /// A list or a tuple.
    Sequence {
        /// What it holds.
        items: Vec<Literal>,
        /// Whether it can be a key.
        hashable: bool,
    },
    /// `{1, 2}`.
    Set(Vec<Literal>),
    /// In the order of the text, with keys that are repeated.
    Mapping(Vec<(Literal, Literal)>),
    /// Well-formed, but not to be evaluated.
    Refused(&'static str),
}

/// Python's tokenizer allows this many open brackets.
const MOST_NESTED: usize = 200;

/// The literal that is the whole text, comments aside.
pub fn parse(text: &str) -> Option<Literal> {
    let text = text.trim_start_matches([' ', '\t']);
    if text.contains('\0') {
        return None;
    }
    let mut parser = Parser { rest: text, depth: 0, unhashable_key: false };
    let literal = parser.list_without_brackets()?;
    parser.skip_lines();
    let literal = if parser.unhashable_key {
        Literal::Refused("a key of a dictionary is a list or a dictionary")
    } else {
        literal
    };
    parser.rest.is_empty().then_some(literal)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    /// Python fails on such a key, even where another value replaces that dictionary.
    unhashable_key: bool,
}

/// Whether a literal is a bare number, to which a sign or an imaginary part may be added.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Number,
    Signed,
    Other,
}

impl Parser<'_> {
    fn skip_blanks(&mut self) {
        // In brackets a line may end anywhere.
        if self.depth > 0 {
            return self.skip_lines();
        }
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
    }

    fn skip_lines(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c', '\r', '\n']);
            let Some(comment) = self.rest.strip_prefix('#') else { return };
            self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_blanks();
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    fn at(&mut self, token: &str) -> bool {
        self.skip_blanks();
        self.rest.starts_with(token)
    }

    /// `1, 2` is a tuple without brackets.
    fn list_without_brackets(&mut self) -> Option<Literal> {
        let first = self.sum()?.0;
        if !self.eat(",") {
            return Some(first);
        }
        let mut items = vec![first];
        loop {
            self.skip_blanks();
            if self.rest.is_empty() || self.rest.starts_with(['#', '\r', '\n']) {
                return Some(tuple(items));
            }
            items.push(self.sum()?.0);
            if !self.eat(",") {
                return Some(tuple(items));
            }
        }
    }

    /// A signed number with or without an imaginary part, or any other literal.
    fn sum(&mut self) -> Option<(Literal, Form)> {
        let (left, form) = self.signed()?;
        let negative = match (self.at("+"), self.at("-")) {
            (true, _) => false,
            (_, true) => true,
            _ => return Some((left, form)),
        };
        self.rest = &self.rest[1..];
        let (right, right_form) = self.signed()?;
        let real = match left {
            Literal::Integer(digits) if form != Form::Other => digits.parse().ok()?,
            Literal::Float(number) if form != Form::Other => number,
            _ => return None,
        };
        let Literal::Complex(_, imaginary) = right else { return None };
        if right_form != Form::Number {
            return None;
        }
        let imaginary = if negative { -imaginary } else { imaginary };
        Some((Literal::Complex(real, imaginary), Form::Other))
    }

    fn signed(&mut self) -> Option<(Literal, Form)> {
        if self.eat("-") {
            let (number, form) = self.signed()?;
            let negated = match number {
                Literal::Integer(digits) if digits == "0" => Literal::Integer(digits),
                Literal::Integer(digits) => Literal::Integer(format!("-{digits}")),
                Literal::Float(number) => Literal::Float(-number),
                Literal::Complex(real, imaginary) => Literal::Complex(-real, -imaginary),
                refused @ Literal::Refused(_) => refused,
                _ => return None,
            };
            return (form == Form::Number).then_some((negated, Form::Signed));
        }
        if self.eat("+") {
            let (number, form) = self.signed()?;
            return (form == Form::Number).then_some((number, Form::Signed));
        }
        self.atom()
    }

    fn atom(&mut self) -> Option<(Literal, Form)> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        if first.is_ascii_digit()
            || (first == '.' && self.rest[1..].starts_with(|it: char| it.is_ascii_digit()))
        {
            let (number, rest) = tokens::number(self.rest)?;
            self.rest = rest;
            let literal = match number {
                Number::Integer(digits) => Literal::Integer(digits),
                Number::Float(number) => Literal::Float(number),
                Number::Imaginary(number) => Literal::Complex(0.0, number),
                Number::Refused(reason) => Literal::Refused(reason),
            };
            return Some((literal, Form::Number));
        }
        match first {
            '(' => self.nested(Self::parenthesized),
            '[' => self.nested(|parser| {
                let items = parser.items("]")?;
                Some((Literal::Sequence { items, hashable: false }, Form::Other))
            }),
            '{' => self.nested(|parser| Some((parser.braced()?, Form::Other))),
            _ => Some((self.word_or_string()?, Form::Other)),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<(Literal, Form)>) -> Option<(Literal, Form)> {
        if self.depth == MOST_NESTED {
            return None;
        }
        self.rest = &self.rest[1..];
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    /// After `(`: nothing, one literal in brackets, or a tuple.
    fn parenthesized(&mut self) -> Option<(Literal, Form)> {
        if self.eat(")") {
            return Some((tuple(Vec::new()), Form::Other));
        }
        let (first, form) = self.sum()?;
        if self.eat(")") {
            return Some((first, form));
        }
        let mut items = vec![first];
        if self.eat(",") {
            items.extend(self.items(")")?);
            return Some((tuple(items), Form::Other));
        }
        None
    }

    /// Literals with commas between them, up to the closing bracket.
    fn items(&mut self, close: &str) -> Option<Vec<Literal>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.sum()?.0);
            if !self.eat(",") && !self.at(close) {
                return None;
            }
        }
        Some(items)
    }

    /// After `{`: a dictionary, or a set.
    fn braced(&mut self) -> Option<Literal> {
        if self.eat("}") {
            return Some(Literal::Mapping(Vec::new()));
        }
        let first = self.sum()?.0;
        if !self.eat(":") {
            let mut items = vec![first];
            if self.eat(",") {
                items.extend(self.items("}")?);
            } else if !self.eat("}") {
                return None;
            }
            return Some(Literal::Set(items));
        }
        let mut pairs = vec![(first, self.sum()?.0)];
        while self.eat(",") && !self.at("}") {
            let key = self.sum()?.0;
            if !self.eat(":") {
                return None;
            }
            pairs.push((key, self.sum()?.0));
        }
        self.unhashable_key |= pairs.iter().any(|(key, _)| !is_hashable(key));
        self.eat("}").then_some(Literal::Mapping(pairs))
    }

    fn word_or_string(&mut self) -> Option<Literal> {
        for (word, literal) in [
            ("True", Literal::Bool(true)),
            ("False", Literal::Bool(false)),
            ("None", Literal::None),
            ("...", Literal::Ellipsis),
        ] {
            let ends = |rest: &str| !rest.starts_with(tokens::continues_name);
            if self.rest.strip_prefix(word).is_some_and(|rest| word == "..." || ends(rest)) {
                // A quote right after a word would make it a prefix of a string.
                self.rest = &self.rest[word.len()..];
                return (!self.rest.starts_with(['"', '\''])).then_some(literal);
            }
        }
        if self.rest.starts_with("set") {
            self.rest = &self.rest[3..];
            return (self.eat("(") && self.eat(")")).then_some(Literal::Set(Vec::new()));
        }
        self.strings()
    }

    /// One or more strings side by side, all of text or all of bytes.
    fn strings(&mut self) -> Option<Literal> {
        let mut joined: Option<Literal> = None;
        loop {
            self.skip_blanks();
            let Some(opening) = tokens::opening(self.rest) else { return joined };
            let (part, rest) = tokens::string(self.rest, &opening)?;
            self.rest = rest;
            joined = Some(match (joined, part) {
                (None, part) => part,
                (Some(Literal::Text(one)), Literal::Text(other)) => Literal::Text(one + &other),
                (Some(Literal::Bytes(one)), Literal::Bytes(other)) => Literal::Bytes([one, other].concat()),
                (Some(refused @ Literal::Refused(_)), Literal::Text(_))
                | (Some(Literal::Text(_)), refused @ Literal::Refused(_)) => refused,
                _ => return None,
            });
        }
    }
}

fn tuple(items: Vec<Literal>) -> Literal {
    let hashable = items.iter().all(is_hashable);
    Literal::Sequence { items, hashable }
}

fn is_hashable(literal: &Literal) -> bool {
    match literal {
        Literal::Sequence { hashable, .. } => *hashable,
        Literal::Set(_) | Literal::Mapping(_) => false,
        _ => true,
    }
}
