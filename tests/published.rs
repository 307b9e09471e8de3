//! What the inventory publishes for all roles, as the real program says it and Ansible evaluates it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

/// `all`'s variables for the cluster in `folder`.
fn published(folder: &Path, data: Option<&str>, home: Option<&str>) -> Value {
    let mut minicluster = Command::new(env!("CARGO_BIN_EXE_minicluster"));
    minicluster.arg("--list").current_dir(folder).env_clear();
    minicluster.env("PATH", std::env::var_os("PATH").unwrap());
    let given = [("XDG_DATA_HOME", data), ("HOME", home)];
    minicluster.envs(given.into_iter().filter_map(|(name, it)| Some((name, it?))));
    let output = minicluster.output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    list["all"]["vars"].clone()
}

/// What the template is for every host of `hosts`.
fn evaluated(folder: &Path, hosts: &str, template: &str) -> String {
    fs::write(folder.join("hosts"), hosts).unwrap();
    let inventory = folder.join("inventory");
    fs::write(&inventory, format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_minicluster"))).unwrap();
    fs::set_permissions(&inventory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut ansible = crate::support::python();
    ansible.args(["-m", "ansible", "adhoc", "-i", "./inventory", "all", "-c", "local", "-m", "debug"]);
    let message = json!({"msg": format!("<{template}>")});
    ansible.args(["-a", &message.to_string()]).current_dir(folder);
    ansible.env("ANSIBLE_HOME", folder).env("XDG_DATA_HOME", "/data");
    let shown = ansible.output().unwrap();
    String::from_utf8_lossy(&shown.stdout).into_owned() + &String::from_utf8_lossy(&shown.stderr)
}

#[test]
fn a_home_that_is_no_absolute_path_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), "[core]\na\n").unwrap();
    // The account's own directory, as the system knows it.
    let account = rustix::process::getuid().as_raw().to_string();
    let passwd = Command::new("getent").args(["passwd", &account]).output().unwrap();
    let passwd = String::from_utf8(passwd.stdout).unwrap();
    let own = format!("{}/.local/share", passwd.split(':').nth(5).unwrap());
    for (data, home, expected) in [
        (Some("/data"), Some("/home/me"), "/data"),
        (Some(""), Some("/home/me"), "/home/me/.local/share"),
        (Some("data"), None, &own),
        (None, Some(""), &own),
    ] {
        let found = &published(folder.path(), data, home)["private_dir"];
        assert_eq!(found, &format!("{expected}/minicluster/{{{{ domain }}}}"), "{data:?} {home:?}");
    }
}

#[test]
fn a_private_dir_that_the_operator_names_wins_wherever_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let group_vars = folder.path().join("group_vars");
    fs::create_dir(&group_vars).unwrap();
    for (in_hosts, in_group_vars, expected) in [
        ("", "", "/data/minicluster/example.com"),
        ("private_dir=/mine\n", "", "/mine"),
        ("", "private_dir: /mine/{{ domain }}\n", "/mine/example.com"),
    ] {
        fs::write(group_vars.join("all.yml"), in_group_vars).unwrap();
        let hosts = format!("[core]\na\n[all:vars]\ndomain=example.com\n{in_hosts}");
        let shown = evaluated(folder.path(), &hosts, "{{ private_dir }}");
        assert!(shown.contains(&format!("<{expected}>")), "{in_hosts}{in_group_vars}: {shown}");
    }
}

/// As another host sees it, too.
#[test]
fn a_host_is_dialled_at_the_first_of_its_addresses() {
    let cases = [
        ("reached", "ansible_host=10.0.0.2", "10.0.0.2"),
        ("listed", "ansible_host=10.0.0.3 addresses='[\"10.1.0.3\", \"10.2.0.3\"]'", "10.1.0.3"),
        ("nothing", "ansible_host='' addresses='[]'", "nothing"),
        ("six", "ansible_host=fd00::5", "[fd00::5]"),
        ("plain", "", "plain"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let hosts =
        cases.map(|(name, variables, _)| format!("{name} {variables}\n")).concat() + "[core]\nplain\n";
    let template = "{{ minicluster_address }} {{ groups.all | map('extract', hostvars, 'minicluster_address') | join(' ') }}";
    let shown = evaluated(folder.path(), &hosts, template);
    let all = cases.map(|it| it.2).join(" ");
    for (name, _, address) in cases {
        assert!(shown.contains(&format!("<{address} {all}>")), "{name}: {shown}");
    }
}
