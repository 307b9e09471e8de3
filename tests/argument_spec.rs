//! Ansible's own code judges the conversion of arguments: the same specs and values go through both.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use crate::support::Random;
use minicluster::{
    module::{Argument, Kind, Spec, convert::convert, no_log},
    text::python,
};
use serde_json::{Map, Value, json};

const CASES: usize = 20_000;
const NAMES: &[&str] = &["name", "state", "port", "key", "list"];
const CHOICES: &[&[&str]] =
    &[&["a", "b"], &["yes", "b"], &["yes", "on"], &["off", "1"], &["", "None"], &["False"]];
/// Texts on which the types disagree.
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "yes",
    "No",
    " ON ",
    "t",
    "True",
    "False",
    "None",
    "null",
    "0",
    "1",
    "-1",
    "+7",
    "3.0",
    "1e3",
    "1E-2",
    "1_000",
    "_1",
    "1__0",
    ".5",
    "5.",
    "1.5",
    " 12 ",
    "0x10",
    "010",
    "inf",
    "nan",
    "1e400",
    "1e19",
    "18446744073709551615",
    "a,b",
    "a, b,",
    ",",
    "1,2",
    "a=1",
    "a=1 b=2",
    "name=x, port=2",
    "a='x, y'",
    "a=\"b",
    "a\\=1=2",
    "a=1,b",
    "=",
    "key=s3cret",
    "{}",
    "{\"a\": 1}",
    "{'a': None, 'port': 0x1f}",
    "{'a': (1,)}",
    "{'a'}",
    "{a: 1}",
    "{\"name\": \"x\"}",
    "{'key': 'se\\x63ret'}",
    "{\"a\": 1},{\"b\": 2}",
    "a=1,{'b': 2}",
    "[1, 2]",
    "['a', \"b\"]",
    "~",
    "~/x",
    "~root/x",
    "~nobody-here",
    "$HOME/x",
    "${HOME}$NOPE",
    "$",
    "\u{e9}'\"\n",
    "\u{1c}1\u{1f}",
    "\u{a0}2",
    "{'a': 'b' 'c', 1: 2,}",
    "{'a': [1, -2, {'b': True}]}",
    "{ }",
    "{",
];

#[test]
fn conversion_is_ansibles() {
    let mut random = Random::new();
    let cases: Vec<(Spec, Map<String, Value>)> = (0..CASES)
        .map(|_| {
            let spec = spec(&mut random, 2);
            let values = values(&mut random, &spec);
            (spec, values)
        })
        .collect();
    let verdicts = ansible(&cases);
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for ((spec, values), verdict) in cases.iter().zip(verdicts) {
        let ours = convert(spec, values.clone());
        let agree = match (&ours, verdict.get("values")) {
            (Ok(ours), Some(theirs)) => {
                accepted += 1;
                let secrets: BTreeSet<String> = no_log::collect(spec, values).into_iter().collect();
                same(&json!(ours), theirs) && verdict["secrets"] == json!(secrets)
            }
            (Err(_), None) => {
                refused += 1;
                true
            }
            _ => false,
        };
        if !agree {
            wrong.push(format!(
                "spec {}\nvalues {}\nansible {verdict}\nours {ours:?}",
                options(spec),
                json!(values)
            ));
        }
    }
    println!("{accepted} accepted, {refused} refused");
    wrong.sort_by_key(String::len);
    let shortest = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} of {CASES} differ:\n{shortest}", wrong.len());
    assert!(accepted > CASES / 10 && refused > CASES / 10, "the cases are lopsided");
}

/// Python leaves a boolean where an integer is wanted; the two are equal there.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|it| same(value, it)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(number), Value::Bool(flag)) => number.as_u64() == Some(u64::from(*flag)),
        _ => ours == theirs,
    }
}

fn ansible(cases: &[(Spec, Map<String, Value>)]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kit/argument_spec.py");
    let mut child =
        crate::support::python().arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<_> =
        cases.iter().map(|(spec, values)| json!({"spec": options(spec), "values": values})).collect();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in lines {
                writeln!(input, "{line}").unwrap();
            }
        });
        let verdicts: Vec<_> = output.lines().map(|it| serde_json::from_str(&it.unwrap()).unwrap()).collect();
        assert!(child.wait().unwrap().success());
        assert_eq!(verdicts.len(), cases.len());
        verdicts
    })
}

/// The spec as a Python module writes it.
fn options(spec: &Spec) -> Value {
    let option = |argument: &Argument| {
        let mut shown = json!({"type": argument.kind.name(), "required": argument.required,
            "default": argument.default, "no_log": argument.no_log});
        if let Kind::List(element) = &argument.kind {
            shown["elements"] = element.kind.name().into();
        }
        if !argument.choices.is_empty() {
            shown["choices"] = argument.choices.into();
        }
        if let Some(sub_options) = argument.sub_options() {
            shown["options"] = options(sub_options);
        }
        shown
    };
    spec.0.iter().map(|(name, argument)| ((*name).to_owned(), option(argument))).collect::<Map<_, _>>().into()
}

