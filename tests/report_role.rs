//! The last play of a run, by Ansible itself: one list of what is left to do, whatever failed on the way.

use std::{fs, process::Command};

use serde_json::json;

use crate::roles::root;

/// A run in which two hosts do not answer, one fails, and services fail on two others: what it said, and its status.
fn run(arguments: &[&str]) -> (String, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let rotation =
        json!({"hosts": ["waits", "works", "given"], "proven": {"works": ""}, "abandoned": ["given"]});
    write("private/ssh/control.json", json!({"rotation": rotation}).to_string());
    write("roles/web/tasks/main.yml", "- fail: {msg: \"broken on purpose\\nat length\"}\n".into());
    write("roles/fine/tasks/main.yml", "- debug: {msg: fine runs}\n".into());
    let silent = json!({"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1});
    let inventory = json!({"all": {
        "hosts": {"waits": silent, "silent": silent, "breaks": {}, "sick": {}, "works": {}, "quiet": {}},
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": root().join(".venv/bin/python"),
            "private_dir": directory.path().join("private"), "domain": "example", "services": {"web": {"containers": []}, "fine": {"containers": []}}},
        "children": {"web": {"hosts": {"sick": {}}}, "fine": {"hosts": {"sick": {}, "works": {}}}},
    }});
    write("hosts.json", inventory.to_string());
    let play = |tasks: serde_json::Value, roles: &[&str]| json!({"hosts": "all", "gather_facts": false, "tasks": tasks, "roles": roles});
    let tasks = json!([
        {"debug": {"msg": {"notes": "x"}}, "register": "site_placement"},
        {"set_fact": {"site_placement": {"notes": "{{ notes | default(['bare: its role does not depend on service_setup']) }}"}}},
        {"ping": {}, "register": "__common_requests"},
        {"set_fact": {"__common_accounts": {"kept": ["user 'web' keeps the uid 998"]}}, "when": "inventory_hostname in ['sick', 'works']"},
        {"set_fact": {"__common_accounts": {"kept": []}}, "when": "inventory_hostname == 'breaks'"},
        {"fail": {"msg": "no disk"}, "when": "inventory_hostname == 'breaks'"},
        {"set_fact": {"core_failed": {"etcd": "no quorum"}}, "when": "inventory_hostname == 'works'"},
    ]);
    let plays = json!([play(tasks, &[]), play(json!([]), &["services"]), play(json!([]), &["report"])]);
    write("site.yml", plays.to_string());
    let mut ansible = Command::new(root().join(".venv/bin/ansible-playbook"));
    ansible.args(["--inventory=hosts.json", "site.yml"]).args(arguments).current_dir(directory.path());
    let done = ansible.env("ANSIBLE_ROLES_PATH", root().join("roles")).output().expect("make installs .venv");
    (String::from_utf8_lossy(&done.stdout).into_owned(), done.status.code())
}

#[test]
fn everything_that_is_left_to_do_is_in_one_list() {
    let (said, status) = run(&[]);
    assert!(said.contains("fine runs"), "another service goes on where one fails: {said}");
    let list =
        said.split_once("TASK [report : Report what is left to do]").unwrap_or_else(|| panic!("{said}")).1;
    let list = list.split("TASK [").next().unwrap();
    for line in [
        "waits: a rotation of the control key still waits for it: only the old key opens it. Run rotate.yml once it is up",
        "silent: it could not be reached. Run this again when it answers",
        "breaks: it could not be reached, or a task failed there: see above",
        "sick: web failed: broken on purpose. Mend that and run this again; --tags web is enough",
        "works: etcd failed: no quorum.",
        "sick, works: user 'web' keeps the uid 998",
        "bare: its role does not depend on service_setup",
    ] {
        assert!(list.contains(line), "{line} is missing: {list}");
    }
    assert!(list.contains("ok: ["), "the list itself fails nobody: {list}");
    assert!(said.contains("fatal: [sick]") && said.contains("fatal: [works]"), "{said}");
    assert_eq!(status, Some(4), "unreachable hosts: {said}");
}

#[test]
fn without_dead_hosts_a_failed_service_still_fails_the_run() {
    let (said, status) = run(&["--limit", "sick,works"]);
    assert!(
        !said.contains("a rotation of the control key") && !said.contains("could not be reached"),
        "{said}"
    );
    assert_eq!(status, Some(2), "{said}");
}

#[test]
fn nothing_to_do_is_no_list() {
    let (said, status) = run(&["--limit", "quiet", "--extra-vars", "{\"notes\": []}"]);
    assert!(!said.contains("could not be reached") && !said.contains("bare:"), "{said}");
    assert_eq!(status, Some(0), "{said}");
}
