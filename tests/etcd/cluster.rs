//! Real etcd processes on the loopback, driven as role `etcd` drives them, without systemd and TLS.

use std::{
    collections::BTreeMap,
    env, fs,
    hash::{BuildHasher as _, Hasher as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::support::{Answer, Module};

/// Hosts with an etcd each, and a control node.
pub struct Cluster {
    root: tempfile::TempDir,
    hosts: Vec<Host>,
    path: String,
}

struct Host {
    peer: u16,
    client: u16,
    etcd: Option<Child>,
    /// What the inventory has for its address among the members, where that is wrong.
    wrong: Option<String>,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut etcd) = self.etcd.take() {
            etcd.kill().unwrap();
            etcd.wait().unwrap();
        }
    }
}

/// A port that is free, and that the system gives nobody who asks for any: those of its own choice begin at 32768.
fn listener() -> TcpListener {
    // Random, as every map of this process.
    let random = || std::hash::RandomState::new().build_hasher().finish();
    let ports = std::iter::repeat_with(|| 12_000 + u16::try_from(random() % 20_000).unwrap());
    ports.take(1000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).expect("a free port")
}

impl Cluster {
    /// Hosts without data; nothing was ever founded.
    pub fn new(hosts: usize) -> Self {
        // All listen at once, so that no port is given twice.
        let listeners: Vec<_> = (0..hosts).map(|_| (listener(), listener())).collect();
        let port = |it: &TcpListener| it.local_addr().unwrap().port();
        let host = |(peer, client): &(TcpListener, TcpListener)| Host {
            peer: port(peer),
            client: port(client),
            etcd: None,
            wrong: None,
        };
        let hosts = listeners.iter().map(host).collect();
        Self { root: tempfile::tempdir().unwrap(), hosts, path: path_with_etcd() }
    }

    fn path(&self, host: usize, what: &str) -> PathBuf {
        self.root.path().join(format!("{what}{host}"))
    }

    /// The file that remembers the cluster.
    pub fn record(&self) -> PathBuf {
        self.root.path().join("private/etcd.json")
    }

    fn peer_url(&self, host: usize) -> String {
        self.hosts[host].wrong.clone().unwrap_or_else(|| self.listens(host))
    }

    fn listens(&self, host: usize) -> String {
        format!("http://127.0.0.1:{}", self.hosts[host].peer)
    }

    /// The inventory has these addresses for the hosts, instead of theirs; none: it has been corrected.
    pub fn write_addresses(&mut self, wrong: &[&str]) {
        for (at, host) in self.hosts.iter_mut().enumerate() {
            host.wrong = wrong.get(at).map(|it| (*it).to_owned());
        }
    }

    /// Starts what was decided, and waits for data only: there may never be a leader.
    pub fn begin(&mut self, hosts: &[usize]) -> Value {
        let decision = self.decide(hosts, hosts).0;
        for &host in hosts.iter().filter(|it| decision["steps"][name(**it)]["step"] == "found") {
            self.stop(host);
            self.member_with(host, "found", hosts, &decision["cluster"]).run();
            self.start(host);
            let has_data = || self.member(host, "observe", &[]).run().0["observation"]["data"].is_object();
            assert!(
                wait(|| has_data().then_some(true)),
                "{}",
                fs::read_to_string(self.path(host, "log")).unwrap()
            );
        }
        decision
    }

    /// The module on a host, told of the cluster that was decided on.
    pub fn member_with(&self, host: usize, step: &str, reached: &[usize], cluster: &Value) -> Module {
        let member = self.member(host, step, reached).with("token", cluster["token"].clone());
        let member = member.with("founders", cluster["members"].clone());
        member.with("abandoned", cluster.get("abandoned").cloned().unwrap_or_else(|| json!({})))
    }

    fn peer_urls(&self, hosts: &[usize]) -> BTreeMap<String, String> {
        hosts.iter().map(|it| (name(*it), self.peer_url(*it))).collect()
    }

    fn client_url(&self, host: usize) -> String {
        format!("http://127.0.0.1:{}", self.hosts[host].client)
    }

