//! Guards on what this repository is built from: licences, sources and bans of crates as `deny.toml` has them, and
//! Python packages of which each file is known by its hash.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The texts in the list `name` of `deny.toml`.
fn listed(name: &str) -> BTreeSet<String> {
    let text = read("deny.toml");
    let (_, rest) = text.split_once(&format!("\n{name} = [")).expect("the list is there");
    let (list, _) = rest.split_once(']').expect("it ends");
    let lines = list.lines().filter(|it| !it.trim_start().starts_with('#'));
    lines.flat_map(|it| it.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Whether an expression of SPDX, also in its old spelling with `/`, holds with these licences.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    let mut split = |word: &str| -> Vec<String> {
        let mut parts = vec![Vec::new()];
        for it in expression.replace('(', "( ").replace(')', " )").split_whitespace() {
            depth += i32::from(it == "(") - i32::from(it == ")");
            if it == word && depth == 0 {
                parts.push(Vec::new());
            } else {
                parts.last_mut().unwrap().push(it.to_owned());
            }
        }
        parts.into_iter().map(|it| it.join(" ")).collect()
    };
    let (either, all) = (split("OR"), split("AND"));
    if either.len() > 1 {
        return either.iter().any(|it| permits(it, allowed));
    }
    if all.len() > 1 {
        return all.iter().all(|it| permits(it, allowed));
    }
    match expression.trim().strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
        Some(inside) => permits(inside, allowed),
        None => allowed.contains(expression.trim()),
    }
}

#[test]
fn an_expression_of_licences_is_read() {
    let allowed = ["MIT", "ISC", "X WITH y"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/ISC", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR MIT) AND BSD", false),
        ("X WITH y OR GPL-3.0", true),
        ("X", false),
        ("", false),
    ] {
        assert_eq!(permits(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn crates_come_from_one_registry_and_none_is_banned() {
    let banned = listed("deny");
    let registries: BTreeSet<_> =
        listed("allow-registry").iter().map(|it| format!("registry+{it}")).collect();
    let text = read("Cargo.lock");
    let mut wrong = Vec::new();
    for package in text.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(" = "));
            line.map(|it| it.trim_matches('"').to_owned())
        };
        let name = field("name").unwrap();
        if banned.contains(&name) {
            wrong.push(format!("{name} is banned: deny.toml says why"));
        }
        let whole = match field("source") {
            Some(source) => {
                registries.contains(&source) && field("checksum").is_some_and(|it| it.len() == 64)
            }
            None => ["minicluster", "minicluster-discovery"].contains(&&*name),
        };
        if !whole {
            wrong.push(format!("{name} comes from elsewhere than {registries:?}, or without a checksum"));
        }
    }
    assert!(wrong.is_empty() && text.matches("[[package]]").count() > 50, "{wrong:#?}");
}

/// What daemons need is too large for a module that is copied to hosts.
#[test]
fn modules_need_nothing_of_what_daemons_need() {
    let tree = |package: &str| {
        let arguments =
            ["tree", "--offline", "--locked", "--prefix", "none", "--edges", "normal", "--package", package];
        let tree = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let needed = |it: &str| ["tokio", "tonic", "hickory-proto"].contains(&it);
        let text = String::from_utf8(tree.stdout).unwrap();
        text.lines()
            .filter_map(|it| it.split(' ').next())
            .filter(|it| needed(it))
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(tree("minicluster-discovery").len(), 3, "they are seen where they are");
    assert_eq!(tree("minicluster"), BTreeSet::new());
}

#[test]
fn crates_have_licences_that_are_allowed() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let allowed = listed("allow");
    let foreign = metadata["packages"].as_array().unwrap().iter().filter(|it| !it["source"].is_null());
    let mut count = 0;
    let wrong: Vec<_> = foreign
        .inspect(|_| count += 1)
        .filter(|it| !permits(it["license"].as_str().unwrap_or_default(), &allowed))
        .map(|it| format!("{}: {}", it["name"], it["license"]))
        .collect();
    assert!(wrong.is_empty() && count > 50, "not among the licences of deny.toml: {wrong:?} ({count} seen)");
}

/// `pip install --require-hashes` takes nothing else.
#[test]
fn every_file_of_every_python_package_is_known_by_its_hash() {
    for folder in ["", "bootstrap/"] {
        let locked = read(&format!("{folder}requirements.txt"));
        let mut names = BTreeSet::new();
        for entry in locked.replace("\\\n", " ").lines().filter(|it| !it.starts_with('#')) {
            let mut words = entry.split_whitespace();
            let (name, version) =
                words.next().and_then(|it| it.split_once("==")).unwrap_or_else(|| panic!("{entry}"));
            let hashes: Vec<_> = words.collect();
            let whole = |it: &&str| it.strip_prefix("--hash=sha256:").is_some_and(|it| it.len() == 64);
            assert!(!version.is_empty() && !hashes.is_empty() && hashes.iter().all(whole), "{folder}{entry}");
            names.insert(name.to_owned());
        }
        for wanted in read(&format!("{folder}requirements.in")).lines().filter(|it| !it.starts_with('#')) {
            let (name, _) = wanted.split_once("==").unwrap_or_else(|| panic!("{wanted} has no version"));
            let name = name.split('[').next().unwrap();
            assert!(
                names.contains(name),
                "run `make requirements`: {name} is not in {folder}requirements.txt"
            );
            let line = format!("{name}=={}", wanted.split_once("==").unwrap().1);
            assert!(locked.contains(&format!("{line} ")), "run `make requirements`: {wanted}");
        }
        assert!(names.contains("pyyaml"), "with all that they need");
    }
    for (file, times) in [("Makefile", 1), ("bootstrap/bundle", 1)] {
        let text = read(file);
        let installs =
            text.matches("pip install").count() - text.matches("pip install --quiet pip-tools").count();
        assert_eq!((installs, text.matches("--require-hashes").count()), (times, times), "{file}");
    }
}
