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

/// What `ssh_trust` would report of a host that holds this list.
fn with_list(mut report: Value, answer: &Answer) -> Value {
    report["revoked"] = answer.0["revoked"].clone();
    let list = BASE64_STANDARD.decode(answer.0["revoked"].as_str().unwrap()).unwrap();
    report["revoked_version"] = json!(u64::from_be_bytes(list[12..20].try_into().unwrap()));
    report
}

#[test]
fn what_was_revoked_does_not_come_back_with_a_damaged_index() {
    let mut site = Site::new(&["host1", "host2"]);
    site.user("alice", &["admin"]);
    site.run();
    let certificate = |name: &str| site.root.path().join("private/ssh/ca").join(name);
    let (index, head, alice) =
        (certificate("issued.jsonl"), certificate("issued.jsonl.head"), certificate("alice-cert.pub"));
    let kept = site.users.remove(0);
    let list = site.run();
    assert!(site.is_revoked(&list, &alice));
    // Whoever comes back gets a new certificate; the old one stays revoked.
    let old = site.path("old-cert.pub");
    fs::copy(&alice, &old).unwrap();
    site.users.push(kept);
    let back = site.run();
    assert!(site.is_revoked(&back, &old) && !site.is_revoked(&back, &alice));
    let whole = fs::read(&index).unwrap();
    let losses: [(&str, Option<Vec<u8>>); 4] = [
        ("emptied", Some(Vec::new())),
        ("deleted", None),
        ("zeros", Some(vec![0; whole.len()])),
        ("cut", Some(whole.split_inclusive(|it| *it == b'\n').next().unwrap().to_vec())),
    ];
    for (how, left) in losses {
        for has_head in [true, false] {
            site.run();
            if !has_head {
                fs::remove_file(&head).unwrap();
            }
            match &left {
                Some(left) => fs::write(&index, left).unwrap(),
                None => fs::remove_file(&index).unwrap(),
            }
            for module in [site.module(), site.module().check()] {
                let said = module.fail();
                assert!(
                    said.contains("issued.jsonl") && said.contains("ssh_index_rebuild=true"),
                    "{how}: {said}"
                );
            }
            let reports =
                json!({"host1": with_list(site.report("host1"), &back), "host2": site.report("host2")});
            let rebuilt = site.module().with("reports", reports).with("rebuild_index", true).run();
            assert!(site.is_revoked(&rebuilt, &old) && !site.is_revoked(&rebuilt, &alice), "{how}");
            assert!(!site.run().changed(), "{how}");
        }
    }
    // Also where the control node's list is lost, and hosts hold it.
    fs::remove_file(certificate("revoked.krl")).unwrap();
    fs::write(&index, "").unwrap();
    let reports = json!({"host1": with_list(site.report("host1"), &back), "host2": site.report("host2")});
    let rebuilt = site.module().with("reports", reports).with("rebuild_index", true).run();
    assert!(site.is_revoked(&rebuilt, &old));
}

#[test]
fn an_index_from_before_there_was_a_head_is_adopted() {
    let site = Site::new(&["host1"]);
    site.run();
    let head = site.private().join("ssh/ca/issued.jsonl.head");
    fs::remove_file(&head).unwrap();
    site.module().check().run();
    assert!(!head.exists());
    assert!(!site.run().changed() && head.exists());
    // Also while host2 is down.
    let site = Site::new(&["host1", "host2"]);
    site.run();
    let head = site.private().join("ssh/ca/issued.jsonl.head");
    fs::remove_file(&head).unwrap();
    let up = json!({"host1": site.report("host1")});
    assert!(!site.module().with("reports", up).run().changed() && head.exists());
    assert!(!site.run().changed());
}

#[test]
fn a_private_dir_that_is_older_than_what_hosts_hold_is_noticed_and_one_liar_is_not_believed() {
    let mut site = Site::new(&["host1", "host2", "host3"]);
    site.user("alice", &["admin"]);
    let before = site.run();
    let list = site.private().join("ssh/ca/revoked.krl");
    let older = fs::read(&list).unwrap();
    site.users.clear();
    // A version is a moment in seconds; within one it grows by one.
    let after = site.run();
    fs::write(&list, older).unwrap();
    let report = |site: &Site, host: &str, answer: &Answer| with_list(site.report(host), answer);
    let most = json!({"host1": report(&site, "host1", &after), "host2": report(&site, "host2", &after),
        "host3": report(&site, "host3", &before)});
    let said = site.module().with("reports", most).fail();
    assert!(said.contains("revoked.krl is older") && said.contains("host1, host2"), "{said}");
    let one = json!({"host1": report(&site, "host1", &after), "host2": report(&site, "host2", &before),
        "host3": report(&site, "host3", &before)});
    let said = site.module().with("reports", one).run();
    assert!(said.0["refused"]["host1"].as_str().unwrap().contains("newer revocation list"), "{said:?}");
    assert!(said.0["refused"]["host2"].is_null(), "{said:?}");
}

