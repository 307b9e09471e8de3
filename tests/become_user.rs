//! What a playbook does on the control node it does as the user who runs it, whatever the hosts become.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::roles::{root, yaml_files};

/// Every task for the control node in playbooks and roles, with the file it stands in.
fn delegated() -> Vec<(PathBuf, Value)> {
    let playbooks = fs::read_dir(root()).unwrap().map(|it| it.unwrap().path());
    let playbooks = playbooks.filter(|it| it.extension().is_some_and(|it| it == "yml") && !it.is_symlink());
    let mut found = Vec::new();
    for file in playbooks.chain(yaml_files(&root().join("roles"))) {
        let text = fs::read_to_string(&file).unwrap();
        if text.contains("localhost") || text.contains("local_action") {
            let tree: Value = serde_saphyr::from_str(&text).unwrap();
            let mut tasks = Vec::new();
            collect(&tree, &mut tasks);
            found.extend(tasks.into_iter().map(|task| (file.clone(), task)));
        }
    }
    found
}

/// Tasks below `tree`, in blocks too, that are for the control node.
fn collect(tree: &Value, tasks: &mut Vec<Value>) {
    match tree {
        Value::Array(items) => items.iter().for_each(|it| collect(it, tasks)),
        Value::Object(entries) => {
            let local = |key: &str| matches!(entries.get(key), Some(Value::String(it)) if it == "localhost" || it == "local");
            if local("delegate_to") || local("connection") || entries.contains_key("local_action") {
                tasks.push(tree.clone());
            }
            entries.values().for_each(|it| collect(it, tasks));
        }
        _ => {}
    }
}

#[test]
fn every_task_for_the_control_node_says_that_it_does_not_become() {
    let tasks = delegated();
    assert!(tasks.len() >= 13, "the guard sees them: {}", tasks.len());
    for (file, task) in tasks {
        // The variable beats the keyword, and `-b` sets the keyword's default.
        let says = (&task["become"], &task["vars"]["ansible_become"]);
        let refused = (&json!(false), &json!(false));
        assert_eq!(
            says,
            refused,
            "{}: '{}' needs `become: false` and `vars: {{ansible_become: false}}`",
            file.display(),
            task["name"]
        );
    }
}

#[test]
fn no_task_for_the_control_node_becomes_another_user() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("bin")).unwrap();
    fs::write(at("bin/sudo"), "#!/bin/sh\necho sudo was called >&2\nexit 1\n").unwrap();
    fs::set_permissions(at("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
    // Another user than the one of this test, or Ansible would see no need for sudo.
    fs::write(
        at("hosts"),
        "host1 ansible_connection=local\n[all:vars]\nansible_become=true\nansible_become_user=nobody\n",
    )
    .unwrap();
    let keywords = |task: Value| {
        let kept =
            ["name", "delegate_to", "run_once", "become", "vars"].iter().filter(|it| !task[**it].is_null());
        let mut play: serde_json::Map<_, _> = kept.map(|it| ((*it).into(), task[*it].clone())).collect();
        play.insert("ansible.builtin.command".into(), json!("true"));
        play
    };
    let tasks: Vec<_> = delegated().into_iter().map(|(_, task)| keywords(task)).collect();
    let play = json!([{"hosts": "all", "become": true, "gather_facts": false, "tasks": tasks}]);
    fs::write(at("play.yml"), play.to_string()).unwrap();
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    for arguments in [&[][..], &["--become"]] {
        let mut ansible = Command::new(root().join(".venv/bin/ansible-playbook"));
        ansible.args(["--inventory=hosts", "play.yml"]).args(arguments).current_dir(directory.path());
        let done = ansible.env("PATH", &path).output().expect("make installs .venv");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stdout));
    }
}
