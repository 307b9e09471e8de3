//! A cluster that an earlier version left (`state.json`), brought up to date by the modules of today: nothing is refused
//! for its age, nothing is made anew, nothing restarts.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::support::{Answer, Host, Module, built, snapshot};

const DOMAIN: &str = "infra.example.com";

/// The control node's directory and a host of that cluster; `host2` does not answer.
struct Earlier(tempfile::TempDir);

impl Earlier {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let files: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_str(include_str!("state.json")).unwrap();
        let place = root.path().to_str().unwrap();
        for (name, file) in files.iter().filter(|(name, _)| *name != "about") {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content = match file.get("text") {
                Some(text) => text.replace("@ROOT@", place).into_bytes(),
                None => BASE64_STANDARD.decode(&file["base64"]).unwrap(),
            };
            fs::write(&path, content).unwrap();
            let mode = u32::from_str_radix(&file["mode"], 8).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for folder in ["private", "private/ssh", "private/ssh/ca", "private/ssh/rotation", "private/x509"] {
            fs::set_permissions(root.path().join(folder), fs::Permissions::from_mode(0o700)).unwrap();
        }
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn control_key(&self, step: &str) -> Module {
        let arguments = json!({"step": step, "private_dir": self.path("private"), "key": self.path("private/ssh/control"),
            "hosts": ["host1", "host2"]});
        Module::new("ssh_control_key", arguments)
    }

    /// The certificates' part of a run: what `host1` is owed afterwards.
    fn certificates(&self) -> Answer {
        let addresses = json!(["192.0.2.1", "2001:db8::1"]);
        let services = json!({
            "web": {"units": ["web.service"], "service_credentials": [{"name": "web", "extra_san": ["www"]}]},
            "etcd": {"units": ["etcd.service"], "service_credentials": [{"name": "etcd", "server_cert_mode": "both"}]},
        });
        let shared = |module: &str, more: Value| {
            let mut arguments = json!({"domain": DOMAIN, "services": services});
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Module::new(module, arguments)
        };
        let (directory, ledger) = (self.path("host1/credentials"), self.path("host1/ledger"));
        let request = shared(
            "x509_request",
            json!({
                "host": "host1", "addresses": addresses, "directory": directory, "ledger": ledger, "lifetime": "36000d",
                "trust_anchors": self.text("private/x509/ca.pem"), "crl": self.text("private/x509/crl.pem"),
            }),
        );
        let reports = json!({"host1": request.run().0});
        let hosts = ["host1", "host2"];
        let private =
            json!({"private_dir": self.path("private"), "inject_facts_as_vars": false, "reports": reports});
        let private = |module: Module| {
            private
                .as_object()
                .unwrap()
                .iter()
                .fold(module, |module, (name, value)| module.with(name, value.clone()))
        };
        let authority = json!({"domain": DOMAIN, "hosts": hosts, "lifetime": "36500d"});
        let authority = private(Module::new("x509_ca", authority)).run();
        let groups = json!({"web": hosts, "etcd": hosts, "all": hosts});
        let sign = json!({"groups": groups, "addresses": {"host1": addresses}, "lifetime": "36000d"});
        let signed = private(shared("x509_sign", sign)).run();
        let install = json!({
            "host": "host1", "services": services, "certificates": signed.0["hosts"]["host1"]["certificates"],
            "refused": signed.0["hosts"]["host1"]["refused"], "bundle": authority.0["bundle"], "crl": authority.0["crl"],
            "directory": directory, "ledger": ledger, "groups": {"web": "root", "etcd": "root"},
        });
        Module::new("x509_install", install).run()
    }

    /// Serial numbers that the CRL at `path` revokes, as openssl reads it.
    fn revoked(&self, path: &str) -> Vec<String> {
        let done = Command::new("openssl")
            .args(["crl", "-noout", "-text", "-in"])
            .arg(self.path(path))
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        text.lines().filter_map(|it| it.trim().strip_prefix("Serial Number: ").map(str::to_owned)).collect()
    }
}

/// The digest of one file as it has always been computed.
fn digest(path: &Path) -> String {
    let (name, content) = (path.to_str().unwrap(), fs::read(path).unwrap());
    let mut bytes = format!("path{}:{name}file8:", name.len()).into_bytes();
    bytes.extend((content.len() as u64).to_le_bytes());
    bytes.extend(content);
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    digest.as_ref().iter().fold(String::new(), |text, it| format!("{text}{it:02x}"))
}

#[test]
fn certificates_stay_and_what_was_revoked_stays_revoked() {
    let earlier = Earlier::new();
    let credentials = ["etcd/client", "etcd/server", "web/client", "web/server"];
    let kept: Vec<_> = credentials
        .iter()
        .flat_map(|it| {
            ["cert.pem", "private_key.pem"].map(|file| format!("host1/credentials/x509/{it}/{file}"))
        })
        .chain(["host1/credentials/x509/ca.pem".into(), "private/x509/ca.pem".into()])
        .collect();
    let before: Vec<_> = kept.iter().map(|it| earlier.text(it)).collect();
    let revoked = earlier.revoked("host1/credentials/x509/crl.pem");
    assert_eq!(revoked.len(), 4, "those of the host that left");
    let installed = earlier.certificates();
    assert_eq!((&installed.0["installed"], &installed.0["restarts"]), (&json!([]), &json!({})));
    let after: Vec<_> = kept.iter().map(|it| earlier.text(it)).collect();
    assert!(before == after, "a certificate, a key or a trust anchor is another");
    for place in ["host1/credentials/x509/crl.pem", "private/x509/crl.pem"] {
        assert_eq!(earlier.revoked(place), revoked, "{place}");
    }
    let ledger: Value = serde_json::from_str(&earlier.text("host1/ledger/ledger.json")).unwrap();
    assert_eq!(ledger["restarts"], json!({}));
    let converged = snapshot(earlier.0.path());
    assert!(!earlier.certificates().changed());
    let index =
        |files: &BTreeMap<PathBuf, String>| files.get(&earlier.path("private/x509/issued.jsonl")).cloned();
    assert_eq!(index(&converged), index(&snapshot(earlier.0.path())), "the second run writes nothing");
}

#[test]
fn ssh_certificates_stay_and_what_was_revoked_stays_revoked() {
    let earlier = Earlier::new();
    let bob = earlier.path("bob-cert.pub");
    fs::copy(earlier.path("private/ssh/ca/bob-cert.pub"), &bob).unwrap();
    let key = |name: &str| earlier.text(&format!("keys/{name}"));
    let report = json!({"keys": [{"key": key("host1.pub"), "certificate": key("host1-cert.pub")}]});
    let names = |host: &str, at: u8| json!([host, format!("{host}.{DOMAIN}"), format!("192.0.2.{at}")]);
    let arguments = json!({
        "private_dir": earlier.path("private"), "lifetime": "36000d", "reports": {"host1": report},
        "hosts": {"host1": names("host1", 1), "host2": names("host2", 2)},
        "users": [{"name": "alice", "key": key("alice.pub"), "principals": ["deploy"], "lifetime": "36000d"}],
    });
    let module = Module::new("ssh_ca", arguments);
    let alice = earlier.text("private/ssh/ca/alice-cert.pub");
    let answer = module.run();
    assert_eq!(answer.0["hosts"]["host1"], json!([]), "its certificate is as good as it was");
    assert_eq!(earlier.text("private/ssh/ca/alice-cert.pub"), alice);
    let list = earlier.path("list");
    fs::write(&list, BASE64_STANDARD.decode(answer.0["revoked"].as_str().unwrap()).unwrap()).unwrap();
    let said = Command::new("ssh-keygen").arg("-Qf").arg(&list).arg(&bob).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("REVOKED"), "{said:?}");
    assert!(!module.run().changed());
}

