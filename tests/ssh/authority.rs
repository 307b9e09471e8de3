//! The CAs: what `ssh_ca` signs and revokes, judged by `ssh-keygen -L` and `-Q`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::keygen;
use crate::support::{Answer, Module};

/// A control node with hosts, whose keys lie in files.
struct Site {
    root: TempDir,
    hosts: BTreeMap<String, Vec<String>>,
    users: Vec<Value>,
}

const KINDS: &[&str] = &["ed25519", "ecdsa", "rsa"];

impl Site {
    fn new(hosts: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for host in hosts {
            for kind in KINDS {
                let path = root.path().join(format!("{host}_{kind}"));
                // 2048 bits: what matters of an RSA key here is its type.
                let bits = if *kind == "rsa" { "2048" } else { "256" };
                keygen(&["-q", "-t", kind, "-b", bits, "-N", "", "-C", host, "-f", path.to_str().unwrap()]);
            }
        }
        let names = |(at, host): (usize, &&str)| {
            (
                (*host).to_owned(),
                vec![(*host).to_owned(), format!("{host}.example.com"), format!("192.0.2.{at}")],
            )
        };
        Self { root, hosts: hosts.iter().enumerate().map(names).collect(), users: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn private(&self) -> PathBuf {
        self.path("private")
    }

    fn user(&mut self, name: &str, principals: &[&str]) {
        let path = self.path(name);
        if !path.exists() {
            keygen(&["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]);
        }
        let key = fs::read_to_string(path.with_extension("pub")).unwrap();
        self.users.push(json!({"name": name, "key": key, "principals": principals}));
    }

    /// What `ssh_trust` would report of a host.
    fn report(&self, host: &str) -> Value {
        let keys = KINDS.iter().map(|kind| {
            let path = self.path(&format!("{host}_{kind}"));
            let key = fs::read_to_string(path.with_extension("pub")).unwrap();
            json!({"key": key, "certificate": fs::read_to_string(format!("{}-cert.pub", path.display())).ok()})
        });
        json!({"keys": keys.collect::<Vec<_>>()})
    }

    fn module(&self) -> Module {
        let reports: BTreeMap<_, _> = self.hosts.keys().map(|it| (it.clone(), self.report(it))).collect();
        let arguments = json!({"private_dir": self.private(), "hosts": self.hosts, "reports": reports, "users": self.users});
        Module::new("ssh_ca", arguments)
    }

    /// Puts into use what was signed, as `ssh_trust` would.
    fn install(&self, answer: &Answer) {
        for (host, certificates) in answer.0["hosts"].as_object().unwrap() {
            for it in certificates.as_array().unwrap() {
                let key = it["key"].as_str().unwrap();
                let kind = KINDS.iter().find(|kind| {
                    let path = self.path(&format!("{host}_{kind}.pub"));
                    fs::read_to_string(path).unwrap().trim() == key.trim()
                });
                let path = self.path(&format!("{host}_{}-cert.pub", kind.unwrap()));
                fs::write(path, it["certificate"].as_str().unwrap()).unwrap();
            }
        }
    }

    fn run(&self) -> Answer {
        let answer = self.module().run();
        self.install(&answer);
        answer
    }

    /// What ssh-keygen says of a certificate against the list of revoked ones.
    fn is_revoked(&self, answer: &Answer, certificate: &Path) -> bool {
        let list = self.path("list");
        fs::write(&list, BASE64_STANDARD.decode(answer.0["revoked"].as_str().unwrap()).unwrap()).unwrap();
        let output = Command::new("ssh-keygen").arg("-Qf").arg(&list).arg(certificate).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(": ok") != said.contains(": REVOKED"), "{said}");
        said.contains(": REVOKED")
    }
}

fn shown(path: &Path) -> String {
    keygen(&["-Lf", path.to_str().unwrap()])
}

#[test]
fn hosts_are_certified_under_their_names_whatever_their_key() {
    let site = Site::new(&["host1", "host2"]);
    let predicted = site.module().check().run();
    assert!(predicted.changed() && !site.private().exists());
    assert!(predicted.0["hosts"]["host1"][0]["certificate"].is_null());
    let done = site.run();
    let authority = keygen(&["-lf", site.private().join("ssh/ca/host.pub").to_str().unwrap()]);
    let authority = authority.split(' ').nth(1).unwrap();
    for kind in KINDS {
        let text = shown(&site.path(&format!("host1_{kind}-cert.pub")));
        assert!(text.contains("host certificate") && text.contains(authority), "{text}");
        let principals: Vec<_> = text
            .split("Principals:")
            .nth(1)
            .unwrap()
            .split("Critical")
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(principals, ["host1", "host1.example.com", "192.0.2.0"], "{kind}");
        assert!(text.contains("Key ID: \"host1\"") && text.contains("Extensions: (none)"), "{text}");
    }
    let known = fs::read_to_string(site.private().join("ssh/known_hosts")).unwrap();
    assert_eq!(known.trim(), done.0["known_hosts"].as_str().unwrap());
    for name in ["host2.example.com", "192.0.2.1"] {
        let path = site.private().join("ssh/known_hosts");
        assert!(keygen(&["-F", name, "-f", path.to_str().unwrap()]).contains("CA"), "{name}");
    }
    let again = site.run();
    assert!(!again.changed(), "{again:?}");
    assert!(!site.module().check().run().changed());
}

#[test]
fn a_host_gets_no_name_of_another_and_a_stranger_none() {
    let site = Site::new(&["host1", "host2"]);
    let stranger = site.module().with("reports", json!({"evil": site.report("host1")})).fail();
    assert!(stranger.contains("'evil' is no host"), "{stranger}");
    let good = site.report("host2");
    for nonsense in [json!({"keys": 7}), json!(r#"{"zzz": NaN}"#), json!("[".repeat(200))] {
        let answer =
            site.module().with("reports", json!({"host1": nonsense, "host2": good.to_string()})).run();
        assert_eq!(answer.0["hosts"]["host1"], json!([]), "one that talks nonsense costs nobody else");
        assert_eq!(answer.0["hosts"]["host2"].as_array().unwrap().len(), 3);
        assert!(answer.0["warnings"][0].as_str().unwrap().contains("host1"));
        let refused = answer.0["refused"]["host1"].as_str().unwrap();
        assert!(refused.contains("not understood"), "{refused}");
        let told = Module::new("ssh_trust", json!({"step": "install", "refused": refused})).fail();
        assert!(told.contains(refused), "{told}");
    }
}

#[test]
fn a_certificate_is_renewed_before_it_ends_and_when_names_change() {
    let mut site = Site::new(&["host1"]);
    site.run();
    let first = site.path("host1_ed25519-cert.pub");
    fs::copy(&first, site.path("first-cert.pub")).unwrap();
    // With this fraction, what was made just now ends soon.
    let soon = site.module().with("renew_fraction", 1.1);
    assert!(soon.clone().check().run().changed());
    let renewed = soon.run();
    assert_eq!(renewed.0["hosts"]["host1"][0]["reason"], "it ends soon");
    assert!(!site.is_revoked(&renewed, &site.path("first-cert.pub")), "it says nothing wrong");
    site.install(&renewed);
    site.hosts.get_mut("host1").unwrap().pop();
    let foreseen = site.module().check().run();
    assert!(site.is_revoked(&foreseen, &site.path("first-cert.pub")), "hosts will have another list");
    let changed = site.run();
    assert_eq!(changed.0["hosts"]["host1"][0]["reason"], "the names have changed");
    assert!(site.is_revoked(&changed, &site.path("first-cert.pub")), "it says too much");
    assert!(!site.is_revoked(&changed, &first));
    assert!(!site.run().changed());
}

#[test]
fn who_leaves_is_revoked() {
    let mut site = Site::new(&["host1", "host2"]);
    site.user("alice", &["admin"]);
    site.user("bob", &["admin", "web"]);
    let done = site.run();
    let certificate = |name: &str| site.root.path().join("private/ssh/ca").join(format!("{name}-cert.pub"));
    let text = shown(&certificate("bob"));
    assert!(text.contains("user certificate") && text.contains("permit-pty"), "{text}");
    assert!(text.split("Principals:").nth(1).unwrap().contains("web"), "{text}");
    for it in [certificate("alice"), certificate("bob"), site.path("host2_rsa-cert.pub")] {
        assert!(!site.is_revoked(&done, &it));
    }
    let (alice, bob, host2) = (certificate("alice"), certificate("bob"), site.path("host2_rsa-cert.pub"));
    site.users.remove(0);
    site.hosts.remove("host2");
    assert!(site.module().check().run().changed());
    let after = site.run();
    assert!(site.is_revoked(&after, &alice) && site.is_revoked(&after, &host2));
    assert!(!site.is_revoked(&after, &bob) && !site.is_revoked(&after, &site.path("host1_rsa-cert.pub")));
    assert!(!site.run().changed());
}

#[test]
fn a_users_name_is_no_path() {
    let mut site = Site::new(&[]);
    site.user("alice", &["admin"]);
    for name in ["../x", "host", "", "a/b"] {
        site.users[0]["name"] = json!(name);
        assert!(site.module().fail().contains("cannot be a name"), "{name}");
    }
    site.users[0]["name"] = json!("alice");
    site.users[0]["principals"] = json!([]);
    assert!(site.module().fail().contains("principals"), "it would hold for everybody");
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_run_finishes_and_knows_what_was_issued() {
    for point in
        ["ssh_control_key:private", "ssh_ca:authorities", "ssh_ca:index", "ssh_ca:revoked", "ssh_ca:user"]
    {
        let mut site = Site::new(&["host1"]);
        site.user("alice", &["admin"]);
        site.module().killed_at(point);
        site.run();
        assert!(!site.run().changed(), "{point}");
        let index = fs::read_to_string(site.private().join("ssh/ca/issued.jsonl")).unwrap();
        for name in ["host1_ed25519-cert.pub", "private/ssh/ca/alice-cert.pub"] {
            let text = shown(&site.path(name));
            let serial = text.split("Serial: ").nth(1).unwrap().split_whitespace().next().unwrap();
            assert!(index.contains(&format!("\"serial\":{serial},")), "{point}: {name}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_kept() {
    let site = Site::new(&["host1"]);
    site.run();
    let known = site.private().join("ssh/known_hosts");
    let whole = fs::read(&known).unwrap();
    let latin = [b"# caf\xe9\n", &whole[..]].concat();
    fs::write(&known, &latin).unwrap();
    let said = site.module().fail();
    assert!(said.contains("known_hosts is not UTF-8"), "{said}");
    assert_eq!(fs::read(&known).unwrap(), latin);
    fs::write(&known, whole).unwrap();
    // A list that cannot be read does not count as an empty one, which would revoke nothing.
    let list = site.private().join("ssh/ca/revoked.krl");
    let kept = fs::read(&list).unwrap();
    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    let said = site.module().fail();
    assert!(said.contains("cannot read") && said.contains("revoked.krl"), "{said}");
    fs::remove_dir(&list).unwrap();
    fs::write(&list, kept).unwrap();
    assert!(!site.run().changed());
}
