//! `minicluster handover` with an ssh that leads to a directory: all arrives, or the leader keeps all.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::json;

/// Runs what would run on the leader in a directory here; a login as a test of the key succeeds, except on one address.
const SSH: &str = r#"#!/bin/sh
for last; do :; done
case "$last" in
  -s) exec sh -eu -c "$(sed "s#/var/lib/minicluster#$LEADER#g")" ;;
  true) case "$*" in *"provision@$CLOSED "*) echo "Permission denied" >&2; exit 255 ;; esac ;;
esac
"#;
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Hk6sJXgvHhAaGkE9Ypr8PKIXb0cUvxdiEzUdkYjbR";

struct Cluster {
    root: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let cluster = Self { root: tempfile::tempdir().unwrap() };
        let member = |it: usize| {
            json!({"id": format!("id{it}"), "name": format!("host{it}"), "role": "manager", "election_id": "1",
                "addresses": [format!("10.0.0.{it}")], "host_key": KEY, "user_key": KEY})
        };
        let members = json!({"cluster": "demo", "term": 1, "digest": "d1", "leader": "id1", "self": "id1",
            "members": [member(1), member(2)]});
        for (name, text) in [
            ("bin/ssh", SSH),
            ("leader/members.json", &members.to_string()),
            ("leader/private/ssh/control", "k3y"),
            ("leader/private/x509/it's/private_key.pem", "the CA"),
            ("leader/operator/services.yml", "web: {}\n"),
            ("leader/operator/hosts", "# mine\n[all:vars]\nprivate_dir=/LEADER/private\nx=1\n"),
        ] {
            let path = cluster.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("/LEADER", "/var/lib/minicluster")).unwrap();
        }
        fs::set_permissions(cluster.path("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn handover(&self, closed: &str, more: &[&str], kill_at: &str) -> Output {
        Command::new(crate::support::built("minicluster"))
            .args(["handover", "provision@10.0.0.1", "--private-dir", "private", "--into", "mine/demo"])
            .args(more)
            .env("PATH", format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap()))
            .env("LEADER", self.path("leader"))
            .env("CLOSED", closed)
            .env("MINICLUSTER_KILL_AT", kill_at)
            .current_dir(self.root.path())
            .output()
            .unwrap()
    }

    /// All is here, and nothing is there.
    fn assert_moved(&self) {
        let key = self.path("private/ssh/control");
        assert_eq!(fs::read_to_string(&key).unwrap(), "k3y");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(self.path("private")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(self.path("private/x509/it's/private_key.pem")).unwrap(), "the CA");
        let hosts = fs::read_to_string(self.path("mine/demo/hosts")).unwrap();
        let place = self.path("private").canonicalize().unwrap();
        assert_eq!(hosts, format!("# mine\n[all:vars]\nprivate_dir={}\nx=1\n", place.display()));
        assert!(!self.path("leader/private").exists() && !self.path("leader/operator").exists());
    }

    fn leader_has_all(&self) -> bool {
        [
            "private/ssh/control",
            "private/x509/it's/private_key.pem",
            "operator/hosts",
            "operator/services.yml",
        ]
        .iter()
        .all(|it| Path::new(&self.path("leader")).join(it).exists())
    }
}

#[test]
fn all_moves_and_a_second_time_there_is_nothing_to_do() {
    let cluster = Cluster::new();
    let output = cluster.handover("", &[], "");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("4 files moved") && said.contains("opens host1, host2"), "{said}");
    assert!(!said.contains("k3y"), "{said}");
    // This program lies beside no playbooks.
    assert!(said.contains("In mine/demo: link site.yml and rotate.yml there first"), "{said}");
    cluster.assert_moved();
    assert!(cluster.handover("", &[], "").status.success());
}

#[test]
fn while_a_host_is_not_opened_the_leader_keeps_all() {
    let cluster = Cluster::new();
    let output = cluster.handover("10.0.0.2", &[], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("host2: Permission denied"), "{said}");
    assert!(cluster.leader_has_all());
    assert!(cluster.handover("10.0.0.2", &["--unreachable", "host2"], "").status.success());
    cluster.assert_moved();
}

#[test]
fn what_is_here_already_is_not_overwritten() {
    let cluster = Cluster::new();
    fs::create_dir_all(cluster.path("private/ssh")).unwrap();
    fs::write(cluster.path("private/ssh/control"), "another key").unwrap();
    let output = cluster.handover("", &[], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("private/ssh/control is here already and differs"), "{said}");
    assert_eq!(fs::read_to_string(cluster.path("private/ssh/control")).unwrap(), "another key");
    assert!(cluster.leader_has_all());
}

#[test]
fn a_leader_whose_host_key_is_unknown_comes_with_a_remedy() {
    let cluster = Cluster::new();
    let refuses = "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n";
    fs::write(cluster.path("bin/ssh"), refuses).unwrap();
    let said = String::from_utf8(cluster.handover("", &[], "").stderr).unwrap();
    for part in ["does not do what it is asked: Host key verification failed.", "ssh-keygen -lf", "--ssh"] {
        assert!(said.contains(part), "{said}");
    }
    let closed = "#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n";
    fs::write(cluster.path("bin/ssh"), closed).unwrap();
    let said = String::from_utf8(cluster.handover("", &[], "").stderr).unwrap();
    assert!(said.contains("Permission denied") && !said.contains("ssh-keygen"), "{said}");
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_attempt_finishes() {
    for point in ["handover:file", "handover:copied", "handover:proven", "files:written"] {
        let cluster = Cluster::new();
        assert!(!cluster.handover("", &[], point).status.success(), "{point}");
        assert!(cluster.leader_has_all(), "{point}");
        let output = cluster.handover("", &[], "");
        assert!(output.status.success(), "{point}: {output:?}");
        cluster.assert_moved();
    }
}
