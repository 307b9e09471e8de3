//! The program `minicluster` as Ansible and a shell meet it: streams, status, environment.
#![allow(clippy::expect_used, reason = "a test without its files is of no use")]

use std::path::Path;
use std::process::{Command, Output};

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).expect("the directory is writable");
}

fn minicluster(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minicluster"));
    command.args(arguments).current_dir(directory).env_clear();
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn mistakes_leave_standard_output_empty() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "hosts", "[core]\na\n");
    write(directory.path(), "services.yml", "web: {num_instance: 1}\n");
    for arguments in [vec!["--list"], vec!["--host", "a"], vec!["plan"], vec!["check"], vec!["lock"]] {
        let Output { status, stdout, stderr } =
            minicluster(directory.path(), &arguments).output().expect("it starts");
        assert_eq!((status.code(), text(&stdout)), (Some(1), String::new()), "{arguments:?}");
        assert!(
            text(&stderr).starts_with("services.yml:1:7: unknown attribute 'num_instance'"),
            "{arguments:?}"
        );
    }
    assert!(!directory.path().join("services.lock").exists());
}

#[test]
fn files_are_named_by_options_then_by_the_environment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, host) in [("hosts", "usual"), ("other", "environment"), ("third", "option")] {
        write(directory.path(), name, &format!("[core]\n{host}\n"));
    }
    let list = |arguments: &[&str], variable: &str| {
        let mut command = minicluster(directory.path(), arguments);
        let Output { status, stdout, .. } =
            command.env("MINICLUSTER_HOSTS", variable).output().expect("it starts");
        assert!(status.success());
        let list: serde_json::Value = serde_json::from_slice(&stdout).expect("it is JSON");
        list["core"]["hosts"][0].as_str().expect("there is a host").to_owned()
    };
    assert_eq!(list(&["--list"], ""), "usual");
    assert_eq!(list(&["--list"], "other"), "environment");
    assert_eq!(list(&["--list", "--hosts", "third"], "other"), "option");
}

/// Ansible stops at a mistake: it shows our message, and no host is contacted.
#[test]
fn ansible_shows_the_mistake_and_contacts_no_host() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    write(path, "hosts", "[core]\na ansible_connection=local\n");
    write(
        path,
        "play.yml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: touch contacted\n",
    );
    let configuration = std::fs::read_to_string(root.join("ansible.cfg")).expect("it is there");
    write(
        path,
        "ansible.cfg",
        &configuration.replace("inventory/minicluster", env!("CARGO_BIN_EXE_minicluster")),
    );
    let play = || {
        let bin = root.join(".venv/bin");
        let mut command = Command::new(bin.join("ansible-playbook"));
        let path_variable = format!("{}:/usr/bin:/bin", bin.display());
        command
            .args(["play.yml"])
            .current_dir(path)
            .env("PATH", path_variable)
            .output()
            .expect("make installs .venv")
    };
    write(path, "services.yml", "web: {num_instance: 1}\n");
    let broken = play();
    let said = text(&broken.stdout) + &text(&broken.stderr);
    assert!(!broken.status.success() && said.contains("did you mean 'num_instances'?"), "{said}");
    assert!(!path.join("contacted").exists(), "{said}");
    write(path, "services.yml", "web: {num_instances: 1}\n");
    let fine = play();
    assert!(fine.status.success() && path.join("contacted").exists(), "{}", text(&fine.stdout));
}