#[test]
fn a_lost_ca_is_not_silently_replaced() {
    let site = Site::new(&["host1"]);
    site.run();
    fs::remove_dir_all(site.private().join("ssh")).unwrap();
    for module in [site.module(), site.module().check()] {
        let said = module.fail();
        assert!(said.contains("holds no CA for SSH") && said.contains("ssh_ca_new=true"), "{said}");
    }
    assert!(!site.private().join("ssh/ca/host").exists());
    site.install(&site.module().with("new_ca", true).run());
    assert!(!site.run().changed());
    // A host of another cluster is refused, the others are served.
    let other = Site::new(&["host2"]);
    other.run();
    let mut both = Site::new(&["host1", "host2"]);
    both.run();
    fs::remove_dir_all(both.private()).unwrap();
    both.install(&both.module().with("new_ca", true).run());
    let reports = json!({"host1": both.report("host1"), "host2": other.report("host2")});
    let said = both.module().with("reports", reports).run();
    assert!(said.0["refused"]["host2"].as_str().unwrap().contains("another cluster's CA"), "{said:?}");
    assert!(said.0["refused"]["host1"].is_null());
    both.users.clear();
}

#[test]
fn names_are_in_the_form_in_which_ssh_compares_them() {
    let mut site = Site::new(&["host1"]);
    site.hosts.insert("host1".into(), vec!["Host1".into(), "Host1.Example.Com".into(), "FD00:0::0A".into()]);
    let done = site.run();
    let text = shown(&site.path("host1_ed25519-cert.pub"));
    let principals: Vec<_> =
        text.split("Principals:").nth(1).unwrap().lines().skip(1).take(3).map(str::trim).collect();
    assert_eq!(principals, ["host1", "host1.example.com", "fd00::a"]);
    let known = done.0["known_hosts"].as_str().unwrap();
    assert!(known.starts_with("@cert-authority fd00::a,host1,host1.example.com ssh-ed25519 "), "{known}");
    assert!(!site.run().changed());
}

#[test]
fn a_key_that_is_none_or_stands_twice_costs_its_host_alone() {
    let site = Site::new(&["host1", "host2"]);
    let rsa = fs::read_to_string(site.path("host1_rsa.pub")).unwrap();
    let ed25519 = fs::read_to_string(site.path("host2_ed25519.pub")).unwrap();
    for (key, expected) in [
        (rsa[..300].to_owned(), "no public key"),
        ("ssh-nonsense AAAADHNzaC1ub25zZW5zZQ==".into(), "no public key"),
        (ed25519, "two host keys of the type ssh-ed25519"),
    ] {
        let mut report = site.report("host1");
        report["keys"].as_array_mut().unwrap().push(json!({"key": key, "certificate": null}));
        let said = site
            .module()
            .with("reports", json!({"host1": report, "host2": site.report("host2")}))
            .check()
            .run();
        let refused = said.0["refused"]["host1"].as_str().unwrap();
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(said.0["hosts"]["host2"].as_array().unwrap().len(), 3);
    }
    let user = json!([{"name": "alice", "key": rsa[..300], "principals": ["alice"]}]);
    let said = site.module().with("users", user).fail();
    assert!(said.contains("no public key"), "{said}");
}

#[test]
fn a_ca_whose_key_others_may_know_signs_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new(&["host1"]);
    site.run();
    let key = site.private().join("ssh/ca/host");
    for mode in [0o666, 0o640] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let said = site.module().fail();
        assert!(said.contains("can be read by others") && said.contains("chmod 600"), "{said}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(site.private(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(site.module().fail().contains("others can write in"));
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
    for point in [
        "ssh_ca:sealed",
        "ssh_control_key:private",
        "ssh_ca:authorities",
        "json_lines:appended",
        "ssh_ca:index",
        "ssh_ca:revoked",
        "ssh_ca:user",
    ] {
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