    /// The module on a host, among `reached`.
    pub fn member(&self, host: usize, step: &str, reached: &[usize]) -> Module {
        let endpoints: Vec<_> =
            reached.iter().filter(|it| **it != host).map(|it| self.client_url(*it)).collect();
        Module::new(
            "etcd_member",
            json!({
                "step": step, "name": name(host), "unit": "", "timeout": 20, "endpoints": endpoints,
                "peer_url": self.peer_url(host), "client_url": self.client_url(host),
                "data_dir": self.path(host, "data"), "first_start": self.path(host, "env/first"),
                "expected": self.peer_urls(&(0..self.hosts.len()).collect::<Vec<_>>()),
            }),
        )
        .environment("PATH", &self.path)
    }

    /// What the control node decides, with `expected` in the group and `reached` looked at.
    pub fn decide(&self, expected: &[usize], reached: &[usize]) -> Answer {
        self.decide_with(expected, reached, &[])
    }

    /// The same, where some hosts say something else than `etcd_member` saw there.
    pub fn decide_with(&self, expected: &[usize], reached: &[usize], said: &[(usize, &str)]) -> Answer {
        // As text, as the role passes it on.
        let seen = |it: &usize| {
            let observation = self.member(*it, "observe", reached).run().0["observation"].to_string();
            (name(*it), Value::from(observation))
        };
        let mut observed: Map<String, Value> = reached.iter().map(seen).collect();
        observed.extend(said.iter().map(|(host, text)| (name(*host), json!(text))));
        let arguments =
            json!({"record": self.record(), "expected": self.peer_urls(expected), "observed": observed});
        Module::new("etcd_cluster", arguments).run()
    }

    /// Why the control node decides nothing.
    pub fn refuses(&self, expected: &[usize]) -> String {
        Module::new("etcd_cluster", json!({"record": self.record(), "expected": self.peer_urls(expected)}))
            .fail()
    }