fn spec(random: &mut Random, depth: usize) -> Spec {
    let count = 1 + random.below(NAMES.len());
    Spec(NAMES[..count].iter().map(|name| (*name, argument(random, depth))).collect())
}

fn kind(random: &mut Random, depth: usize, list: bool) -> Kind {
    match random.below(if list { 11 } else { 9 }) {
        0 | 1 => Kind::Str,
        2 | 3 => Kind::Int,
        4 => Kind::Bool,
        5 => Kind::Float,
        6 => Kind::Path,
        7 => Kind::Raw,
        8 if depth > 0 && !random.once_in(3) => Kind::Dict(Some(spec(random, depth - 1))),
        8 => Kind::Dict(None),
        _ => Kind::List(Box::new(Argument { kind: kind(random, depth, false), ..Argument::raw() })),
    }
}

fn argument(random: &mut Random, depth: usize) -> Argument {
    let mut argument = Argument { kind: kind(random, depth, true), ..Argument::raw() };
    if random.once_in(4) {
        argument = argument.required();
    } else if random.once_in(3) {
        argument = argument.default(random.one(TEXTS));
    }
    if matches!(argument.kind, Kind::Str | Kind::Raw | Kind::Bool | Kind::List(_)) && random.once_in(4) {
        argument = argument.choices(CHOICES[random.below(CHOICES.len())]);
    }
    if random.once_in(5) { argument.no_log() } else { argument }
}

fn values(random: &mut Random, spec: &Spec) -> Map<String, Value> {
    let mut values = Map::new();
    for (name, argument) in &spec.0 {
        if !random.once_in(4) {
            values.insert((*name).to_owned(), fitting(random, argument));
        }
    }
    if random.once_in(20) {
        values.insert("other".into(), value(random, 1));
    }
    values
}

/// A value that the argument probably takes, or a text that says the same, or anything.
fn fitting(random: &mut Random, argument: &Argument) -> Value {
    if random.once_in(8) {
        return value(random, 2);
    }
    if !argument.choices.is_empty() && !random.once_in(3) && !matches!(argument.kind, Kind::List(_)) {
        return argument.choices[random.below(argument.choices.len())].into();
    }
    match &argument.kind {
        Kind::Int if random.once_in(2) => json!(random.below(100)),
        Kind::Int => random.one(&["1", "-20", " 3 ", "4.0", "5e2"]).into(),
        Kind::Float => json!(f64::from(u32::try_from(random.below(1000)).unwrap()) / 8.0),
        Kind::Bool => random.one(&[json!(true), json!("no"), json!(1), json!("On"), json!(0.0)]),
        Kind::List(element) if !random.once_in(4) => (0..random.below(4))
            .map(|_| fitting(random, &Argument { choices: argument.choices, ..(**element).clone() }))
            .collect(),
        Kind::Dict(Some(spec)) => {
            let inside = Value::Object(values(random, spec));
            match random.below(4) {
                0 => inside.to_string().into(),
                1 => python::repr(&inside).into(),
                _ => inside,
            }
        }
        Kind::Dict(None) => random.one(&[json!({"a": 1}), json!("a=1, b='2 3'"), json!("{'a': 1}")]),
        _ => random.one(TEXTS).into(),
    }
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth > 0 { 10 } else { 7 }) {
        0 => Value::Null,
        1 => random.once_in(2).into(),
        2 => random.one(&[json!(0), json!(1), json!(-7), json!(65536), json!(u64::MAX), json!(i64::MIN)]),
        3 => random.one(&[
            json!(0.0),
            json!(1.0),
            json!(-0.0),
            json!(2.5),
            json!(1e16),
            json!(1e-7),
            json!(1e300),
        ]),
        4 | 5 => random.one(TEXTS).into(),
        6 => mutated(random).into(),
        7 => (0..random.below(3)).map(|_| value(random, depth - 1)).collect(),
        8 => python::repr(&value(random, depth - 1)).into(),
        _ => (0..random.below(3))
            .map(|_| (random.one(NAMES).to_owned(), value(random, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// A text with some characters changed, for the parsers.
fn mutated(random: &mut Random) -> String {
    let mut text: Vec<char> = random.one(TEXTS).chars().collect();
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        let character = random.one(&[
            '0', '9', '.', 'e', '-', '_', ' ', '\'', '"', '\\', '{', '}', ',', '=', ':', 'x', '\n', '(',
        ]);
        if random.once_in(3) && at < text.len() {
            text.remove(at);
        } else {
            text.insert(at, character);
        }
    }
    text.into_iter().collect()
}
