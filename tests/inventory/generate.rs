//! Inventories and values made by chance, near what operators write and near the edges of the grammars.

use crate::support::Random;
use minicluster::inventory::{Hosts, output::ServiceGroup};
use std::fmt::Write;

const GROUPS: [&str; 9] = ["web", "db", "core", "eu", "us", "ungrouped", "all", "x-y", "a.b"];
const HOSTS: [&str; 16] = [
    "web1",
    "web2",
    "db1",
    "h[1:3]",
    "h[01:03]",
    "n[a:c].x",
    "r[1:2]-[a:b]",
    "web1:2222",
    "10.0.0.[1:2]",
    "[::1]:22",
    "fe80::1",
    "[1:5:2]",
    "k[3:1]",
    "localhost",
    "web",
    "é.example",
];
const NAMES: [&str; 9] =
    ["a", "b", "zone", "ansible_port", "ansible_host", "ansible_group_priority", "x-y", "k1", "addresses"];
const LITERALS: [&str; 24] = [
    "1",
    "'two words'",
    "\"[1, 'a']\"",
    "'{\"k\": [1, 2]}'",
    "True",
    "yes",
    "None",
    "0x1f",
    "010",
    "1.50",
    "1e3",
    "''",
    "a=b",
    "{{ other }}",
    "'a' 'b'",
    "b'x'",
    "10.0.0.1",
    "5j",
    "a\\ b",
    "\"q\\\"q\"",
    "x#comment",
    "/etc/x",
    "-7",
    "()",
];
const TOKENS: [&str; 52] = [
    "1", "0", "-", "+", "'", "\"", "[", "]", "{", "}", "(", ")", ",", ":", " ", ".", "e", "E", "j", "_", "x",
    "0x", "0b", "0o", "True", "None", "a", "b'", "r'", "u\"", "\\", "\\n", "\\x41", "\\u00e9", "#", "...",
    "set()", "{}", "[]", "''", "é", "12", "9.5", "f'", "'''", "=", "\\101", "\t", ";", "*", "{{ x }}", "1_0",
];
const SCALAR_TOKENS: [&str; 44] = [
    "1",
    "0",
    "-",
    "+",
    ".",
    ":",
    "_",
    "e",
    "E",
    "0x",
    "0b",
    "0o",
    "7",
    "59",
    "60",
    "2024-01-02",
    "T",
    "t",
    " ",
    "Z",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "null",
    "~",
    ".inf",
    ".nan",
    "a",
    "é",
    "12",
    "10:30",
    "08",
    "1.5",
    "!!str ",
    "!!int ",
    "!unsafe ",
    "'",
    "\"",
    "\\x41",
    "2024-2-3 04:05:06",
    "!!float ",
    "<<",
];

/// A few tokens in a row: mostly text, often nearly a literal of Python.
pub fn literal(random: &mut Random) -> String {
    if random.once_in(4) {
        return nested(random, 3);
    }
    joined(random, &TOKENS, 6)
}

/// A literal of Python with brackets that match.
fn nested(random: &mut Random, depth: usize) -> String {
    let scalars =
        ["1", "-2", "'a'", "\"b\"", "None", "True", "1.5", "x", "0x1F", "1e400", "b'q'", "'\\x41'", "1j"];
    if depth == 0 || random.once_in(3) {
        return random.one(&scalars).to_owned();
    }
    let items: Vec<String> = (0..random.below(4)).map(|_| nested(random, depth - 1)).collect();
    let joint = random.one(&[",", ", ", " , "]);
    match random.below(4) {
        0 => format!("[{}]", items.join(joint)),
        1 => format!("({})", items.join(joint)),
        2 => items.join(joint),
        _ => {
            let pairs: Vec<String> =
                items.iter().map(|item| format!("{}: {item}", random.one(&scalars))).collect();
            format!("{{{}}}", pairs.join(joint))
        }
    }
}

/// A few tokens in a row: mostly text, often nearly a number, date or bool of YAML 1.1.
pub fn scalar(random: &mut Random) -> String {
    joined(random, &SCALAR_TOKENS, 5)
}

fn joined(random: &mut Random, tokens: &[&str], most: usize) -> String {
    (0..=random.below(most)).map(|_| random.one(tokens)).collect()
}

/// An INI inventory; about one in five has a mistake.
pub fn ini(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(4) {
        ini_host(random, &mut text);
    }
    for _ in 0..random.below(7) {
        let group = random.one(&GROUPS);
        match random.below(6) {
            0 | 1 => {
                let _ = writeln!(text, "[{group}:vars]");
                for _ in 0..random.below(4) {
                    let (name, value) = (random.one(&NAMES), ini_value(random));
                    let _ = writeln!(text, "{name} = {value}");
                }
            }
            2 => {
                let _ = writeln!(text, "[{group}:children]");
                for _ in 0..=random.below(2) {
                    let _ = writeln!(text, "{}", random.one(&GROUPS));
                }
            }
            _ => {
                let _ = writeln!(text, "[{group}]{}", random.one(&["", "  # comment"]));
                for _ in 0..random.below(5) {
                    ini_host(random, &mut text);
                }
            }
        }
        if random.once_in(25) {
            text.push_str(random.one(&["[x:y]\n", "[ ]\n", "host nokey\n", "h[1:\n", "'open\n", "web1:\n"]));
        }
    }
    if random.once_in(2) {
        // Declares what a section above may only have named.
        text.push_str("[web]\n[db]\n[core]\n[eu]\n[us]\n[x-y]\n[a.b]\n");
    }
    text
}

