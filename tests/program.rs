//! The program `minicluster` as Ansible and a shell meet it: streams, status, environment.

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
fn what_rewrites_a_terminal_is_shown_and_not_sent() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "hosts", "[core:\u{1b}]0;title\u{7}]\na\n");
    let done = minicluster(directory.path(), &["check"]).output().expect("it starts");
    let said = text(&done.stdout) + &text(&done.stderr);
    assert!(said.contains("^[]0;title^G") && !said.contains('\u{1b}'), "{said:?}");
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
    std::os::unix::fs::symlink(root.join("callback_plugins"), path.join("callback_plugins"))
        .expect("it is writable");
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

/// A home of the program as the repository is one, and a directory of the operator's own.
fn repository() -> (tempfile::TempDir, std::path::PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    std::fs::create_dir_all(home.join("inventory")).expect("it is writable");
    for name in [
        "ansible.cfg",
        "callback_plugins",
        "services.example.yml",
        "site.yml",
        "rotate.yml",
        "restore.yml",
        "purge.yml",
        "roles",
    ] {
        std::os::unix::fs::symlink(root.join(name), home.join(name)).expect("it is writable");
    }
    std::fs::copy(env!("CARGO_BIN_EXE_minicluster"), home.join("inventory/minicluster"))
        .expect("it is built");
    let own = directory.path().join("own");
    (directory, own)
}

#[test]
fn a_directory_of_ones_own_is_one_that_ansible_understands() {
    let (directory, own) = repository();
    let init = |arguments: &[&str]| {
        let program = directory.path().join("home/inventory/minicluster");
        let done =
            Command::new(program).args(arguments).current_dir(directory.path()).output().expect("it starts");
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    let said = init(&["init", "own", "--domain", "infra.example.com"]);
    assert!(
        said.contains(
            "made site.yml, rotate.yml, restore.yml, purge.yml, ansible.cfg, services.yml, group_vars/all"
        ),
        "{said}"
    );
    write(&own, "hosts", "[core]\nhost[1:3]\n");
    std::fs::create_dir_all(own.join("roles/mine/tasks")).expect("it is writable");
    std::fs::write(own.join("roles/mine/tasks/main.yml"), "[]\n").expect("it is writable");
    write(
        &own,
        "mine.yml",
        "- hosts: all\n  tasks:\n    - include_role: {name: mine}\n    - debug: {var: domain}\n",
    );
    let ansible = |arguments: &[&str]| {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(arguments[0]);
        let done =
            Command::new(program).args(&arguments[1..]).current_dir(&own).output().expect("Ansible starts");
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    };
    let graph = ansible(&["ansible-inventory", "--graph"]);
    assert!(graph.contains("@etcd:") && graph.contains("--host1"), "{graph}");
    let site = std::fs::read_link(own.join("site.yml")).expect("it is a link");
    assert_eq!(site, directory.path().canonicalize().expect("it is there").join("home/site.yml"));
    assert_eq!(ansible(&["ansible-playbook", "mine.yml"]).matches("domain: infra.example.com").count(), 3);
    // What the operator has made of it stays; a link that leads nowhere any more is mended.
    write(&own, "ansible.cfg", "# mine\n");
    std::fs::remove_file(own.join("rotate.yml")).expect("it is there");
    std::os::unix::fs::symlink("/nowhere/rotate.yml", own.join("rotate.yml")).expect("it is writable");
    std::fs::remove_file(own.join("site.yml")).expect("it is there");
    std::os::unix::fs::symlink("mine.yml", own.join("site.yml")).expect("it is writable");
    std::fs::rename(own.join("group_vars/all"), own.join("group_vars/all.yml")).expect("it is there");
    let said = init(&["init", "own", "--domain", "other.example.com"]);
    assert!(said.starts_with("own: made rotate.yml\n"), "{said}");
    assert!(
        said.contains("own/group_vars/all.yml is there: see that it says `domain: other.example.com`"),
        "{said}"
    );
    assert!(said.contains("ansible.cfg leads elsewhere"), "{said}");
    assert!(!own.join("group_vars/all").exists());
    assert_eq!(std::fs::read_link(own.join("site.yml")).expect("it is a link"), Path::new("mine.yml"));
    assert_eq!(std::fs::read_to_string(own.join("ansible.cfg")).expect("it is there"), "# mine\n");
    std::fs::remove_file(own.join("ansible.cfg")).expect("it is there");
    assert_eq!(init(&["init", "own"]), "own: made ansible.cfg\n");
    assert_eq!(init(&["init", "own"]), "own: nothing was missing\n");
    // Written by an earlier version.
    let settings = std::fs::read_to_string(own.join("ansible.cfg")).expect("it is there");
    let plugins = settings.lines().find(|it| it.starts_with("callback_plugins = /")).expect("a whole path");
    let earlier = settings.replace("task_timeout = 600\n", "").replace(&format!("{plugins}\n"), "");
    write(&own, "ansible.cfg", &earlier);
    let said = init(&["init", "own"]);
    for lacking in ["task_timeout = 600", plugins] {
        assert!(said.contains(&format!("ansible.cfg lacks `{lacking}`: add it")), "{said}");
    }
}

#[test]
fn a_program_without_its_roles_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let done = minicluster(directory.path(), &["init"]).output().expect("it starts");
    assert_eq!(done.status.code(), Some(1));
    assert!(
        text(&done.stderr).contains("in no directory `inventory` beside site.yml"),
        "{}",
        text(&done.stderr)
    );
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0);
}

