//! A control node and hosts, as directories; and the play over them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Module};

/// What the inventory and the operator say. Tests change it as an operator would.
pub struct Cluster {
    root: TempDir,
    /// Metadata by service; each runs on every host, unless `groups` says otherwise.
    pub services: BTreeMap<String, Value>,
    /// Hosts by service, where these are not all.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Hosts with their `addresses`.
    pub hosts: BTreeMap<String, Vec<String>>,
    /// Further options of `x509_request` and `x509_sign`.
    pub policy: Map<String, Value>,
    /// Further options of `x509_ca`.
    pub ca: Map<String, Value>,
}

pub const DOMAIN: &str = "infra.example.com";

impl Cluster {
    /// Hosts of these names, each with the services `web` and `etcd`.
    pub fn new(hosts: &[&str]) -> Self {
        let services = BTreeMap::from([
            (
                "web".into(),
                json!({"units": ["web.service"], "service_credentials": [{"name": "web", "extra_san": ["www"]}]}),
            ),
            (
                "etcd".into(),
                json!({"units": ["etcd.service"], "service_credentials": [{"name": "etcd", "server_cert_mode": "both"}]}),
            ),
        ]);
        let addresses = |at: usize| vec![format!("192.0.2.{}", at + 1), format!("2001:db8::{}", at + 1)];
        let hosts = hosts.iter().enumerate().map(|(at, name)| ((*name).to_owned(), addresses(at)));
        Self {
            root: tempfile::tempdir().unwrap(),
            services,
            groups: BTreeMap::new(),
            hosts: hosts.collect(),
            policy: Map::new(),
            ca: Map::new(),
        }
    }

