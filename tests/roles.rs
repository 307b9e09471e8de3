//! Guards on the roles: one shape for all, documented variables, reasons where Ansible's safeguards are off.

use std::{collections::BTreeSet, fs, path::Path, path::PathBuf, process::Command};

use serde_json::Value;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The roles; a second spelling of a name is a symbolic link and passed over.
fn roles() -> Vec<PathBuf> {
    let mut roles: Vec<_> = fs::read_dir(root().join("roles"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    roles.sort();
    assert!(roles.iter().any(|role| role.ends_with("common")), "the guards see the roles");
    roles
}

fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default()
}

/// All files below `directory` with one of the extensions YAML files have.
pub fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| !path.is_symlink());
    paths
        .flat_map(|path| if path.is_dir() { yaml_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|it| it == "yml" || it == "yaml"))
        .collect()
}

#[test]
fn every_role_has_the_same_files() {
    let files =
        ["README.md", "defaults/main.yml", "meta/main.yml", "meta/argument_specs.yml", "tasks/main.yml"];
    let missing: Vec<_> = roles()
        .iter()
        .flat_map(|role| files.iter().map(|file| role.join(file)))
        .filter(|path| !path.is_file())
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn a_template_is_named_as_one() {
    let in_role = |role: PathBuf| fs::read_dir(role.join("templates")).into_iter().flatten();
    let named: Vec<PathBuf> = roles().into_iter().flat_map(in_role).map(|it| it.unwrap().path()).collect();
    let strange: Vec<_> = named.iter().filter(|it| it.extension().is_none_or(|it| it != "j2")).collect();
    assert!(named.len() > 10 && strange.is_empty(), "end these with .j2: {strange:?}");
}

#[test]
fn defaults_are_what_argument_specs_document() {
    for role in roles() {
        let defaults = keys(&yaml(&role.join("defaults/main.yml")));
        let specs = yaml(&role.join("meta/argument_specs.yml"));
        let options: Vec<_> = specs["argument_specs"]
            .as_object()
            .unwrap_or_else(|| panic!("{}: argument_specs is a mapping", role.display()))
            .values()
            .filter_map(|entry| entry["options"].as_object())
            .flatten()
            .collect();
        // A variable that must be given has no default.
        let optional = options.iter().filter(|(_, it)| it["required"] != Value::Bool(true));
        let documented: BTreeSet<_> = optional.map(|(name, _)| (*name).clone()).collect();
        assert_eq!(
            defaults,
            documented,
            "{}: defaults/main.yml and argument_specs.yml differ",
            role.display()
        );
        for (name, option) in options {
            assert!(option["description"].is_string(), "{}: describe {name}", role.display());
        }
    }
}

#[test]
fn a_role_names_its_variables_after_itself() {
    // What an operator sets for the whole cluster or a host, and the parameter of service_setup.
    let shared = ["domain", "domain_public", "private_dir", "addresses", "cluster_networks", "service"];
    for role in roles() {
        let prefix = format!("{}_", role.file_name().unwrap().to_string_lossy());
        let public = keys(&yaml(&role.join("defaults/main.yml")));
        let strange: Vec<_> = public
            .iter()
            .filter(|name| !name.starts_with(&prefix) && !shared.contains(&name.as_str()))
            .collect();
        assert!(strange.is_empty(), "{}: start these with {prefix}: {strange:?}", role.display());
        let vars = role.join("vars/main.yml");
        if vars.exists() {
            let private = keys(&yaml(&vars));
            let strange: Vec<_> =
                private.iter().filter(|name| !name.starts_with(&format!("_{prefix}"))).collect();
            assert!(strange.is_empty(), "{}: start these with _{prefix}: {strange:?}", vars.display());
        }
    }
}

#[test]
fn a_task_file_fits_a_screen() {
    let long: Vec<_> = roles()
        .iter()
        .flat_map(|role| yaml_files(&role.join("tasks")))
        .filter(|path| fs::read_to_string(path).unwrap().lines().count() > 60)
        .collect();
    assert!(long.is_empty(), "split these into named parts: {long:?}");
}

/// Lines that switch a safeguard off without a comment right above or behind them.
fn without_reason(text: &str) -> Vec<usize> {
    let lines: Vec<_> = text.lines().collect();
    let is_comment = |line: &str| line.trim_start().starts_with('#');
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let switch = [
            "changed_when: false",
            "ignore_errors:",
            "ignore_unreachable:",
            "check_mode: false",
            "failed_when: false",
        ];
        let has_reason = line.contains(" # ") || index > 0 && is_comment(lines[index - 1]);
        if !is_comment(line) && switch.iter().any(|it| line.trim_start().starts_with(it)) && !has_reason {
            found.push(index + 1);
        }
    }
    found
}