#[test]
fn services_are_checked_before_there_are_hosts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "services.yml", "web: {public_endpoints: [{name: web, port: 80}]}\n");
    let check = || minicluster(directory.path(), &["check", "--without-hosts"]).output().expect("it starts");
    let good = check();
    let said = text(&good.stdout);
    assert!(good.status.success() && said.ends_with("6 services: no errors\n"), "{said}");
    assert!(said.starts_with("warning: services.yml:1:") && said.contains("has public_endpoints"), "{said}");
    write(directory.path(), "services.yml", "web: {num_instanses: 2}\n");
    let bad = check();
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        text(&bad.stderr).contains("services.yml:1:7: unknown attribute 'num_instanses'"),
        "{}",
        text(&bad.stderr)
    );
}

#[test]
fn a_group_called_as_a_service_that_is_off_is_the_operators_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "hosts", "[core]\na\n[etcd]\nb\n");
    let list = || minicluster(directory.path(), &["--list"]).output().expect("it starts");
    let refused = text(&list().stderr);
    assert!(refused.starts_with("hosts:3:1: host group 'etcd' has the name of a service"), "{refused}");
    write(directory.path(), "services.yml", "etcd: {enabled: false}\n");
    let listed = text(&list().stdout);
    assert_eq!(listed.matches("\"etcd\":{").count(), 1, "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("it is JSON");
    assert_eq!(listed["etcd"]["hosts"], serde_json::json!(["b"]));
}

#[test]
fn a_directory_is_no_file_and_options_stand_where_they_are_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "hosts", "[core]\na\n[all:vars]\ndomain=example.com\n");
    for option in ["--hosts", "--services", "--lock"] {
        let output = minicluster(directory.path(), &["check", option, "."]).output().expect("it starts");
        assert!(
            text(&output.stderr).contains("not a regular file; name a file in it"),
            "{option}: {output:?}"
        );
        let before = minicluster(directory.path(), &[option, ".", "check"]).output().expect("it starts");
        assert_eq!(before.stderr, output.stderr);
        for command in ["init", "schema", "user-data", "handover", "enrol"] {
            let output = minicluster(directory.path(), &[command, option, "x"]).output().expect("it starts");
            assert!(text(&output.stderr).contains("unexpected argument"), "{command} {option}: {output:?}");
        }
    }
}

#[test]
fn a_services_yml_that_was_lost_is_not_recorded_by_any_command() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write(directory.path(), "hosts", "[core]\na\n[all:vars]\ndomain=example.com\n");
    let locked = "minicluster-lock 2\nweb a\nend\n";
    write(directory.path(), "services.lock", locked);
    for arguments in [&["check"][..], &["lock"], &["rebalance", "--write"]] {
        let output = minicluster(directory.path(), arguments).output().expect("it starts");
        let said = text(&output.stderr);
        assert!(
            said.contains("services.yml: is missing") && said.contains("'web' from a"),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("services.lock")).expect("it is there"), locked);
}

#[test]
fn check_says_nothing_of_what_only_ansible_can_know() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = tempfile::tempdir().expect("a temporary directory");
    for role in ["web", "common", "core"] {
        std::fs::create_dir_all(home.path().join("roles").join(role)).expect("it is writable");
    }
    write(directory.path(), "hosts", "[core]\na\n");
    write(directory.path(), "services.yml", "web: {}\n");
    std::fs::create_dir(directory.path().join("group_vars")).expect("it is writable");
    // Neither a file that this program cannot read as YAML, nor roles below the home directory.
    write(directory.path(), "group_vars/all.yml", "domain: {{ from_elsewhere }}: x\n");
    for settings in ["roles_path = ~/roles\n", "roles_path = ~/roles ; mine\n", "roles_path = $ROLES\n"] {
        write(directory.path(), "ansible.cfg", &format!("[defaults]\n{settings}"));
        let output =
            minicluster(directory.path(), &["check"]).env("HOME", home.path()).output().expect("it starts");
        assert!(output.status.success(), "{settings}: {}", text(&output.stderr));
    }
    write(directory.path(), "ansible.cfg", "[defaults]\nroles_path = ~/elsewhere\n");
    let output =
        minicluster(directory.path(), &["check"]).env("HOME", home.path()).output().expect("it starts");
    assert!(text(&output.stderr).contains("service 'web' has no role"), "{output:?}");
}
