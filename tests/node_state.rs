//! `node_state`: a host is locked once, whatever happens at the same time, before, and afterwards.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, thread};

use crate::support::Module;
use serde_json::{Value, json};

fn locked(directory: &Path, cluster_id: &str) -> Module {
    Module::new(
        "node_state",
        json!({"cluster": "demo", "cluster_id": cluster_id, "node_id": "n1", "came_in": "election",
            "directory": directory}),
    )
}

fn record(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("node.json")).unwrap()).unwrap()
}

#[test]
fn a_host_is_locked_and_stays_so() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("minicluster");
    let read = locked(&directory, "").with("state", "read");
    assert_eq!(read.run().0["state"], "unlocked");
    let answer = locked(&directory, "c1").converges(root.path());
    let node = json!({"cluster": "demo", "cluster_id": "c1", "node_id": "n1", "came_in": "election"});
    assert_eq!((&answer.0["state"], &answer.0["node"]), (&json!("locked"), &node));
    assert_eq!(read.run().0["node"], node);
    let record = record(&directory);
    assert_eq!((&record["state"], &record["cluster_id"]), (&json!("locked"), &json!("c1")));
}

#[test]
fn another_cluster_is_refused_in_check_mode_too() {
    let directory = tempfile::tempdir().unwrap();
    locked(directory.path(), "c1").run();
    let before = record(directory.path());
    for module in [locked(directory.path(), "c2"), locked(directory.path(), "c2").check()] {
        let message = module.with("readmit", true).fail();
        assert!(message.contains("locked to cluster 'demo' (c1)"), "{message}");
    }
    assert_eq!(record(directory.path()), before);
}

/// Runs `modules` at the same time; how many changed something, and how many failed.
fn race(modules: Vec<Module>) -> (usize, usize) {
    let threads: Vec<_> = modules.into_iter().map(|it| thread::spawn(move || it.output().stdout)).collect();
    let answers = threads.into_iter().map(|it| serde_json::from_slice::<Value>(&it.join().unwrap()).unwrap());
    let answers: Vec<Value> = answers.collect();
    let count = |name: &str| answers.iter().filter(|it| it[name] == true).count();
    (count("changed"), count("failed"))
}

#[test]
fn of_ten_callers_one_wins() {
    for _round in 0..5 {
        let root = tempfile::tempdir().unwrap();
        let ids: Vec<String> = (0..10).map(|it| format!("c{it}")).collect();
        let directory = root.path().join("different");
        assert_eq!(race(ids.iter().map(|it| locked(&directory, it)).collect()), (1, 9));
        let directory = root.path().join("same");
        assert_eq!(race(ids.iter().map(|_| locked(&directory, "c")).collect()), (1, 0));
    }
}

#[test]
fn a_rebuilt_machine_needs_the_operators_word() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("minicluster");
    let module = locked(&directory, "c1").with("came_in", "operator");
    let message = module.fail();
    assert!(message.contains("known as node n1") && message.contains("'readmit'"), "{message}");
    assert!(message.contains("-e node_readmit=NAME"), "{message}");
    assert!(!directory.exists());
    let answer = module.clone().with("readmit", true).converges(root.path());
    assert_eq!(answer.0["node"]["came_in"], "readmission");
    assert!(!module.run().changed(), "the word is needed once");
    let other = module.with("node_id", "n2").with("readmit", true).fail();
    assert!(other.contains("node n2 is expected here"), "{other}");
}

#[test]
fn a_state_that_cannot_be_read_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.json");
    for (text, expected) in [
        ("", "is damaged: restore it"),
        ("{\"version\": 1, \"state\": \"lock", "is damaged: restore it"),
        ("{\"version\": 1, \"state\": \"unlocked\"}", "is damaged: restore it"),
        ("{\"version\": 2, \"state\": \"locked\"}", "use the newer one"),
    ] {
        fs::write(&path, text).unwrap();
        let message = locked(directory.path(), "c1").fail();
        assert!(message.contains(expected) && message.contains("node.json"), "{text}: {message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    symlink("elsewhere", &path).unwrap();
    let message = locked(directory.path(), "c1").fail();
    assert!(message.contains("is not a file"), "{message}");
}

#[test]
fn what_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let message = locked(directory.path(), "").fail();
    assert_eq!(message, "option 'cluster_id' is needed with state 'locked'");
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_it_is_unlocked_or_locked() {
    for point in ["files:created", "files:written", "files:renamed"] {
        let directory = tempfile::tempdir().unwrap();
        locked(directory.path(), "c1").killed_at(point);
        let won = locked(directory.path(), "c1").run().changed();
        assert_eq!(won, point != "files:renamed", "{point}");
        assert_eq!(record(directory.path())["cluster_id"], "c1");
    }
}

#[test]
fn the_cluster_id_is_hkdf() {
    let output = Command::new("openssl")
        .args(["kdf", "-keylen", "16", "-binary", "-kdfopt", "digest:SHA2-256", "-kdfopt", "key:s3cret"])
        .args(["-kdfopt", "salt:the digest", "-kdfopt", "info:minicluster cluster id", "HKDF"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let expected = output.stdout.iter().fold(String::new(), |text, it| format!("{text}{it:02x}"));
    assert_eq!(minicluster::node::membership::cluster_id(b"s3cret", "the digest").unwrap(), expected);
}
