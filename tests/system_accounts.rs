//! `system_accounts`: systemd-sysusers itself makes the accounts, below a root of the test's own; `getent` reads them there.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::support::{Host, Module, snapshot};

const CONTENT: &str = "u web 422 \"web\" /var/lib/web\ng web-credentials -\nm web web-credentials\nu metrics - \"metrics\" /var/lib/metrics\n";

/// A host with these lines in its passwd and group.
fn host(passwd: &str, group: &str) -> Host {
    let host = Host::new();
    fs::create_dir_all(host.path("root/etc/sysusers.d")).unwrap();
    host.write("root/etc/passwd", &format!("root:x:0:0::/root:/bin/sh\n{passwd}"));
    host.write("root/etc/group", &format!("root:x:0:\n{group}"));
    let root = host.path("root");
    let number_or_name = "grep -E \"^($3:|[^:]*:[^:]*:$3:)\"";
    for (name, script) in [
        ("getent", format!("{number_or_name} {}/etc/$1", root.display())),
        ("systemd-sysusers", format!("exec /usr/bin/systemd-sysusers --root={} \"$@\"", root.display())),
    ] {
        let path = host.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    host
}

fn module(host: &Host) -> Module {
    let arguments = json!({"content": CONTENT, "path": host.path("root/etc/sysusers.d/minicluster.conf")});
    host.run_on(Module::new("system_accounts", arguments))
}

fn entry(host: &Host, database: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(host.path("root/etc").join(database)).unwrap();
    text.lines().find(|it| it.starts_with(&format!("{name}:"))).map(str::to_owned)
}

#[test]
fn users_get_their_number_and_their_group_has_it_too() {
    let host = host("", "");
    let answer = module(&host).converges(host.root());
    assert_eq!(answer.0["kept"], json!([]));
    assert!(
        answer.0["msg"]
            .as_str()
            .is_some_and(|it| it.contains("Creating user 'web' (web) with UID 422 and GID 422.")),
        "{answer:?}"
    );
    assert_eq!(entry(&host, "passwd", "web").unwrap(), "web:x:422:422:web:/var/lib/web:/usr/sbin/nologin");
    assert_eq!(entry(&host, "group", "web").unwrap(), "web:x:422:");
    assert!(entry(&host, "group", "web-credentials").unwrap().ends_with(":web"));
    assert!(entry(&host, "passwd", "metrics").is_some());
}

#[test]
fn a_user_that_is_there_keeps_its_number() {
    // Somebody else has web's number: nobody minds, web does not need it.
    let there = "web:x:998:998::/var/lib/web:/bin/false\nother:x:422:422::/:/bin/false\n";
    let host = host(there, "web:x:998:\nother:x:422:\n");
    let answer = module(&host).converges(host.root());
    let kept = [
        "user 'web' was there before and keeps the uid 998, not 422 as in services.lock. Where every host has it so, write `uid web 998` there",
    ];
    assert_eq!(answer.0["kept"], json!(kept));
    assert!(entry(&host, "passwd", "web").unwrap().starts_with("web:x:998:998:"));
    assert_eq!(module(&host).run().0["kept"], json!(kept), "each run says so");
}

#[test]
fn a_user_of_debians_own_is_not_worth_a_word() {
    for (name, number) in [("web", 33), ("web", 65534)] {
        let there = format!("{name}:x:{number}:{number}::/:/bin/false\n");
        let host = host(&there, &format!("{name}:x:{number}:\n"));
        assert_eq!(module(&host).run().0["kept"], json!([]));
    }
}

#[test]
fn a_number_that_somebody_else_has_is_an_error_that_names_both() {
    for (passwd, group, parts) in [
        (
            "other:x:422:100::/:/bin/false\n",
            "",
            [
                "user 'other' has the uid 422 on this host",
                "usermod --uid NUMBER other",
                "'uid web 422' of services.lock",
            ],
        ),
        (
            "",
            "staff2:x:422:\n",
            [
                "group 'staff2' has the gid 422 on this host",
                "gives to the user 'web'",
                "groupmod --gid NUMBER staff2",
            ],
        ),
    ] {
        let host = host(passwd, group);
        let before = snapshot(host.root());
        let (checked, message) = (module(&host).check().fail(), module(&host).fail());
        assert_eq!(checked, message);
        for part in parts {
            assert!(message.contains(part), "{part} is missing from: {message}");
        }
        assert_eq!(snapshot(host.root()), before, "nothing is made beside it");
    }
}

#[test]
fn what_systemd_refuses_is_said() {
    let host = host("", "");
    let message = module(&host).with("content", "u web 422\nx y\n").fail();
    assert!(
        message.contains("systemd-sysusers failed") && message.contains("Unknown command type"),
        "{message}"
    );
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_before_the_accounts_are_made_the_next_run_makes_them() {
    let host = host("", "");
    module(&host).killed_at("system_accounts:file");
    assert!(entry(&host, "passwd", "web").is_none());
    assert!(module(&host).run().changed());
    assert!(entry(&host, "passwd", "web").is_some());
}
