//! `services.yml` judged from outside: its JSON Schema by a validator, its parser by damaged files.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Random;
use minicluster::services::{self, Services};
use minicluster::yaml::{self, Node, Value};
use serde_json::{Value as Json, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(text: &str) -> (Services, Vec<String>) {
    let text = text.to_owned();
    let file = |path: &Path| Ok(if path.ends_with("services.yml") { text.clone() } else { String::new() });
    let (services, mistakes) = Services::read(Some(Path::new("services.yml")), &file);
    (services, mistakes.iter().map(ToString::to_string).collect())
}

/// What a YAML 1.2 reader of an editor makes of a tree: plain words are numbers, booleans or null.
fn resolve(node: &Node) -> Json {
    match &node.value {
        _ if node.is_null() => Json::Null,
        Value::Scalar(text, true) => match text.as_str() {
            "true" | "yes" | "on" => json!(true),
            "false" | "no" | "off" => json!(false),
            text => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        },
        Value::Scalar(text, false) => json!(text),
        Value::Sequence(items) => items.iter().map(resolve).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|entry| (entry.key.text().unwrap_or("?").to_owned(), resolve(&entry.value)))
            .collect(),
    }
}

/// What python's jsonschema says of each text.
fn judge(texts: &[String]) -> Vec<Vec<String>> {
    let documents: Vec<Json> =
        texts.iter().map(|text| resolve(&yaml::load("services.yml", text).expect("it is YAML"))).collect();
    let mut python = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("tests/services_schema.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("make installs .venv");
    let task = json!({"schema": services::schema(), "documents": documents});
    python.stdin.take().expect("it is piped").write_all(task.to_string().as_bytes()).expect("it listens");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the validator refuses the schema itself");
    serde_json::from_slice(&output.stdout).expect("it answers")
}

/// The example file, with everything that it shows in comments as a service of its own.
fn examples() -> [String; 2] {
    let example = std::fs::read_to_string(root().join("services.example.yml")).expect("it is there");
    let shown = example.lines().skip_while(|line| *line != "# example:").map(|line| {
        line.strip_prefix("# ").or_else(|| line.strip_prefix('#')).expect("the rest is a comment")
    });
    let shown: Vec<&str> = shown.take_while(|line| !line.starts_with("Long files")).collect();
    assert!(shown.len() > 30, "the comments are found");
    [example.clone(), format!("{example}\n{}", shown.join("\n"))]
}

#[test]
fn the_example_is_free_of_mistakes_with_all_that_it_shows() {
    for text in examples() {
        let (services, mistakes) = read(&text);
        assert_eq!((mistakes, services::check(&services)), (vec![], vec![]));
        assert!(services.services.contains_key("hello"));
    }
}

#[test]
fn schema_and_reader_agree() {
    let mut texts = examples().to_vec();
    texts.push(include_str!("../src/services/core.yml").to_owned());
    texts.push(
        "web: {containers: [{name: a, image: b, args: [--port, 8080, true], docker_options: 3}]}".into(),
    );
    texts.push(
        "web: {port: 80, rolling: all, health: {path: '/a?b', scheme: http, expect: 204}, containers: [{name: 2-a, image: b:1@sha256:c, \
         resources: {memory: 10m, cpus: 1.25}, user: 7, env: {A: 1, B: 'c d'}, health: {command: [a, ''], timeout: 9}}, {name: b, image: c, \
         resources: {memory: 1G, cpus: 0.05}, user: '0:10', tmpfs: ['/a:size=1m'], capabilities: [CAP_CHOWN], image_archive: a/b.tar}]}"
            .into(),
    );
    texts.push("web: {containers: [{name: a, image: b, args: ['', \"a\\tb\", \"a\\nb\"]}]}".into());
    texts.extend(["web:".into(), "include: a.yml".into(), "include: [a.yml]".into()]);
    let good = texts.len();
    texts.extend(
        [
            "web: {num_instance: 2}",
            "web: {num_instances: two}",
            "web: {num_instances: 0}",
            "web: {num_instances: [1]}",
            "web: {enabled: maybe}",
            "web: {units: web.service}",
            "web: {units: [web]}",
            "web: {units: [../x.service]}",
            "web: {user: Root}",
            "web: {user: a-name-of-more-than-thirty-one-characters}",
            "web: {scheduling_group: ''}",
            "web: {scheduling_group: [a]}",
            "web: {schedule_with: Other}",
            "web: {avoid: other}",
            "web: {spread_by: a-b}",
            "web: {role: ../role}",
            "web: {clients: prometheus}",
            "web: {clients: [a/b]}",
            "web: {service_credentials: [{}]}",
            "web: {service_credentials: [{name: a/b}]}",
            "web: {service_credentials: [{name: a, extra_san: ['a b']}]}",
            "web: {service_credentials: [{name: a, client_cert_mode: none}]}",
            "web: {monitoring_endpoints: [{}]}",
            "web: {monitoring_endpoints: [{port: 0}]}",
            "web: {monitoring_endpoints: [{port: 65536}]}",
            "web: {public_endpoints: [{port: 1, type: other}]}",
            "web: {public_endpoints: [{port: 1, name: A}]}",
            "web: {containers: [{name: a}]}",
            "web: {containers: [{name: a, image: b, volumes: {c: /d}}]}",
            "web: {containers: [{name: a, image: b, volumes: [c]}]}",
            "web: {containers: [{name: a, image: b, args: {a: b}}]}",
            "web: {containers: [{name: a_b, image: b}]}",
            "web: {containers: [{name: a, image: --privileged}]}",
            "web: {containers: [{name: a, image: 'b c'}]}",
            "web: {containers: [{name: a, image: b, env: [A]}]}",
            "web: {containers: [{name: a, image: b, env: {A-B: c}}]}",
            "web: {containers: [{name: a, image: b, image_archive: dir/}]}",
            "web: {containers: [{name: a, image: b, resources: {memory: 1T}}]}",
            "web: {containers: [{name: a, image: b, resources: {memory: 0m}}]}",
            "web: {containers: [{name: a, image: b, resources: {cpus: '0.0'}}]}",
            "web: {containers: [{name: a, image: b, resources: {cpus: half}}]}",
            "web: {containers: [{name: a, image: b, user: root}]}",
            "web: {containers: [{name: a, image: b, capabilities: [all]}]}",
            "web: {containers: [{name: a, image: b, capabilities: ['_X Y']}]}",
            "web: {containers: [{name: a, image: b, tmpfs: [run]}]}",
            "web: {containers: [{name: a, image: b, restart: sometimes}]}",
            "web: {containers: [{name: a, image: b, health: {path: health}}]}",
            "web: {health: {path: '/a b'}}",
            "web: {health: {path: /a, expect: 600}}",
            "web: {health: {path: /a, interval: 0}}",
            "web: {health: {path: /a, timeout: 2s}}",
            "web: {health: [/a]}",
            "web: {port: 0}",
            "web: {rolling: 0}",
            "web: [1]",
            "web: text",
            "-web: {}",
            "we_: {}",
            "include: {}",
            "include: [[a]]",
        ]
        .map(str::to_owned),
    );
    for (number, (text, judgement)) in texts.iter().zip(judge(&texts)).enumerate() {
        let (_, mistakes) = read(text);
        assert_eq!(mistakes.is_empty(), number < good, "the reader on {text}: {mistakes:?}");
        assert_eq!(judgement.is_empty(), number < good, "the schema on {text}: {judgement:?}");
    }
}

/// One random change of a text, at a character.
fn damage(random: &mut Random, text: &mut Vec<char>) {
    const PIECES: [&str; 24] = [
        ":",
        "- ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "'",
        "\"",
        "|",
        ">",
        "#",
        "\t",
        "\u{0}",
        "é",
        "%",
        "? ",
        "---\n",
        "99999999999999999999",
    ];
    let at = random.below(text.len() + 1);
    match random.below(4) {
        0 => {
            let end = (at + random.below(20)).min(text.len());
            text.drain(at..end);
        }
        1 => {
            let piece: Vec<char> = random.one(&PIECES).chars().collect();
            text.splice(at..at, piece);
        }
        2 => {
            let end = (at + random.below(60)).min(text.len());
            let copy = text[at..end].to_vec();
            let to = random.below(text.len() + 1);
            text.splice(to..to, copy);
        }
        _ => {
            text.truncate(at);
        }
    }
}

/// Damaged files are mistakes with a place, or files that mean something else; never a panic.
#[test]
fn no_file_makes_it_panic() {
    let [_, seed] = examples();
    let mut random = Random::new();
    for _ in 0..1000 {
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..=random.below(6) {
            damage(&mut random, &mut text);
        }
        let text: String = text.into_iter().collect();
        let result = std::panic::catch_unwind(|| {
            let (services, mistakes) = read(&text);
            (mistakes, services::check(&services))
        });
        let (mistakes, _) = result.unwrap_or_else(|_| panic!("it panics on:\n{text}"));
        for mistake in mistakes {
            assert!(
                mistake.starts_with("services.yml") && !mistake.contains('\n'),
                "{mistake:?} of:\n{text}"
            );
        }
    }
}

#[test]
fn contradictions_of_containers_are_errors_with_a_remedy() {
    for (text, expected) in [
        (
            "{containers: [{name: a, image: b}, {name: a, image: c}]}",
            "has two containers called 'a'; rename one",
        ),
        (
            "{containers: [{name: a, image: b, port: 1}, {name: b, image: c, port: 1}]}",
            "have port 1, and they share",
        ),
        ("{containers: [{name: front, image: b}]}", "'web-front' means something else"),
        ("{containers: [{name: master, image: b}]}", "'web-master' means something else"),
        (
            "{containers: [{name: api, image: b}]}\nweb-api: {role: none}",
            "as is service 'web-api' (services.yml:2)",
        ),
        (
            "{containers: [{name: a-b, image: b}]}\nweb-a: {containers: [{name: b, image: c}]}",
            "as is container 'a-b' of service 'web'",
        ),
        (
            "{containers: [{name: a, image: b}]}\nx: {units: [web-a.service], role: none}",
            "as is a unit of service 'x'",
        ),
        (
            "{containers: [{name: a123456789a123456789a123456789a123456789a123456789a123456789, image: b}]}",
            "has 64 characters, and a DNS label at most 63",
        ),
        ("{health: {interval: 3}}", "health of service 'web' checks nothing; say 'path'"),
        ("{health: {path: /}}", "health of service 'web' has a path and no port; say 'port'"),
        ("{health: {path: /, port: 1, command: [a]}}", "has both 'command' and 'path'; remove one"),
        ("{health: {command: [a], expect: 200}}", "is a command, which must end with 0: remove"),
        (
            "{containers: [{name: a, image: b, health: {path: /}}]}",
            "health of container 'a' of service 'web' has a path and no port",
        ),
        (
            "{master_election: true, role: none}\nweb-master: {role: none}",
            "'web-master' has the name that DNS has for the master of service 'web' (services.yml:1)",
        ),
    ] {
        let (services, mut mistakes) = read(&format!("web: {text}"));
        mistakes.extend(services::check(&services).iter().map(ToString::to_string));
        assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{text}: {mistakes:?}");
    }
    let (services, mistakes) = read(
        "web: {containers: [{name: app, image: a, port: 1, health: {path: /}}], public_endpoints: [{port: 1, scheme: http}], health: \
         {path: /up}}\nmail: {containers: [{name: app, image: a}, {name: db, image: a, port: 2}]}",
    );
    assert_eq!((mistakes, services::check(&services)), (vec![], vec![]), "one name in two services is fine");
    let web = services::metadata(&services.services["web"].service, None);
    assert_eq!(web["port"], 1);
    assert_eq!(web["rolling"], 1);
    let health = |path| json!({"command": [], "expect": 200, "interval": 5, "path": path, "port": 1, "scheme": "http", "timeout": 2});
    assert_eq!((&web["health"], &web["containers"][0]["health"]), (&health("/up"), &health("/")));
    assert_eq!(services::metadata(&services.services["mail"].service, None)["port"], 2);
}

#[test]
fn what_undoes_isolation_is_a_warning() {
    for (text, expected) in [
        ("docker_options: --privileged", "docker_options has '--privileged'"),
        ("docker_options: [--pid, host]", "docker_options has '--pid host'"),
        ("volumes: {/etc: /etc}", "'/etc' is not below /var/lib/web"),
        ("volumes: {/var/lib/web/../etc: /etc}", "is not below /var/lib/web"),
        ("capabilities: [SYS_ADMIN]", "it keeps the capability SYS_ADMIN"),
        ("user: 0", "it runs as root"),
    ] {
        let (services, mistakes) = read(&format!("web: {{containers: [{{name: a, image: b, {text}}}]}}"));
        assert_eq!(mistakes, Vec::<String>::new(), "{text}");
        let warnings: Vec<_> = services::isolation(&services).iter().map(ToString::to_string).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{text}: {warnings:?}");
        assert!(warnings[0].starts_with("services.yml:1:"), "{warnings:?}");
    }
    let (services, _) = read(
        "web: {containers: [{name: a, image: b, volumes: {/var/lib/web: /a, tmpfs: /b}, capabilities: [CHOWN]}]}",
    );
    assert!(services::isolation(&services).is_empty());
}
