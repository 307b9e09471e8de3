//! Too few, too many, two alike, deaths between any two steps, a network that loses and splits.

use std::{fs, process::Command};

use super::{
    network::Network,
    node::{Node, Running},
};

fn start(nodes: &[Node]) -> Vec<Running> {
    nodes.iter().map(Node::start).collect()
}

#[test]
fn two_of_three_give_up_and_say_who_was_there() {
    let network = Network::new(2);
    let (one, mut two) = (network.node(1).expect(3).flag("timeout", 8), network.node(2).expect(3).start());
    let said = one.start().ends_with(75);
    assert!(said.contains("2 of 3 nodes were here at the timeout: this one, host2 (10.99.0.2, "), "{said}");
    let mut again = one.start();
    again.says("2 of 3 are here");
    two.kill();
    let said = again.ends_with(75);
    assert!(
        said.contains("1 of 3 nodes were here at the timeout: this one; here before, host2 (10.99.0.2, "),
        "{said}"
    );
    assert!(network.lines("actions").is_empty());
}

#[test]
fn the_fourth_of_three_is_refused_and_named() {
    let network = Network::new(4);
    let action = "echo $HOST >>$D/actions; until test -e $D/enough; do sleep 0.02; done";
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.expect(3).action(action)).collect();
    let mut running = start(&nodes[..3]);
    running[0].says("starting the action");
    let said = nodes[3].start().ends_with(78);
    assert!(
        said.contains("the cluster is complete without this node: host1 leads host1 (10.99.0.1"),
        "{said}"
    );
    running[0].says("host4 (10.99.0.4");
    running[0].says("is not a member: it came after the vote, and is refused");
    fs::write(network.path("enough"), "").unwrap();
    for it in &mut running {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions"), ["host1"]);
}

#[test]
fn four_that_come_at_once_for_three_never_start_twice() {
    let network = Network::new(4);
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.expect(3).flag("timeout", 8)).collect();
    let mut running = start(&nodes);
    let statuses: Vec<_> = running.iter_mut().map(Running::ends).collect();
    let (starts, elected) = (network.lines("actions").len(), statuses.iter().filter(|it| **it == 0).count());
    // Either three had voted before they saw the fourth, which is refused, or nobody votes while four are there.
    assert!([(0, 0), (1, 3)].contains(&(starts, elected)), "{starts} {statuses:?}");
    for (status, it) in statuses.iter().zip(&running).filter(|(status, _)| **status != 0) {
        let said = it.said();
        match status {
            76 => assert!(said.contains("4 nodes were here and 3 are expected"), "{said}"),
            78 => assert!(said.contains("the cluster is complete without this node"), "{said}"),
            _ => panic!("{said}"),
        }
    }
}

#[test]
fn two_with_one_name_are_named_and_nobody_starts() {
    let network = Network::new(3);
    let mut nodes = network.nodes();
    nodes[2] = nodes[2].clone().named("host1");
    for it in &mut start(&nodes) {
        let said = it.ends_with(77);
        assert!(said.contains("two nodes have the name host1"), "{said}");
        assert!(said.contains("10.99.0.1") && said.contains("10.99.0.3"), "{said}");
    }
    assert!(network.lines("actions").is_empty());
}

#[test]
fn a_cloned_state_directory_is_found_out() {
    let network = Network::new(3);
    let nodes = network.nodes();
    nodes[0].clone().flag("timeout", 1).start().ends_with(75);
    let status = Command::new("cp").arg("-r").args([network.path("state1"), network.path("state3")]).status();
    assert!(status.unwrap().success());
    for it in &mut start(&nodes) {
        let said = it.ends_with(77);
        assert!(said.contains("two nodes have the id "), "{said}");
        assert!(said.contains("host1 (10.99.0.1)") && said.contains("host3 (10.99.0.3)"), "{said}");
    }
    assert!(network.lines("actions").is_empty());
}

/// One of two is killed at this point, and starts again; the other goes on.
fn survives(victim: usize, point: &str) {
    let network = Network::new(2);
    let nodes = network.nodes();
    let mut other = nodes[1 - victim].start();
    assert_eq!(nodes[victim].clone().killed_at(point).start().ends(), 137, "it does not come to {point}");
    nodes[victim].start().ends_with(0);
    other.ends_with(0);
    let actions = network.lines("actions");
    assert!(
        !actions.is_empty() && actions.iter().all(|it| it == "host1 10.99.0.1 10.99.0.2"),
        "{point}: {actions:?}"
    );
    // Once more only where the disk did not know yet that the action had ended.
    let again = victim == 0 && ["election:start-written", "election:ran"].contains(&point);
    assert!(actions.len() == 1 || again, "{point}: {actions:?}");
    nodes[victim].start().ends_with(0);
    assert_eq!(network.lines("actions").len(), actions.len(), "{point}: one more start");
}

