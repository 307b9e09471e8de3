//! A network without trouble.

use std::fs;

use serde_json::Value;

use super::{network::Network, node::Node};

/// All start, and all end with 0.
fn elect(nodes: &[Node]) -> Vec<String> {
    let mut running: Vec<_> = nodes.iter().map(Node::start).collect();
    running.iter_mut().map(|it| it.ends_with(0)).collect()
}

#[test]
fn three_nodes_elect_the_lowest_and_a_second_run_does_nothing() {
    let network = Network::new(3);
    let said = elect(&network.nodes());
    assert_eq!(network.lines("actions"), ["host1 10.99.0.1 10.99.0.2 10.99.0.3"]);
    let mut locked = network.lines("locks");
    locked.sort();
    assert_eq!(locked, ["host1", "host2", "host3"]);
    assert!(said[2].contains("host1 leads"), "{}", said[2]);

    // With nobody else there, and even without the secret.
    fs::remove_file(network.path("secret")).unwrap();
    let states =
        || -> Vec<_> { network.nodes().iter().map(|it| fs::read(it.state_file()).unwrap()).collect() };
    let before = states();
    for node in network.nodes().iter().rev() {
        node.start().ends_with(0);
    }
    assert_eq!(network.lines("actions").len(), 1, "one start");
    assert_eq!(before, states());
}

#[test]
fn programs_learn_who_leads_and_what_the_members_said_of_themselves() {
    let network = Network::new(2);
    fs::write(network.path("host.pub"), "ssh-ed25519 AAAA host\n").unwrap();
    let describe = "echo \"$MINICLUSTER_ELECTION\" >$D/$HOST-$(basename $0).json";
    let nodes: Vec<_> = network
        .nodes()
        .into_iter()
        .map(|it| it.action(describe).on_lock(describe).flag("role", "manager").flag("cluster", "demo"))
        .map(|it| it.flag("host-key-file", network.path("host.pub").display()))
        .collect();
    elect(&nodes);
    let read =
        |name: &str| -> Value { serde_json::from_slice(&fs::read(network.path(name)).unwrap()).unwrap() };
    let action = read("host1-state1-action.json");
    let members = action["members"].as_array().unwrap();
    assert_eq!((&action["cluster"], &action["term"]), (&"demo".into(), &1.into()));
    assert_eq!(action["leader"], members[0]["id"]);
    assert_eq!(action["self"], members[0]["id"]);
    assert_eq!(action["cluster_id"].as_str().unwrap().len(), 32);
    assert_eq!(members[1]["name"], "host2");
    assert_eq!(members[1]["election_id"], "174260226");
    assert_eq!(members[1]["addresses"][0], "10.99.0.2");
    assert_eq!(
        (&members[1]["role"], &members[1]["host_key"]),
        (&"manager".into(), &"ssh-ed25519 AAAA host".into())
    );
    assert_eq!(members[1]["user_key"], Value::Null);
    let lock = read("host2-state2-on-lock.json");
    assert_eq!(lock["self"], members[1]["id"]);
    assert_eq!((&lock["members"], &lock["digest"]), (&action["members"], &action["digest"]));
}

#[test]
fn the_leader_ends_with_the_status_of_its_action_and_runs_it_again_until_it_ends_well() {
    let network = Network::new(2);
    let action = "echo tried >>$D/actions; test -e $D/repaired || exit 7";
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.action(action)).collect();
    let mut running: Vec<_> = nodes.iter().map(Node::start).collect();
    running[1].ends_with(0);
    let said = running[0].ends_with(7);
    assert!(said.contains("the action failed with status 7"), "{said}");
    fs::write(network.path("repaired"), "").unwrap();
    nodes[0].start().ends_with(0);
    nodes[0].start().ends_with(0);
    assert_eq!(network.lines("actions").len(), 2, "once more, and then never again");
}