#[test]
fn a_rotation_that_was_under_way_is_finished() {
    let earlier = Earlier::new();
    let keys = || {
        let mut command = Command::new(built("minicluster"));
        command.args(["keys", "--private-dir"]).arg(earlier.path("private"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(keys().contains("proven: host1") && keys().contains("waiting: host2"), "{}", keys());
    let begun = earlier.control_key("begin").run();
    assert_eq!((&begun.0["phase"], begun.changed()), (&json!("rotating"), false));
    earlier.control_key("finish").with("proven", json!(["host1", "host2"])).run();
    assert!(keys().contains("in use") && keys().contains("retired"), "{}", keys());
}

#[test]
fn what_the_control_node_and_the_host_remember_is_read() {
    let earlier = Earlier::new();
    let expected = json!({"host1": "https://host1:2380", "host2": "https://host2:2380"});
    let record = earlier.path("private/etcd.json");
    let decided =
        Module::new("etcd_cluster", json!({"record": record, "expected": expected, "observed": {}})).run();
    assert_eq!(decided.0["cluster"]["state"], "founded", "nobody founds a second one");
    assert!(!decided.changed());

    let locked = json!({"cluster": "infra", "cluster_id": "0123456789abcdef0123456789abcdef",
        "directory": earlier.path("host1/ledger")});
    let locked = Module::new("node_state", locked).run();
    assert_eq!((&locked.0["state"], locked.changed()), (&json!("locked"), false));

    let lock = "# Where every instance of every service runs.\nminicluster-lock 1\nold a leaving\nweb b master\nweb c\n";
    for (name, text) in [
        ("hosts", "[core]\na\nb\nc\n"),
        ("services.lock", lock),
        ("services.yml", "web: {num_instances: 2, master_election: true}\n"),
    ] {
        fs::write(earlier.path(name), text).unwrap();
    }
    let files = json!({"hosts": earlier.path("hosts"), "services": earlier.path("services.yml"),
        "lock": earlier.path("services.lock")});
    let placement = Module::new("placement", files);
    placement.run();
    let lock = earlier.text("services.lock");
    assert_eq!(
        lock.lines().filter(|it| it.starts_with("web ")).collect::<Vec<_>>(),
        ["web b master", "web c"]
    );
    assert!(!placement.run().changed());
}

#[test]
fn no_unit_restarts_for_the_age_of_the_ledger() {
    let host = Host::new();
    host.unit("web.service", "");
    let config = host.write("config/web.service", "settings");
    let unit = host.path("lib/web.service");
    let state = json!({"web.service": {"active": "active", "enabled": true, "starts": 1,
        "loaded": fs::read_to_string(&unit).unwrap()}});
    host.write("state.json", &state.to_string());
    let holdings = json!({"units": ["web.service"], "credentials": [], "unused": [], "files": [config]});
    let started = json!({"definition": digest(&unit), "inputs": digest(&config)});
    let ledger = json!({"version": 1, "services": {"web": holdings}, "restarts": {}, "started": {"web.service": started}});
    host.write("ledger/ledger.json", &ledger.to_string());
    let module = host.service_units(&["web"]).with("inputs", json!([config])).with("files", json!([config]));
    assert!(!module.clone().check().run().changed());
    assert!(!module.run().changed());
    assert_eq!(host.state("web.service")["starts"], 1);
    host.service_turndown(&[]).run();
    assert_eq!(host.state("web.service")["active"], "inactive", "what the old ledger has is found");
}