#[test]
fn the_leader_survives_a_kill_before_the_lock() {
    for point in
        ["election:identity", "election:identity-written", "election:promise", "election:promise-written"]
    {
        survives(0, point);
    }
}

#[test]
fn the_leader_survives_a_kill_around_the_lock() {
    for point in ["election:lock", "election:lock-written", "election:start"] {
        survives(0, point);
    }
}

#[test]
fn the_leader_survives_a_kill_after_the_start() {
    for point in [
        "election:start-written",
        "election:ran",
        "election:ran-written",
        "election:done",
        "election:done-written",
    ] {
        survives(0, point);
    }
}

#[test]
fn a_follower_survives_a_kill_at_any_write() {
    for point in ["election:promise", "election:promise-written", "election:lock", "election:lock-written"] {
        survives(1, point);
    }
    for point in ["election:done", "election:done-written"] {
        survives(1, point);
    }
}

#[test]
fn one_packet_of_five_is_lost() {
    let network = Network::new(3);
    for number in 1..=3 {
        network.on(number, "nft add table inet bad");
        network.on(number, "nft add chain inet bad input { type filter hook input priority 0 ; }");
        network.on(number, "nft add rule inet bad input numgen random mod 100 < 20 drop");
    }
    for it in &mut start(&network.nodes()) {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions"), ["host1 10.99.0.1 10.99.0.2 10.99.0.3"]);
}

#[test]
fn a_network_that_was_split_heals() {
    let network = Network::new(3);
    network.on(3, "nft add table inet bad");
    network.on(3, "nft add chain inet bad input { type filter hook input priority 0 ; policy drop ; }");
    let mut running = start(&network.nodes());
    running[0].says("2 of 3 are here");
    running[1].says("2 of 3 are here");
    running[2].says("waiting for 3 nodes");
    network.on(3, "nft delete table inet bad");
    for it in &mut running {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions"), ["host1 10.99.0.1 10.99.0.2 10.99.0.3"]);
}

#[test]
fn undecided_stays_undecided_until_the_leader_goes_on_or_the_operator_abandons_it() {
    let network = Network::new(2);
    let broken: Vec<_> =
        network.nodes().into_iter().map(|it| it.on_lock("exit 1").flag("timeout", 4)).collect();
    let mut id = String::new();
    for it in &mut start(&broken) {
        let said = it.ends_with(79);
        assert!(said.contains("undecided: this node is locked with host1 as its leader"), "{said}");
        id = said.split("--abandon ").nth(1).expect("it says how").trim().to_owned();
    }
    // A node more cannot begin another election with one of them.
    let third = network.node(1).state("new").flag("timeout", 4);
    assert_eq!((third.start().ends(), network.lines("actions").len()), (75, 0));

    let wrong = network.node(1).flag("abandon", "0123").start().ends_with(1);
    assert!(wrong.contains(&format!("this node is locked into cluster {id}")), "{wrong}");
    for node in network.nodes() {
        node.clone().flag("abandon", &id).start().ends_with(0);
        let again = node.flag("abandon", &id).start().ends_with(1);
        assert!(again.contains("this node is not locked"), "{again}");
    }
    for it in &mut start(&network.nodes()) {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions"), ["host1 10.99.0.1 10.99.0.2"]);
    let late = network.node(1).flag("abandon", &id).start().ends_with(1);
    assert!(late.contains("this node is locked into cluster"), "{late}");
}

#[test]
fn a_connection_that_hangs_is_replaced_by_another() {
    let network = Network::new(3);
    let nodes: Vec<_> = network.nodes().into_iter().map(|it| it.flag("timeout", 20)).collect();
    let mut running = start(&nodes[..2]);
    for it in &running {
        it.says("2 of 3 are here");
    }
    // Every packet of the connections that are open is lost from now on, as when TCP waits ever longer before it
    // sends again; new connections work.
    for number in [1, 2] {
        let open = network.on(number, "ss --no-header --tcp --numeric state established");
        let ports = open.lines().map(|it| it.split_whitespace().nth(2).unwrap().rsplit(':').next().unwrap());
        let peers = open.lines().map(|it| it.split_whitespace().nth(3).unwrap().rsplit(':').next().unwrap());
        let pairs: Vec<_> = ports.zip(peers).map(|(own, peer)| format!("{peer} . {own}")).collect();
        assert!(!pairs.is_empty(), "{open}");
        network.on(number, "nft add table inet bad");
        network.on(number, "nft add chain inet bad input { type filter hook input priority 0 ; }");
        let hung = pairs.join(", ");
        network.on(number, &format!("nft add rule inet bad input tcp sport . tcp dport {{ {hung} }} drop"));
    }
    running.push(nodes[2].start());
    for it in &mut running {
        it.ends_with(0);
    }
    assert_eq!(network.lines("actions").len(), 1);
}
