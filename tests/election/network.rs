//! Machines on one network: network namespaces behind a bridge, each with a host name and a state directory of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::node::Node;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The network. Its namespaces are gone when it is dropped.
pub struct Network {
    prefix: String,
    nodes: usize,
    directory: tempfile::TempDir,
}

/// Runs a command of the system, which must succeed.
pub fn command(words: &str) -> String {
    let mut parts = words.split_whitespace();
    let output = Command::new(parts.next().unwrap()).args(parts).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run '{words}': {error}"));
    assert!(output.status.success(), "'{words}': {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Network {
    /// So many machines, with the addresses 10.99.0.1, 10.99.0.2, …
    pub fn new(nodes: usize) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let root = status.lines().any(|it| it.starts_with("Uid:\t0\t"));
        assert!(root, "these tests make network namespaces: run them as root");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mce{}-{count}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        let network = Self { prefix, nodes, directory };
        let bridge = network.namespace(0);
        command(&format!("ip netns add {bridge}"));
        network.interface(0);
        network.secret("secret", "0123456789abcdef0123456789abcdef");
        network
    }

    /// The namespace of this machine; 0 is the bridge.
    pub fn namespace(&self, number: usize) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// One more interface for every machine, behind a bridge of its own: `eth1` with 10.100.0.1, 10.100.0.2, …
    pub fn second_interface(&self) {
        self.interface(1);
    }

    fn interface(&self, at: usize) {
        let bridge = self.namespace(0);
        command(&format!("ip -n {bridge} link add br{at} type bridge mcast_snooping 0"));
        command(&format!("ip -n {bridge} link set br{at} up"));
        for number in 1..=self.nodes {
            let node = self.namespace(number);
            if at == 0 {
                command(&format!("ip netns add {node}"));
                // No duplicate address detection: a link-local address can be used at once.
                command(&format!("ip netns exec {node} sysctl -qw net.ipv6.conf.default.accept_dad=0"));
                command(&format!("ip -n {node} link set lo up"));
            }
            let port = format!("v{number}-{at}");
            command(&format!("ip -n {bridge} link add {port} type veth peer name eth{at} netns {node}"));
            command(&format!("ip -n {bridge} link set {port} master br{at} up"));
            command(&format!("ip -n {node} addr add 10.{}.0.{number}/24 dev eth{at}", 99 + at));
            command(&format!("ip -n {node} link set eth{at} up"));
        }
    }

    /// A file with a secret, 0600.
    pub fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A path for this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The machine of this number, with the host name `host<number>`, expecting all machines of the network.
    pub fn node(&self, number: usize) -> Node {
        Node::new(number, self.namespace(number), self.directory.path()).expect(self.nodes)
    }

    /// All machines.
    pub fn nodes(&self) -> Vec<Node> {
        (1..=self.nodes).map(|it| self.node(it)).collect()
    }

    /// Runs a command on a machine.
    pub fn on(&self, number: usize, words: &str) -> String {
        command(&format!("ip netns exec {} {words}", self.namespace(number)))
    }

    /// The lines of a file that the nodes write to.
    pub fn lines(&self, name: &str) -> Vec<String> {
        lines(&self.path(name))
    }
}

/// The lines of a file; none where it is not there.
pub fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(Into::into).collect()
}

impl Drop for Network {
    fn drop(&mut self) {
        for number in 0..=self.nodes {
            // What a test that failed early has not made is not there.
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(number)]).output();
        }
    }
}