    /// A whole run, as the role does it: the steps that were decided.
    pub fn converge(&mut self, expected: &[usize], reached: &[usize]) -> BTreeMap<String, String> {
        let decision = self.decide(expected, reached).0;
        let step = |host: usize| decision["steps"][name(host)]["step"].as_str().unwrap().to_owned();
        for &host in reached.iter().filter(|it| ["start", "found"].contains(&&*step(**it))) {
            if step(host) == "found" {
                self.stop(host);
            }
            self.member_with(host, &step(host), reached, &decision["cluster"]).run();
            self.start(host);
        }
        let departed: Vec<_> =
            decision["departed"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
        if let (false, Some(host)) = (departed.is_empty(), reached.iter().find(|it| step(**it) == "start")) {
            let expel = self.member(*host, "expel", reached).with("members", departed);
            expel.with("expected", json!(self.peer_urls(expected))).run();
        }
        for &host in reached.iter().filter(|it| ["join", "rejoin"].contains(&&*step(**it))) {
            self.stop(host);
            self.member(host, &step(host), reached).with("expected", json!(self.peer_urls(expected))).run();
            self.start(host);
            self.wait_for(host);
        }
        for &host in reached.iter().filter(|it| step(**it) != "refuse") {
            self.wait_for(host);
        }
        reached.iter().map(|it| (name(*it), step(*it))).collect()
    }

    /// Starts a host's etcd as its unit does.
    pub fn start(&mut self, host: usize) {
        if self.hosts[host].etcd.as_mut().is_some_and(|it| it.try_wait().unwrap().is_none()) {
            return;
        }
        let first = fs::read_to_string(self.path(host, "env/first")).unwrap_or_default();
        let log = fs::File::create(self.path(host, "log")).unwrap();
        let mut etcd = Command::new("etcd");
        etcd.env("PATH", &self.path).env("ETCD_INITIAL_CLUSTER_STATE", "existing");
        etcd.envs(first.lines().map(|it| it.split_once('=').unwrap()));
        etcd.arg("--name").arg(name(host)).arg("--data-dir").arg(self.path(host, "data"));
        etcd.args([
            "--listen-peer-urls",
            &self.listens(host),
            "--listen-client-urls",
            &self.client_url(host),
        ]);
        etcd.args(["--advertise-client-urls", &self.client_url(host), "--unsafe-no-fsync", "--logger=zap"]);
        self.hosts[host].etcd = Some(etcd.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Stops a host's etcd; nothing where it does not run.
    pub fn stop(&mut self, host: usize) {
        if let Some(mut etcd) = self.hosts[host].etcd.take() {
            etcd.kill().unwrap();
            etcd.wait().unwrap();
        }
    }

    /// Whether a host's etcd ended by itself, with an error.
    pub fn gave_up(&mut self, host: usize) -> bool {
        let etcd = self.hosts[host].etcd.as_mut().unwrap();
        wait(|| etcd.try_wait().unwrap().map(|it| !it.success()))
    }

    /// A host is installed anew.
    pub fn wipe(&mut self, host: usize) {
        self.stop(host);
        let _ = fs::remove_dir_all(self.path(host, "data"));
        let _ = fs::remove_file(self.path(host, "env/first"));
    }

    /// What `etcdctl` says on a host.
    pub fn etcdctl(&self, host: usize, arguments: &[&str]) -> Option<String> {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("PATH", &self.path).env("ETCDCTL_API", "3");
        etcdctl.args(["--endpoints", &self.client_url(host), "--command-timeout=2s", "--dial-timeout=1s"]);
        let output = etcdctl.args(arguments).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// What the role's guard says to a restart of a host's member; `None`: nothing against it.
    pub fn guard(&self, host: usize) -> Option<String> {
        let bin = self.path(host, "bin");
        fs::create_dir_all(&bin).unwrap();
        let etcdctl = bin.join("minicluster-etcdctl");
        let own = self.client_url(host);
        let text = format!(
            "#!/bin/sh\nETCDCTL_API=3 ETCDCTL_ENDPOINTS=${{ETCDCTL_ENDPOINTS:-{own}}} exec etcdctl \"$@\"\n"
        );
        fs::write(&etcdctl, text).unwrap();
        fs::set_permissions(&etcdctl, fs::Permissions::from_mode(0o755)).unwrap();
        let mut guard = Command::new("sh");
        guard
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/roles/etcd/templates/guard.j2"))
            .args([&name(host), "1"])
            .args((0..self.hosts.len()).filter(|it| *it != host).map(|it| self.client_url(it)));
        let output = guard.env("PATH", format!("{}:{}", bin.display(), self.path)).output().unwrap();
        (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
    }

    /// Names of the members that have started, as a host's etcd lists them.
    pub fn members(&self, host: usize) -> Vec<String> {
        let list = self.etcdctl(host, &["member", "list"]).unwrap();
        let fields: Vec<Vec<&str>> = list.lines().map(|it| it.split(", ").collect()).collect();
        let mut names: Vec<_> =
            fields.iter().filter(|it| it[1] == "started").map(|it| it[2].to_owned()).collect();
        names.sort();
        names
    }

    /// The cluster's number in a host's data.
    pub fn cluster_id(&self, host: usize) -> String {
        let seen = self.member(host, "observe", &[]).run();
        seen.0["observation"]["data"]["cluster_id"].as_str().unwrap().to_owned()
    }

    /// Until a host's etcd answers with a majority behind it.
    fn wait_for(&self, host: usize) {
        let healthy = wait(|| self.etcdctl(host, &["endpoint", "health"]).map(|_| true));
        assert!(healthy, "{}", fs::read_to_string(self.path(host, "log")).unwrap());
        // It has started for good: the unit removes what the first start needed to know.
        let _ = fs::remove_file(self.path(host, "env/first"));
    }
}

/// A host's name.
pub fn name(host: usize) -> String {
    format!("host{host}")
}

/// Asks again until there is an answer; `false` after half a minute.
fn wait(mut ask: impl FnMut() -> Option<bool>) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(30) {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// PATH with etcd and etcdctl on it. Where they are not installed, Debian's packages are unpacked below
/// cargo's target directory: installing etcd would start a daemon.
fn path_with_etcd() -> String {
    let path = env::var("PATH").unwrap();
    let installed = |it: &str| env::split_paths(&path).any(|directory| directory.join(it).is_file());
    if installed("etcd") && installed("etcdctl") {
        return path;
    }
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("etcd");
    if !unpacked.exists() {
        let fresh = tempfile::tempdir_in(unpacked.parent().unwrap()).unwrap();
        let script = "apt-get --quiet download etcd-server etcd-client && for it in *.deb; do dpkg-deb --extract $it .; done";
        let fetched = Command::new("sh").args(["-ec", script]).current_dir(fresh.path()).output().unwrap();
        assert!(fetched.status.success(), "no etcd, and Debian's package cannot be fetched: {fetched:?}");
        // Another test may have been faster.
        let _ = fs::rename(fresh.path(), &unpacked);
    }
    format!("{}:{path}", unpacked.join("usr/bin").display())
}
