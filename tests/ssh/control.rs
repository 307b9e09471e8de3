//! The control node's part of a rotation: `ssh_control_key` and `minicluster keys`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::keygen;
use crate::support::{Answer, Module, built};

/// A control node whose key opens three hosts.
struct Control {
    root: TempDir,
}

impl Control {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let control = Self { root };
        keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "first", "-f", control.key().to_str().unwrap()]);
        control
    }

    fn key(&self) -> PathBuf {
        self.root.path().join("control")
    }

    fn private(&self, name: &str) -> PathBuf {
        self.root.path().join("private/ssh/rotation").join(name)
    }

    fn module(&self, step: &str) -> Module {
        let arguments = json!({
            "step": step, "private_dir": self.root.path().join("private"), "key": self.key(),
            "hosts": ["host1", "host2", "host3"],
        });
        Module::new("ssh_control_key", arguments)
    }

    fn finish(&self, proven: &[&str]) -> Answer {
        self.module("finish").with("proven", proven).run()
    }

    fn keys(&self) -> String {
        let output = Command::new(built("minicluster"))
            .args(["keys", "--private-dir"])
            .arg(self.root.path().join("private"))
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Type and key of a private key file, as ssh-keygen reads it.
fn public_of(path: &Path) -> String {
    let line = keygen(&["-y", "-f", path.to_str().unwrap()]);
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn text(answer: &Answer, name: &str) -> String {
    answer.0[name].as_str().unwrap().to_owned()
}

#[test]
fn a_rotation_from_its_beginning_to_its_end() {
    let control = Control::new();
    let old = public_of(&control.key());

    let predicted = control.module("begin").check().run();
    assert!(predicted.changed() && predicted.0["new"].is_null(), "{predicted:?}");
    assert!(!control.private("next").exists());
    assert!(
        control.keys().starts_with("no key is on record yet: the first run of rotate.yml"),
        "{}",
        control.keys()
    );
    let hosts = control.root.path().join("hosts");
    fs::write(&hosts, format!("[core]\na ansible_ssh_private_key_file={}\n", control.key().display()))
        .unwrap();
    let listed = Command::new(built("minicluster"))
        .args(["keys", "--private-dir"])
        .arg(control.root.path().join("private"))
        .arg("--hosts")
        .arg(&hosts)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let fingerprint = keygen(&["-l", "-f", control.key().to_str().unwrap()]);
    let fingerprint = fingerprint.split_whitespace().nth(1).unwrap();
    assert!(listed.contains(&format!("{fingerprint}  not on record")), "{listed}");
    let begun = control.module("begin").run();
    assert_eq!((&begun.0["phase"], begun.changed()), (&json!("rotating"), true));
    assert!(text(&begun, "old").starts_with(&old));
    // Every half is one that ssh takes, belongs to what hosts are told, and is for the owner alone.
    for (name, value) in [("next", "new"), ("recovery", "recovery"), ("previous", "old")] {
        let path = control.private(name);
        assert!(text(&begun, value).starts_with(&public_of(&path)), "{name}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(public_of(&control.key()), old, "until a host has taken the new key, the old one is in use");

    // Begun again: the same rotation.
    let again = control.module("begin").run();
    assert_eq!((again.changed(), &again.0["id"], &again.0["new"]), (false, &begun.0["id"], &begun.0["new"]));

    assert!(control.module("exchange").run().changed());
    assert!(!control.module("exchange").run().changed());
    let new = public_of(&control.key());
    assert!(text(&begun, "new").starts_with(&new) && new != old);
    let beside = fs::read_to_string(control.key().with_extension("pub")).unwrap();
    assert!(beside.starts_with(&new));

    let first = control.finish(&["host1", "host2"]);
    assert_eq!(first.0["waiting_for"], json!(["host3"]));
    assert!(text(&first, "msg").contains("host3"));
    assert_eq!(public_of(&control.private("previous")), old, "host3 may still need it");
    assert!(control.keys().contains("waiting: host3"), "{}", control.keys());

    let last = control.finish(&["host3"]);
    assert_eq!((&last.0["phase"], last.changed()), (&json!("idle"), true));
    assert!(!control.private("previous").exists() && !control.private("").exists());
    assert_eq!(public_of(&control.key()), new);
    let listed = control.keys();
    assert!(listed.contains("in use") && listed.contains("proven: host1, host2, host3"), "{listed}");
    let fingerprint = keygen(&["-lf", control.key().to_str().unwrap()]);
    assert!(listed.starts_with("FINGERPRINT") && listed.contains(fingerprint.split(' ').nth(1).unwrap()));
}

#[test]
fn a_host_is_given_up_only_by_name() {
    let control = Control::new();
    control.module("begin").run();
    control.finish(&["host1", "host2"]);
    let begun = control.module("begin").with("abandon", json!(["host4"])).run();
    assert_eq!(begun.0["phase"], "rotating");
    let begun = control.module("begin").with("abandon", json!(["host3"])).run();
    assert_eq!(begun.0["phase"], "idle", "it finishes, and begins no other");
    assert!(!control.private("previous").exists());
    assert!(control.keys().contains("abandoned: host3"), "{}", control.keys());
}

#[test]
fn a_young_key_is_left_alone() {
    let control = Control::new();
    let module = control.module("begin").with("older_than", "1d");
    assert_eq!(module.run().0["phase"], "idle");
    assert_eq!(module.with("older_than", "").run().0["phase"], "rotating");
    // Once begun it is finished, however young.
    assert_eq!(control.module("begin").with("older_than", "1d").run().0["phase"], "rotating");
}

#[test]
fn another_key_takes_the_place_of_the_first_which_is_removed() {
    let control = Control::new();
    let first = control.root.path().join("bootstrap");
    fs::rename(control.key(), &first).unwrap();
    fs::rename(control.key().with_extension("pub"), first.with_extension("pub")).unwrap();
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", control.key().to_str().unwrap()]);
    let own = public_of(&control.key());

    let again = || control.module("begin").with("from", first.to_str().unwrap());
    let begun = again().run();
    assert!(text(&begun, "new").starts_with(&own), "a key that is there is used");
    assert!(text(&begun, "old").starts_with(&public_of(&first)));
    control.module("exchange").run();
    assert_eq!(public_of(&control.key()), own);
    // A host's own step may have removed the file already.
    fs::remove_file(&first).unwrap();
    assert_eq!(again().run().0["id"], begun.0["id"]);
    control.finish(&["host1", "host2", "host3"]);
    assert!(!first.exists() && !first.with_extension("pub").exists());
    assert_eq!(again().run().0["phase"], "idle", "done once, it is done");
}

#[test]
fn what_cannot_be_used_is_refused() {
    let control = Control::new();
    fs::remove_file(control.key()).unwrap();
    let message = control.module("begin").fail();
    assert!(message.contains("ansible_ssh_private_key_file") && message.contains("control"), "{message}");
    let path = control.key();
    keygen(&["-q", "-t", "ed25519", "-N", "passphrase", "-f", path.to_str().unwrap()]);
    let message = control.module("begin").fail();
    assert!(message.contains("passphrase"), "{message}");
}

#[test]
fn a_key_of_an_older_format_is_known_by_its_public_half() {
    let control = Control::new();
    fs::remove_file(control.key()).unwrap();
    keygen(&["-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", control.key().to_str().unwrap()]);
    let begun = control.module("begin").run();
    assert!(text(&begun, "old").starts_with(&public_of(&control.key())));
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_no_half_is_lost_and_the_next_run_finishes() {
    let points = [
        ("begin", "ssh_control_key:private"),
        ("begin", "ssh_control_key:previous"),
        ("begin", "ssh_control_key:next"),
        ("begin", "ssh_control_key:recovery"),
        ("begin", "files:renamed"),
        ("exchange", "ssh_control_key:private"),
        ("exchange", "files:written"),
        ("finish", "ssh_control_key:from"),
        ("finish", "ssh_control_key:state"),
    ];
    for (step, point) in points {
        let control = Control::new();
        let first = control.root.path().join("bootstrap");
        // Only this way something is removed beside the rotation's own files.
        let moved = point == "ssh_control_key:from";
        if moved {
            fs::rename(control.key(), &first).unwrap();
            fs::rename(control.key().with_extension("pub"), first.with_extension("pub")).unwrap();
        }
        let module = |step: &str| {
            let module = control.module(step).with("proven", json!(["host1", "host2", "host3"]));
            if moved { module.with("from", first.to_str().unwrap()) } else { module }
        };
        let old = public_of(&if moved { first.clone() } else { control.key() });
        let mut told = Value::Null;
        for it in ["begin", "exchange", "finish"] {
            if it == step {
                module(it).killed_at(point);
                // Whatever hosts may have been told so far can still be opened.
                let halves: Vec<_> =
                    [control.key(), first.clone(), control.private("next"), control.private("previous")]
                        .iter()
                        .filter(|it| it.exists())
                        .map(|it| public_of(it))
                        .collect();
                if it != "finish" {
                    assert!(halves.contains(&old), "{point}: {halves:?}");
                }
                if let Some(new) = told.as_str() {
                    assert!(halves.iter().any(|it| new.starts_with(it)), "{point}: {halves:?}");
                }
                if it == "finish" {
                    module("begin").run();
                }
            }
            let answer = module(it).run();
            if told.is_null() {
                told = answer.0["new"].clone();
            }
        }
        assert_eq!(module("finish").run().0["phase"], "idle", "{point}");
        assert!(told.as_str().unwrap().starts_with(&public_of(&control.key())), "{point}");
        assert!(!control.private("").exists(), "{point}");
        assert!(!first.exists(), "{point}");
    }
}
