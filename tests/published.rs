//! Where the control node keeps its secrets when nobody names a directory: all roles find the same one.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

const ROLES: [&str; 3] = ["common", "ssh", "ssh_rotation"];

#[test]
fn what_is_no_absolute_path_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = ROLES.iter().map(|it| root.join("roles").join(it).join("vars/main.yml")).collect();
    let message = ROLES.map(|it| format!("{{{{ _{it}_state_home }}}}")).join(" ");
    let play = json!([{"hosts": "localhost", "gather_facts": false, "vars_files": files,
        "tasks": [{"debug": {"msg": message}}]}]);
    fs::write(folder.path().join("play.json"), play.to_string()).unwrap();
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
        let mut ansible = crate::support::python();
        ansible
            .args(["-m", "ansible", "playbook", "-i", "localhost,", "play.json"])
            .current_dir(folder.path());
        ansible.env("ANSIBLE_STDOUT_CALLBACK", "ansible.posix.json").env("ANSIBLE_HOME", folder.path());
        for (name, value) in [("XDG_DATA_HOME", data), ("HOME", home)] {
            match value {
                Some(value) => ansible.env(name, value),
                None => ansible.env_remove(name),
            };
        }
        let done = ansible.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let answer: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said} {done:?}"));
        let found = &answer["plays"][0]["tasks"][0]["hosts"]["localhost"]["msg"];
        assert_eq!(found, &json!([expected; 3].join(" ")), "{data:?} {home:?}: {said}");
    }
}
