//! Guards on every module: its sidecar says what its argument spec says, and `ansible-doc` renders it.

use std::{collections::BTreeSet, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Map, Value, json};

use crate::support::modules;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn say(module: &str, flag: &str) -> String {
    let output = Command::new(crate::support::built(module)).arg(flag).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{module} {flag}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn sidecars_say_what_the_modules_take() {
    let modules = modules();
    let documented: BTreeSet<String> = (Path::new(ROOT).join("library").read_dir().unwrap())
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter_map(|it| it.strip_suffix(".yml").map(str::to_owned))
        .collect();
    assert_eq!(documented, modules, "sidecars, and the names of programs");
    // As `make` installs them: ansible-doc looks for the program and reads the sidecar beside it.
    let library = tempfile::tempdir().unwrap();
    for module in &modules {
        symlink(crate::support::built(module), library.path().join(module)).unwrap();
        let sidecar = format!("{module}.yml");
        let _ = symlink(Path::new(ROOT).join("library").join(&sidecar), library.path().join(sidecar));
    }
    let output = crate::support::python()
        .args(["-m", "ansible", "doc", "-t", "module", "--json", "-M"])
        .arg(library.path())
        .args(&modules)
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documented: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for module in &modules {
        let sidecar = &documented[module];
        for needed in
            ["/doc/short_description", "/doc/description", "/doc/attributes/check_mode", "/examples"]
        {
            if sidecar.pointer(needed).is_none_or(Value::is_null) {
                wrong.push(format!("library/{module}.yml: {needed} is missing"));
            }
        }
        let spec: Value = serde_json::from_str(&say(module, "--spec")).unwrap();
        let options = sidecar.pointer("/doc/options").cloned().unwrap_or_default();
        compare(&format!("library/{module}.yml"), &spec, &options, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(place: &str, spec: &Value, documented: &Value, wrong: &mut Vec<String>) {
    let none = Map::new();
    let (spec, documented) = (spec.as_object().unwrap_or(&none), documented.as_object().unwrap_or(&none));
    for name in spec.keys().chain(documented.keys()).collect::<BTreeSet<_>>() {
        let (Some(takes), Some(says)) = (spec.get(name), documented.get(name)) else {
            let fault = if spec.contains_key(name) { "is not documented" } else { "does not exist" };
            wrong.push(format!("{place}: option {name} {fault}"));
            continue;
        };
        for (key, otherwise) in [
            ("type", json!("str")),
            ("elements", Value::Null),
            ("required", json!(false)),
            ("default", Value::Null),
            ("choices", Value::Null),
            ("no_log", json!(false)),
        ] {
            let is = |option: &Value| option.get(key).cloned().unwrap_or(otherwise.clone());
            if is(takes) != is(says) {
                wrong.push(format!("{place}: {name}: {key} is {}, documented as {}", is(takes), is(says)));
            }
        }
        if says["description"].is_null() {
            wrong.push(format!("{place}: {name} has no description"));
        }
        compare(&format!("{place}: {name}"), &takes["options"], &says["suboptions"], wrong);
    }
}

#[test]
fn every_module_explains_itself() {
    for module in modules() {
        assert_eq!(say(&module, "--version"), format!("{module} {}\n", env!("CARGO_PKG_VERSION")));
        let help = say(&module, "--help");
        let spec: Map<String, Value> = serde_json::from_str(&say(&module, "--spec")).unwrap();
        for name in spec.keys() {
            assert!(
                help.contains(&format!("\n  {name} (")),
                "{module} --help does not tell of {name}:\n{help}"
            );
        }
    }
}

#[test]
fn the_program_acts_by_the_name_that_it_is_called_by() {
    let folder = tempfile::tempdir().unwrap();
    let called = |file: &str, arguments: &[&str]| {
        let path = folder.path().join(file);
        std::fs::copy(crate::support::built("node_files"), &path).unwrap();
        let output = Command::new(path).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let says = |module: &str| (true, format!("{module} {}\n", env!("CARGO_PKG_VERSION")));
    // A link, a copy; a copy that Ansible made on a host; one that the action plugin made there.
    assert_eq!(called("node_state", &["--version"]), says("node_state"));
    assert_eq!(called("AnsiballZ_node_state", &["--version"]), says("node_state"));
    assert_eq!(called("0a1b2c", &["node_state", "--version"]), says("node_state"));
    // What a file is called wins: its first argument may be a file of any name.
    assert!(!called("node_state", &["node_files", "--version"]).0);
    for arguments in [&[] as &[_], &["-"], &["nodestate", "-"]] {
        let (ended_well, answer) = called("AnsiballZ_mine", arguments);
        let answer: Value = serde_json::from_str(&answer).expect("Ansible is answered in JSON");
        let message = answer["msg"].as_str().unwrap();
        assert!(!ended_well && answer["failed"] == true, "{answer}");
        assert!(
            message.starts_with("mine is none of the modules") && message.contains("zeroconf_election"),
            "{message}"
        );
    }
}

#[test]
fn every_likely_secret_is_hidden() {
    fn look(module: &str, options: &Value, found: &mut Vec<String>) {
        for (name, option) in options.as_object().into_iter().flatten() {
            // Where Ansible warns of a missing no_log. A path to a secret is none.
            let likely =
                ["password", "passphrase", "secret", "private_key"].iter().any(|it| name.ends_with(it));
            if likely && option["no_log"] != true {
                found.push(format!("{module}: {name} is not no_log"));
            }
            look(module, &option["options"], found);
        }
    }
    let mut found = Vec::new();
    for module in modules() {
        look(&module, &serde_json::from_str(&say(&module, "--spec")).unwrap(), &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
}