#[test]
fn a_safeguard_that_is_off_says_why() {
    assert_eq!(without_reason("a:\n  changed_when: false\n"), [2], "the guard sees one");
    assert!(without_reason("a:\n  # It only reads.\n  changed_when: false\n").is_empty());
    let mut files = yaml_files(&root().join("roles"));
    files.extend(yaml_files(&root().join("molecule")));
    files.push(root().join("site.yml"));
    for file in files {
        let lines = without_reason(&fs::read_to_string(&file).unwrap());
        assert!(lines.is_empty(), "{}: lines {lines:?} need a comment with the reason", file.display());
    }
}

#[test]
fn no_play_is_for_the_control_node_and_no_host_can_end_the_run() {
    let mut plays = 0;
    for play in yaml(&root().join("site.yml")).as_array().unwrap() {
        // A play for localhost is skipped by --limit; a play for a group ends the run with its last host.
        assert_eq!(play["hosts"], "all", "{}", play["name"]);
        plays += 1;
    }
    assert!(plays >= 4);
    for file in yaml_files(&root().join("roles")).into_iter().chain([root().join("site.yml")]) {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["any_errors_fatal", "max_fail_percentage", "meta: end_play", "hosts: localhost"] {
            assert!(!text.contains(word), "{}: {word} lets one host stop the others", file.display());
        }
    }
}

/// Strings below this key, at any depth.
fn below<'a>(tree: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match tree {
        Value::Object(map) => {
            match &map.get(key) {
                Some(Value::String(name)) => found.push(name),
                Some(Value::Array(names)) => found.extend(names.iter().filter_map(Value::as_str)),
                _ => (),
            }
            for it in map.values() {
                below(it, key, found);
            }
        }
        Value::Array(list) => {
            for it in list {
                below(it, key, found);
            }
        }
        _ => (),
    }
}

#[test]
fn what_is_notified_exists() {
    let playbook = yaml(&root().join("site.yml"));
    let handlers: Vec<&str> = (playbook.as_array().unwrap().iter())
        .filter_map(|play| play["handlers"].as_array())
        .flatten()
        .filter_map(|it| it["name"].as_str())
        .collect();
    let (mut notified, mut files) = (Vec::new(), yaml_files(&root().join("roles")));
    files.push(root().join("site.yml"));
    let trees: Vec<Value> = files.iter().map(|it| yaml(it)).collect();
    for tree in &trees {
        below(tree, "notify", &mut notified);
    }
    assert!(!notified.is_empty(), "the guard sees one");
    for name in notified {
        assert!(handlers.contains(&name), "site.yml has no handler {name:?}");
    }
}

/// Alertmanager takes only an address, and would look for one by netlink, which its unit forbids.
#[test]
fn alertmanager_advertises_an_address_also_where_only_names_are_known() {
    let program = root().join("roles/alertmanager/templates/address.j2");
    for (arguments, advertised) in [
        (&["10.0.0.1", "10.0.0.2"][..], Some("10.0.0.1:9094")),
        (&["[fe80::1]", "[fe80::2]"], Some("[fe80::1]:9094")),
        (&["127.0.0.1", "127.0.0.2"], Some("127.0.0.1:9094")),
        // Alone it is called by nobody; what others cannot call is refused.
        (&["localhost"], Some(":9094")),
        (&["localhost", "127.0.0.1"], None),
        (&["no-such-name.invalid", "nor-this.invalid"], None),
    ] {
        let done = Command::new("python3").arg(&program).args(arguments).output().unwrap();
        let (said, why) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        match advertised {
            Some(address) => {
                let whole = address.starts_with(':') || said.ends_with(&format!("={address}\n"));
                assert!(said.trim_end().ends_with(address) && whole, "{arguments:?}: {said}{why}");
            }
            None => {
                assert!(!done.status.success() && why.contains(arguments[0]), "{arguments:?}: {said}{why}");
            }
        }
    }
}

/// What the README shows for `prometheus_rules` reaches Prometheus as it is written there.
#[test]
fn rules_keep_their_templates() {
    let readme = fs::read_to_string(root().join("roles/prometheus/README.md")).unwrap();
    let example = readme.split("```yaml\n").nth(1).and_then(|it| it.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.yml"), example).unwrap();
    let play = format!(
        "- hosts: localhost\n  gather_facts: false\n  vars_files: [{0}/defaults/main.yml, example.yml]\n  tasks:\n    \
         - ansible.builtin.copy: {{dest: '{1}/rules', content: \"{{{{ lookup('template', '{0}/templates/rules.yml.j2') }}}}\"}}\n",
        root().join("roles/prometheus").display(),
        folder.path().display(),
    );
    fs::write(folder.path().join("play.yml"), play).unwrap();
    let run = Command::new(root().join(".venv/bin/ansible-playbook"))
        .args(["-i", "localhost,", "-c", "local", "play.yml", "-e"])
        .arg(format!("ansible_python_interpreter={}", root().join(".venv/bin/python").display()))
        .env("ANSIBLE_HOME", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let rules = yaml(&folder.path().join("rules"));
    let own = rules["groups"].as_array().unwrap().iter().find(|it| it["name"] == "mine").unwrap();
    let summary = "{{ $labels.mountpoint }} on {{ $labels.host }} is full";
    assert_eq!(own["rules"][0]["annotations"]["summary"], summary);
}
