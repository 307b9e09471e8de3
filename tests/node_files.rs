//! `node_files`: what a role writes on a host, in one call.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use crate::support::{Module, me};
use serde_json::{Value, json};

/// A directory that stands for a host, and the module's arguments for it. Owned by whoever runs this.
struct Host {
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    fn file(&self, name: &str, content: &str, more: Value) -> Value {
        with(json!({"path": self.path(name), "content": content}), more)
    }

    fn directory(&self, name: &str, more: Value) -> Value {
        with(json!({"path": self.path(name)}), more)
    }
}

/// Owned by whoever runs this, where `more` does not say otherwise.
fn with(mut options: Value, more: Value) -> Value {
    let (owner, group) = me();
    options["owner"] = owner.into();
    options["group"] = group.into();
    if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
        options.extend(more);
    }
    options
}

fn module(directories: &[Value], files: &[Value]) -> Module {
    Module::new("node_files", json!({"directories": directories, "files": files}))
}

#[test]
fn directories_and_files_come_as_they_are_asked_for() {
    let host = Host::new();
    fs::write(host.path("old"), "before\n").unwrap();
    symlink(host.path("old"), host.path("link")).unwrap();
    let task = module(
        &[host.directory("etc/web", json!({"mode": "0750"}))],
        &[
            host.file("etc/web/web.conf", "port 1\n", json!({})),
            host.file("old", "after\n", json!({"mode": "0755"})),
            host.file("link", "own\n", json!({})),
            host.file("etc/other/deep/file", "", json!({})),
        ],
    );
    let answer = task.converges(host.root.path());
    let written: Vec<_> = ["etc/web", "etc/web/web.conf", "old", "link", "etc/other/deep/file"]
        .iter()
        .map(|it| host.path(it))
        .collect();
    assert_eq!(answer.0["written"], json!(written));
    assert_eq!(
        (host.mode("etc/web"), host.mode("etc/web/web.conf"), host.mode("old")),
        (0o750, 0o644, 0o755)
    );
    assert_eq!((host.read("etc/web/web.conf"), host.read("old")), ("port 1\n".into(), "after\n".into()));
    assert!(!host.path("link").is_symlink());
    assert_eq!(
        (&answer.0["diff"][2]["before"], &answer.0["diff"][2]["after"]),
        (&json!("before\n"), &json!("after\n"))
    );

    // Only what differs is touched.
    fs::set_permissions(host.path("old"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(task.run().0["written"], json!([host.path("old")]));
    assert_eq!(host.mode("old"), 0o755);
}

#[test]
fn what_its_reader_refuses_does_not_take_the_place_of_the_old() {
    let host = Host::new();
    let file = |content: &str, sensitive: bool| {
        host.file(
            "good",
            content,
            json!({"validate": "grep -q good %s", "sensitive": sensitive, "mode": "0600"}),
        )
    };
    let first = host.file("first", "x", json!({}));
    module(&[], &[file("good 1", false)]).converges(host.root.path());
    let said = module(&[], &[first, file("hunter2", false)]).fail();
    assert!(said.contains("`grep -q good %s` refuses the new content") && said.contains("/good"), "{said}");
    assert_eq!((host.read("good"), host.read("first")), ("good 1".into(), "x".into()));
    let output = module(&[], &[file("hunter2", true)]).with("_ansible_diff", true).output();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hunter2"));
    let answer = module(&[], &[file("good hunter2", true)]).with("_ansible_diff", true).run();
    assert!(answer.changed() && !answer.0.to_string().contains("hunter2"), "{answer:?}");
    assert_eq!(fs::read_dir(host.root.path()).unwrap().count(), 2, "nothing else is left there");
}

#[test]
fn mistakes_are_named() {
    let host = Host::new();
    for (more, expected) in [
        (json!({"mode": "420"}), "mode '420' is not like \"0644\", in quotes"),
        (json!({"mode": "0888"}), "mode '0888' is not like"),
        (json!({"path": "etc/file"}), "path 'etc/file' is not absolute"),
        (json!({"validate": "true"}), "write %s"),
        (json!({"owner": "nobody-here"}), "there is no user 'nobody-here'; create it first"),
        (json!({"validate": "/no/such/program %s"}), "cannot run /no/such/program"),
    ] {
        let said = module(&[], &[host.file("file", "text", more)]).fail();
        assert!(said.contains(expected), "{said}");
        assert!(!host.path("file").exists(), "{said}");
    }
    fs::create_dir(host.path("file")).unwrap();
    let said = module(&[], &[host.file("first", "", json!({})), host.file("file", "", json!({}))]).fail();
    assert!(said.contains("it is a directory"), "{said}");
    assert!(!host.path("first").exists(), "nothing is written when something cannot be");
}

/// Who can write in the directory of a link could exchange it at any moment.
#[test]
fn another_users_link_above_the_file_is_refused_before_anything_is_written() {
    let host = Host::new();
    for name in ["home", "etc", "own"] {
        fs::create_dir(host.path(name)).unwrap();
    }
    symlink(host.path("etc"), host.path("home/d")).unwrap();
    symlink(host.path("etc"), host.path("own/d")).unwrap();
    fs::set_permissions(host.path("home"), fs::Permissions::from_mode(0o777)).unwrap();
    let first = host.file("first", "", json!({}));
    for task in [
        module(&[], &[first.clone(), host.file("home/d/new", "x", json!({}))]),
        module(&[host.directory("home/d/new", json!({}))], &[first]),
    ] {
        let said = task.fail();
        assert_eq!(task.clone().check().fail(), said, "check mode predicts it");
        let link = format!("{} is a link to {}", host.path("home/d").display(), host.path("etc").display());
        assert!(said.contains(&link) && said.contains("others can write in its directory"), "{said}");
        assert_eq!(fs::read_dir(host.path("etc")).unwrap().count(), 0);
        assert!(!host.path("first").exists());
    }
    module(&[], &[host.file("own/d/new", "x", json!({}))]).converges(host.root.path());
    assert_eq!(host.read("etc/new"), "x");
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_each_file_is_old_or_new_and_the_next_run_finishes() {
    for point in ["node_files:directory", "node_files:candidate", "node_files:file", "files:written"] {
        let host = Host::new();
        fs::write(host.path("one"), "old").unwrap();
        let validate = json!({"validate": "test -s %s"});
        let task = module(
            &[host.directory("folder", json!({}))],
            &[host.file("one", "new", validate), host.file("folder/two", "new", json!({}))],
        );
        task.killed_at(point);
        assert!(["old", "new"].contains(&host.read("one").as_str()), "{point}");
        task.run();
        assert_eq!((host.read("one"), host.read("folder/two")), ("new".into(), "new".into()), "{point}");
        assert!(!task.run().changed(), "{point}");
        let names = |folder: &str| fs::read_dir(host.path(folder)).unwrap().count();
        assert_eq!((names(""), names("folder")), (2, 1), "{point}: something is left there");
    }
}
