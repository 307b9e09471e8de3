//! Strangers without the secret, and files that are not as they must be.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

use super::{
    network::Network,
    node::{Node, Running},
};

fn start(nodes: &[Node]) -> Vec<Running> {
    nodes.iter().map(Node::start).collect()
}

/// Killed when dropped.
struct Stranger(Child);

impl Stranger {
    fn on(network: &Network, number: usize) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/election/stranger.py");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &network.namespace(number), "python3", script]);
        let mut child = command.arg(format!("10.99.0.{number}")).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The stranger has the lowest address: it would win if it were heard.
#[test]
fn replays_forged_goodbyes_false_addresses_and_a_flood_change_nothing() {
    let network = Network::new(4);
    let _stranger = Stranger::on(&network, 1);
    let nodes: Vec<_> = (2..=4).map(|it| network.node(it).expect(3)).collect();
    for it in &mut start(&nodes) {
        let said = it.ends_with(0);
        assert!(!said.contains("rogue"), "{said}");
    }
    assert_eq!(network.lines("actions"), ["host2 10.99.0.2 10.99.0.3 10.99.0.4"]);
}

#[test]
fn a_node_with_another_secret_or_of_another_cluster_is_not_seen() {
    let network = Network::new(4);
    let other = network.secret("other-secret", "fedcba9876543210fedcba9876543210");
    let rogue = network.node(1).expect(3).flag("secret-file", other.display()).flag("timeout", 6).start();
    let cluster = network.node(2).expect(3).flag("cluster", "other").flag("timeout", 6).start();
    let mut strangers = [rogue, cluster];
    for it in &strangers {
        it.says("waiting for 3 nodes");
    }
    let nodes: Vec<_> = (3..=4).map(|it| network.node(it).expect(2)).collect();
    for it in &mut start(&nodes) {
        let said = it.ends_with(0);
        assert!(!said.contains("host1") && !said.contains("host2"), "{said}");
    }
    for it in &mut strangers {
        let said = it.ends_with(75);
        assert!(said.contains("1 of 3 nodes were here at the timeout: this one;"), "{said}");
    }
    assert_eq!(network.lines("actions"), ["host3 10.99.0.3 10.99.0.4"]);
}

#[test]
fn only_allowed_nodes_are_members() {
    let network = Network::new(3);
    let node = |number: usize| {
        network
            .node(number)
            .expect(2)
            .flag("node-id", format!("n{number}"))
            .flag("allow", "n2")
            .flag("allow ", "n3")
    };
    let intruder = network.node(1).expect(2).flag("node-id", "n1").flag("timeout", 5).start();
    intruder.says("waiting for 2 nodes");
    for it in &mut start(&[node(2), node(3)]) {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions"), ["host2 10.99.0.2 10.99.0.3"]);
}

#[test]
fn a_secret_that_others_can_read_or_guess_is_refused() {
    let network = Network::new(1);
    let secret = network.path("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    let said = network.node(1).start().ends_with(1);
    assert!(said.contains("has mode 0640: others may read or change it; chmod 600"), "{said}");
    network.secret("secret", "short\n");
    let said = network.node(1).start().ends_with(1);
    assert!(said.contains("fewer than 16 characters") && !said.contains("short"), "{said}");
    fs::remove_file(&secret).unwrap();
    let said = network.node(1).start().ends_with(1);
    assert!(said.contains("cannot read the cluster's secret (--secret-file"), "{said}");
    assert!(!network.node(1).state_file().exists(), "nothing was begun");
}

#[test]
fn votes_that_cannot_be_read_or_are_anothers_are_refused() {
    let network = Network::new(1);
    let node = network.node(1).flag("timeout", 1).expect(2);
    node.start().ends_with(75);
    let text = fs::read_to_string(node.state_file()).unwrap();
    let voted = text.replace("\"term\": 0", "\"term\": 3");
    assert_ne!(text, voted);
    fs::write(node.state_file(), &voted).unwrap();
    let said = node.clone().flag("node-id", "somebody-else").start().ends_with(1);
    assert!(said.contains("but this is node somebody-else"), "{said}");
    for damaged in [&voted[..voted.len() / 2], "", "{}", &voted.replace("\"version\": 1", "\"version\": 2")] {
        fs::write(node.state_file(), damaged).unwrap();
        let said = node.start().ends_with(1);
        assert!(said.contains("state.json"), "{said}");
        assert_eq!(fs::read_to_string(node.state_file()).unwrap(), damaged, "it is left as it was");
    }
}

#[test]
fn mistakes_in_flags_and_files_are_named() {
    let network = Network::new(1);
    network.secret("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let node = || network.node(1);
    let key = network.path("id_ed25519");
    for (node, status, text) in [
        (node().flag("host-key-file", key.display()), 1, "is a private key; name the file that ends in .pub"),
        (
            node().flag("iface", "nothing0").flag("timeout", 1),
            1,
            "--iface nothing0: no such interface with an address; there are eth0, lo",
        ),
        (node().flag("expect", 0), 2, "--expect 0: the number of nodes is 1 to 1000"),
        (node().flag("expect", "three"), 2, "--expect"),
        (node().flag("log-level", "loud"), 2, "--log-level loud: it is CRITICAL, ERROR"),
        (node().flag("node-id", "a b"), 2, "the node id 'a b'"),
        (node().flag("acton", "x"), 2, "--acton"),
        (node().expect(1).flag("action", "/no/such/program"), 127, "cannot start /no/such/program"),
    ] {
        let said = node.start().ends_with(status);
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn a_host_name_that_every_machine_has_is_refused() {
    let network = Network::new(1);
    for name in ["localhost", "localhost.localdomain", "LocalHost"] {
        let node = network.node(1).expect(1).named(name);
        let said = node.start().ends_with(1);
        assert!(said.contains(&format!("this machine's host name is '{name}'")), "{said}");
        assert!(said.contains("hostnamectl set-hostname NAME") && said.contains("local-hostname"), "{said}");
        let answer = node.module(true).output().unwrap();
        assert!(String::from_utf8(answer.stdout).unwrap().contains("hostnamectl"), "the module says it too");
        assert!(!node.state_file().exists(), "nothing was begun");
    }
    network.node(1).expect(1).start().ends_with(0);
}

#[test]
fn one_state_directory_is_used_by_one_process() {
    let network = Network::new(1);
    let node = network.node(1).expect(2);
    let first = node.start();
    first.says("waiting for 2 nodes");
    let said = node.start().ends_with(1);
    assert!(said.contains("another election is running"), "{said}");
}
