//! `service_purge` and `minicluster purge`: what is left is shown, goes only by name, and nothing of anybody else does.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use serde_json::json;

use crate::support::{Host, Module, built, snapshot};

/// A host that once ran `web`, whose user is known to `getent` alone; `userdel` and `groupdel` write down what they did.
struct Left(Host);

impl Left {
    fn new() -> Self {
        let host = Host::new();
        host.write("var/lib/web/rows", "precious");
        let owner =
            Command::new("chown").args(["-R", "437:437"]).arg(host.path("var/lib/web")).status().unwrap();
        assert!(owner.success(), "this test runs as root");
        let left = Self(host);
        left.program("getent", &format!("grep \"^$3:\" {}/$1", left.0.root().display()));
        left.0.write(
            "passwd",
            "web:x:437:437::/var/lib/web:\nother:x:438:438::/var/lib/other:\nalice:x:1000:1000::/:\n",
        );
        left.0.write("group", "web-credentials:x:997:web\n");
        for (program, file) in [("userdel", "passwd"), ("groupdel", "group")] {
            left.program(
                program,
                &format!(
                    "sed -i \"/^$2:/d\" {0}/{file}; echo {program} $2 >>{0}/log",
                    left.0.root().display()
                ),
            );
        }
        left
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.0.path("var/lib/web")
    }

    fn module(&self) -> Module {
        let arguments = json!({"service": "web", "users": ["web"], "groups": ["web-credentials"],
            "directories": [self.data(), self.0.path("var/lib/none")], "ledger": self.0.path("ledger")});
        self.0.run_on(Module::new("service_purge", arguments))
    }
}

#[test]
fn what_is_left_is_shown_and_goes_when_it_is_asked_for() {
    let left = Left::new();
    let before = snapshot(left.0.root());
    let shown = left.module().run();
    assert!(!shown.changed() && snapshot(left.0.root()) == before);
    let lines = [
        format!("{}: 2 files and directories, 8 bytes", left.data().display()),
        "user web (437)".into(),
        "group web-credentials (997)".into(),
    ];
    assert_eq!(shown.0["left"], json!(lines));
    left.module().with("remove", true).converges(left.0.root());
    assert!(!left.data().exists());
    assert_eq!(left.0.commands(), ["userdel web", "groupdel web-credentials"]);
    assert_eq!(left.module().run().0["msg"], "web: nothing is left");
}

#[test]
fn what_is_somebody_elses_is_refused() {
    let left = Left::new();
    let other = left.0.write("var/lib/other/x", "");
    let refused =
        |name: &str, value: serde_json::Value| left.module().with("remove", true).with(name, value).fail();
    for (name, value, reason) in [
        ("users", json!(["alice"]), "'alice' has the number 1000, so it is no service's"),
        ("users", json!(["root"]), "'root' has the number 0"),
        ("directories", json!([other.parent()]), "belongs to 'root', not to the service"),
        ("directories", json!([left.0.root()]), "ledger of minicluster"),
        ("directories", json!([left.data().join("../web")]), "is not an absolute path"),
        ("keep", json!(["web"]), "'web' belongs to another service too"),
    ] {
        let error = refused(name, value);
        assert!(error.contains(reason), "{error}");
    }
    left.0.unit("web.service", "");
    left.0.service_units(&["web"]).run();
    assert!(refused("groups", json!([])).contains("service 'web' is still on this host"));
    assert!(left.data().join("rows").exists());
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_run_finishes() {
    for point in ["directory", "user", "group"] {
        let left = Left::new();
        let module = left.module().with("remove", true);
        module.killed_at(&format!("service_purge:{point}"));
        module.run();
        assert_eq!(left.module().run().0["left"], json!([]), "{point}");
    }
}

#[test]
fn the_command_asks_the_files_first() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("hosts", "[core]\na\nb\nc\n");
    write("services.yml", "web: {num_instances: 1}\n");
    write("purge.yml", "");
    write("services.lock", "minicluster-lock 1\nold a leaving\n");
    write("ansible-playbook", "#!/bin/sh\necho \"$@\"\nexit 3\n");
    fs::set_permissions(directory.path().join("ansible-playbook"), fs::Permissions::from_mode(0o755))
        .unwrap();
    let purge = |arguments: &[&str]| {
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(built("minicluster"));
        let done = command
            .arg("purge")
            .args(arguments)
            .env("PATH", path)
            .current_dir(directory.path())
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        (done.status.code(), said)
    };
    for (service, reason) in [
        ("web", "service 'web' is in services.yml: take it out"),
        ("old", "service 'old' is still placed on a: run site.yml"),
        ("etcd", "service 'etcd' is in services.yml"),
        ("../etc", "'../etc' is not the name of a service"),
    ] {
        let (status, said) = purge(&[service]);
        assert!(status == Some(1) && said.contains(reason), "{said}");
    }
    let (status, said) = purge(&["gone", "--remove", "--", "--check"]);
    assert_eq!(status, Some(3), "Ansible's own status");
    assert_eq!(said, "purge.yml --extra-vars {\"purge_remove\":true,\"purge_service\":\"gone\"} --check\n");
}