    /// A host's own directory.
    pub fn host(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A file below a host's `/etc/credentials/x509`.
    pub fn file(&self, host: &str, path: &str) -> PathBuf {
        self.host(host).join("credentials/x509").join(path)
    }

    /// What the host's ledger says.
    pub fn ledger(&self, host: &str) -> Value {
        let text = fs::read_to_string(self.host(host).join("ledger/ledger.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Does what `service_units` does after its restarts.
    pub fn restart(&self, host: &str) {
        let mut ledger = self.ledger(host);
        ledger["restarts"] = json!({});
        fs::write(self.host(host).join("ledger/ledger.json"), ledger.to_string()).unwrap();
    }

    pub fn private_dir(&self) -> PathBuf {
        self.root.path().join("private")
    }

    pub fn published(&self, name: &str) -> String {
        fs::read_to_string(self.private_dir().join("x509").join(name)).unwrap_or_default()
    }

    fn runs_on(&self, service: &str) -> Vec<String> {
        self.groups.get(service).cloned().unwrap_or_else(|| self.hosts.keys().cloned().collect())
    }

    fn services_of(&self, host: &str) -> Value {
        let here = self.services.iter().filter(|(name, _)| self.runs_on(name).iter().any(|it| it == host));
        json!(here.collect::<BTreeMap<_, _>>())
    }

    pub fn request(&self, host: &str) -> Module {
        let module = Module::new(
            "x509_request",
            json!({
                "host": host,
                "domain": DOMAIN,
                "services": self.services_of(host),
                "addresses": self.hosts[host],
                "directory": self.host(host).join("credentials"),
                "ledger": self.host(host).join("ledger"),
                "trust_anchors": self.published("ca.pem"),
                "crl": self.published("crl.pem"),
            }),
        );
        self.policy.iter().fold(module, |module, (name, value)| module.with(name, value.clone()))
    }

    pub fn authority(&self, reports: &Value) -> Module {
        let hosts: Vec<_> = self.hosts.keys().collect();
        let module = Module::new(
            "x509_ca",
            json!({
                "private_dir": self.private_dir(),
                "inject_facts_as_vars": false,
                "domain": DOMAIN,
                "hosts": hosts,
                "reports": reports,
            }),
        );
        self.ca.iter().fold(module, |module, (name, value)| module.with(name, value.clone()))
    }

    pub fn sign(&self, reports: &Value) -> Module {
        let mut groups: BTreeMap<_, _> =
            self.services.keys().map(|name| (name.clone(), self.runs_on(name))).collect();
        groups.insert("all".into(), self.hosts.keys().cloned().collect());
        let module = Module::new(
            "x509_sign",
            json!({
                "private_dir": self.private_dir(),
                "inject_facts_as_vars": false,
                "domain": DOMAIN,
                "services": self.services,
                "groups": groups,
                "reports": reports,
                "addresses": self.hosts,
            }),
        );
        let both = self.policy.iter().filter(|(name, _)| *name != "renew_fraction");
        let module = both.fold(module, |module, (name, value)| module.with(name, value.clone()));
        ["vault_password_file", "vault_command"]
            .iter()
            .filter_map(|name| Some((name, self.ca.get(*name)?)))
            .fold(module, |module, (name, value)| module.with(name, value.clone()))
    }

    pub fn install(&self, host: &str, authority: &Answer, signed: &Answer) -> Module {
        // Groups of this machine stand for those that systemd-sysusers makes on a host.
        let groups: BTreeMap<_, _> = self.credentials().into_iter().map(|it| (it, "root")).collect();
        Module::new(
            "x509_install",
            json!({
                "host": host,
                "services": self.services_of(host),
                "certificates": signed.0["hosts"][host]["certificates"],
                "refused": signed.0["hosts"][host]["refused"],
                "bundle": authority.0["bundle"],
                "crl": authority.0["crl"],
                "directory": self.host(host).join("credentials"),
                "ledger": self.host(host).join("ledger"),
                "groups": groups,
            }),
        )
    }

    /// `service_turndown` at the end of a run in which the roles of these services have run.
    pub fn turndown(&self, host: &str, configured: &[&str]) -> Module {
        let here = self.services_of(host);
        let enabled: Vec<_> = here.as_object().unwrap().keys().collect();
        let ledger = self.host(host).join("ledger");
        Module::new(
            "service_turndown",
            json!({"enabled": enabled, "configured": configured, "ledger": ledger}),
        )
    }

    fn credentials(&self) -> Vec<String> {
        let all = self.services.values().filter_map(|it| it["service_credentials"].as_array()).flatten();
        all.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The play over all hosts; says what changed.
    pub fn run(&self) -> Vec<String> {
        let all: Vec<_> = self.hosts.keys().map(String::as_str).collect();
        self.run_on(&all)
    }

    /// The play over some hosts, as if the others did not answer.
    pub fn run_on(&self, hosts: &[&str]) -> Vec<String> {
        self.play(hosts, |module| module)
    }

    /// The play in check mode.
    pub fn check(&self) -> Vec<String> {
        let all: Vec<_> = self.hosts.keys().map(String::as_str).collect();
        self.play(&all, Module::check)
    }

    fn play(&self, hosts: &[&str], how: impl Fn(Module) -> Module) -> Vec<String> {
        let mut changed = Vec::new();
        let mut note = |name: &str, answer: Answer| {
            if answer.changed() {
                changed.push(name.to_owned());
            }
            answer
        };
        let reports = hosts.iter().map(|host| {
            let answer = note(&format!("request {host}"), how(self.request(host)).run());
            // As the role passes it on.
            ((*host).to_owned(), json!(answer.0.to_string()))
        });
        let reports = Value::Object(reports.collect());
        let authority = note("ca", how(self.authority(&reports)).run());
        let signed = note("sign", how(self.sign(&reports)).run());
        for host in hosts {
            note(&format!("install {host}"), how(self.install(host, &authority, &signed)).run());
        }
        changed
    }

    /// Runs `x509_request` on these hosts.
    pub fn reports(&self, hosts: &[&str]) -> Value {
        Value::Object(hosts.iter().map(|host| ((*host).to_owned(), self.request(host).run().0)).collect())
    }

    /// The lines of the index of issued certificates.
    pub fn index(&self) -> Vec<Value> {
        let text = self.published("issued.jsonl");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }
}