#[test]
fn the_module_elects_and_a_check_touches_nothing() {
    let network = Network::new(2);
    let answer = |output: std::process::Output| -> Value {
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.action("echo wrote $HOST")).collect();
    let predicted = answer(nodes[0].module(true).output().unwrap());
    assert_eq!((&predicted["changed"], &predicted["leader"]), (&true.into(), &Value::Null));
    assert!(!nodes[0].state_file().exists());

    let follower = nodes[1].module(false).spawn().unwrap();
    let led = answer(nodes[0].module(false).output().unwrap());
    let heard = answer(follower.wait_with_output().unwrap());
    for (answer, leads) in [(&led, true), (&heard, false)] {
        assert_eq!((&answer["changed"], &answer["is_leader"]), (&true.into(), &leads.into()), "{answer}");
        assert_eq!(answer["leader"]["name"], "host1");
        assert_eq!(answer["members"].as_array().unwrap().len(), 2);
        assert_eq!(answer["ansible_facts"]["zeroconf_election"]["leader"], answer["leader"]);
    }
    assert_eq!(led["output"], "wrote host1\n");

    for check in [true, false] {
        let again = answer(nodes[1].module(check).output().unwrap());
        assert_eq!((&again["changed"], &again["leader"]), (&false.into(), &led["leader"]));
    }
    // Nobody else is there any more.
    let alone = network.node(1).state("new").flag("timeout", 1).flag("expect", 2);
    let refused = answer(alone.module(false).output().unwrap());
    assert_eq!(refused["failed"], true);
    assert!(refused["msg"].as_str().unwrap().contains("1 of 2 nodes were here"), "{refused}");
}

#[test]
fn an_action_whose_leader_was_killed_runs_again_and_never_beside_itself() {
    let network = Network::new(2);
    let action =
        "echo begins >>$D/actions; until test -e $D/repaired; do sleep 0.02; done; echo ends >>$D/actions";
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.action(action)).collect();
    let mut running: Vec<_> = nodes.iter().map(Node::start).collect();
    running[1].ends_with(0);
    running[0].says("starting the action");
    running[0].kill();
    let mut again = nodes[0].start();
    again.says("still runs");
    fs::write(network.path("repaired"), "").unwrap();
    again.ends_with(0);
    assert_eq!(network.lines("actions"), ["begins", "ends", "begins", "ends"]);
}

#[test]
fn link_local_addresses_will_do() {
    let network = Network::new(2);
    for number in 1..=2 {
        network.on(number, "ip -4 address flush dev eth0");
    }
    elect(&network.nodes());
    let actions = network.lines("actions");
    let words: Vec<_> = actions[0].split(' ').collect();
    assert_eq!((actions.len(), words.len()), (1, 3), "{actions:?}");
    assert!(words[1..].iter().all(|it| it.starts_with("fe80::")), "{actions:?}");
}

#[test]
fn an_interface_that_is_not_there_is_named_and_may_come_later() {
    let network = Network::new(2);
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.flag("iface", "eth1")).collect();
    let mut running: Vec<_> = nodes.iter().map(Node::start).collect();
    for it in &running {
        it.says("there is no interface eth1 here; there are eth0, lo: waiting for it");
    }
    network.second_interface();
    for it in &mut running {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions"), ["host1 10.100.0.1 10.100.0.2"]);
}

#[test]
fn of_two_interfaces_one_may_be_dead() {
    for dead in ["eth0", "eth1"] {
        let network = Network::new(2);
        network.second_interface();
        for number in 1..=2 {
            network.on(number, "nft add table inet bad");
            network.on(number, "nft add chain inet bad input { type filter hook input priority 0 ; }");
            network.on(number, &format!("nft add rule inet bad input iif {dead} drop"));
        }
        // A flag that is repeated has a blank at its end.
        let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.flag("iface ", "eth1")).collect();
        elect(&nodes);
        assert_eq!(network.lines("actions"), ["host1 10.99.0.1 10.99.0.2"], "{dead}");
    }
}