fn ini_host(random: &mut Random, text: &mut String) {
    text.push_str(random.one(&["", "", "  "]));
    text.push_str(random.one(&HOSTS));
    for _ in 0..random.below(3) {
        let (name, value) = (random.one(&NAMES), ini_value(random));
        let _ = write!(text, " {name}={value}");
    }
    text.push_str(random.one(&["\n", "\n", " # comment\n", "\n\n", "\n; comment\n"]));
}

fn ini_value(random: &mut Random) -> String {
    if random.once_in(8) { random.below(100).to_string() } else { random.one(&LITERALS).to_owned() }
}

/// A YAML inventory; about one in five has a mistake.
pub fn yaml(random: &mut Random) -> String {
    let mut text = random.one(&["", "", "---\n", "# comment\n"]).to_owned();
    if random.once_in(4) {
        text.push_str("anchored: &shared\n  vars: {a: 1, b: [x, 010]}\n");
    }
    let mut names = vec!["all", "web", "db", "core", "eu"];
    for _ in 0..=random.below(3) {
        let name = names.remove(random.below(names.len()));
        yaml_group(random, &mut text, name, 0, 2);
    }
    text
}

fn yaml_group(random: &mut Random, text: &mut String, name: &str, indent: usize, depth: usize) {
    let pad = " ".repeat(indent);
    if random.once_in(30) {
        let _ = writeln!(text, "{pad}{name}: {}", random.one(&["text", "[a, b]", "5", "''"]));
        return;
    }
    let _ = writeln!(text, "{pad}{name}:");
    if random.once_in(2) {
        let _ = writeln!(text, "{pad}  hosts:");
        for _ in 0..random.below(4) {
            let host = random.one(&HOSTS);
            let quoted = if host.starts_with(['[', '1']) { format!("'{host}'") } else { host.to_owned() };
            let _ = writeln!(text, "{pad}    {quoted}:");
            yaml_variables(random, text, indent + 6);
        }
    }
    if random.once_in(2) {
        let _ = writeln!(text, "{pad}  vars:");
        yaml_variables(random, text, indent + 4);
    }
    if depth > 0 && random.once_in(2) {
        let _ = writeln!(text, "{pad}  children:");
        for _ in 0..random.below(3) {
            let child = random.one(&["web", "db", "us", "x-y", "a.b", "core", "q"]);
            yaml_group(random, text, child, indent + 4, depth - 1);
        }
    }
    if random.once_in(30) {
        let _ = writeln!(
            text,
            "{pad}  {}",
            random.one(&["host: {a: }", "hosts: [a]", "hosts: lone", "vars: lone", "x: 1"])
        );
    }
}

fn yaml_variables(random: &mut Random, text: &mut String, indent: usize) {
    let pad = " ".repeat(indent);
    let fixed = [
        "yes",
        "010",
        "0o17",
        "12:30",
        "1e3",
        "1.5",
        "~",
        "'quoted'",
        "\"\\x41\\n\"",
        "[1, two, {three: 3}]",
        "!unsafe '{{ x }}'",
        "{k: v, 1: one, yes: 2}",
        "2024-01-02",
        "!!str 5",
        "|\n@  block\n@  text",
        ">-\n@  folded\n@  text",
        "!unsafe [a, 5, '5']",
        "{{ template }}",
        "'{{ template }}'",
        "!vault |\n@  $ANSIBLE_VAULT;1.1;AES256\n@  3161",
        "a: b",
        "-",
        "- x",
        "x # comment",
        "{<<: {a: 1, b: 2}, b: 3}",
        "&here [1]",
        "&here2 text",
        "!foo x",
        "",
        "0.1",
        ".inf",
        "é",
        "{<<: [{a: 1}, {a: 2, c: 3}]}",
        "{<<: [{one: 1, b: 2}, {b: 2, three: 3}], one: 4}",
        "{<<: {<<: {one: 1, two: 2}, one: 3}}",
    ];
    for _ in 0..random.below(3) {
        let name = random.one(&["a", "b", "zone", "ansible_group_priority", "k1", "x y", "3", "yes", "'4'"]);
        let value = random.one(&fixed).replace('@', &pad);
        let value =
            if name == "ansible_group_priority" { random.one(&["5", "'7'", "x"]).to_owned() } else { value };
        let _ = writeln!(text, "{pad}{name}: {value}");
    }
}

/// Services on all hosts, on the hosts of a group, on some hosts, and on none. The text seeds the choice.
pub fn services(hosts: &Hosts, text: &str) -> Vec<ServiceGroup> {
    let mut random = Random::from_seed(
        text.bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))),
    );
    let groups: Vec<&str> = hosts.groups().map(|group| group.name.as_str()).collect();
    (0..=random.below(5))
        .map(|index| {
            let members = match random.below(4) {
                0 => (0..hosts.len()).collect(),
                1 | 2 => hosts.hosts_of(random.one(&groups)).expect("a group of the file"),
                _ => (0..hosts.len()).filter(|_| random.once_in(3)).collect(),
            };
            let name = format!("service{index}");
            let variables = [(format!("enable_{name}"), serde_json::json!(true))].into_iter().collect();
            ServiceGroup { name, hosts: members, variables }
        })
        .collect()
}
