//! Real etcd processes: a cluster is founded once, and whatever is lost or killed joins it again.

mod cluster;
mod restart;

use std::fs;

use cluster::{Cluster, name};
use serde_json::json;

const ALL: &[usize] = &[0, 1, 2];

fn names(hosts: &[usize]) -> Vec<String> {
    hosts.iter().map(|it| name(*it)).collect()
}

fn steps(cluster: &mut Cluster, reached: &[usize]) -> Vec<String> {
    cluster.converge(ALL, reached).into_values().collect()
}

fn founded() -> Cluster {
    let mut cluster = Cluster::new(3);
    assert_eq!(steps(&mut cluster, ALL), ["found", "found", "found"]);
    cluster
}

#[test]
fn a_cluster_is_founded_once_and_has_the_number_that_was_written_down() {
    let mut cluster = founded();
    assert_eq!(cluster.members(0), names(ALL));
    let record = fs::read_to_string(cluster.record()).unwrap();
    assert!(record.contains(&format!("\"cluster_id\": \"{}\"", cluster.cluster_id(0))), "{record}");
    assert!(record.contains("\"founding\""), "{record}");
    assert_eq!(steps(&mut cluster, ALL), ["start", "start", "start"]);
    assert!(fs::read_to_string(cluster.record()).unwrap().contains("\"founded\""));
    assert!(!cluster.decide(ALL, ALL).changed(), "a further run changes nothing");
}

#[test]
fn every_member_is_rebuilt_whatever_the_order_and_the_data_stays() {
    let mut cluster = founded();
    let id = cluster.cluster_id(0);
    cluster.etcdctl(0, &["put", "key", "value"]).unwrap();
    for (lost, order) in [(0, [0, 1, 2]), (1, [2, 1, 0]), (2, [1, 2, 0]), (0, [2, 0, 1])] {
        cluster.wipe(lost);
        let steps = cluster.converge(ALL, &order);
        assert_eq!(steps[&name(lost)], "join", "{steps:?}");
        assert_eq!((cluster.members(lost), cluster.cluster_id(lost)), (names(ALL), id.clone()));
        assert_eq!(cluster.etcdctl(lost, &["get", "key"]).unwrap(), "key\nvalue\n");
    }
}

#[test]
fn a_founding_that_never_reached_a_majority_begins_anew_with_corrected_addresses() {
    let mut cluster = Cluster::new(3);
    cluster.write_addresses(&["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]);
    let stuck = cluster.begin(ALL)["cluster"]["cluster_id"].clone();
    assert_eq!(cluster.cluster_id(0), stuck.as_str().unwrap());
    assert_eq!(cluster.etcdctl(0, &["endpoint", "health"]), None);
    let again = cluster.decide(ALL, ALL).0;
    assert_eq!(
        (&again["cluster"]["cluster_id"], &again["steps"]["host0"]["step"]),
        (&stuck, &json!("start"))
    );

    cluster.write_addresses(&[]);
    assert_eq!(steps(&mut cluster, ALL), ["found", "found", "found"]);
    assert_eq!(cluster.members(0), names(ALL));
    assert_ne!(cluster.cluster_id(0), stuck.as_str().unwrap());
    assert_eq!(steps(&mut cluster, ALL), ["start", "start", "start"]);
    assert!(!cluster.decide(ALL, ALL).changed(), "a further run changes nothing");
}

#[test]
fn members_with_one_address_are_refused_by_name() {
    let mut cluster = Cluster::new(3);
    cluster.write_addresses(&["https://127.0.0.1:2380", "https://10.0.0.2:2380", "https://127.0.0.1:2380"]);
    let refusal = cluster.refuses(ALL);
    assert!(refusal.contains("host0 and host2 have the same peer URL, https://127.0.0.1:2380"), "{refusal}");
}

#[test]
fn nothing_is_founded_with_a_name_that_a_host_cannot_resolve() {
    let mut cluster = Cluster::new(2);
    cluster.write_addresses(&["https://nobody.invalid:2380"]);
    let begin = std::time::Instant::now();
    let decided = cluster.decide(&[0, 1], &[0, 1]).0;
    assert!(begin.elapsed().as_secs() < 20, "ten seconds for each host, which look one after another here");
    for host in ["host0", "host1"] {
        let reason = decided["steps"][host]["msg"].as_str().unwrap();
        assert!(
            reason.contains("host0 cannot resolve nobody.invalid; host1 cannot resolve nobody.invalid"),
            "{reason}"
        );
    }
}

#[test]
fn a_start_without_data_founds_nothing() {
    let mut cluster = founded();
    cluster.wipe(1);
    cluster.start(1);
    assert!(cluster.gave_up(1), "etcd runs without data");
}

#[test]
fn without_a_majority_a_host_is_refused() {
    let mut cluster = founded();
    cluster.converge(ALL, ALL);
    cluster.wipe(0);
    cluster.wipe(1);
    let steps = cluster.decide(ALL, ALL).0["steps"].clone();
    assert_eq!([0, 1, 2].map(|it| steps[name(it)]["step"].clone()), ["refuse", "refuse", "start"]);
    assert!(steps[name(0)]["msg"].as_str().unwrap().contains("restore.yml"), "{steps}");
    let message = cluster.member(0, "join", ALL).with("timeout", 1).fail();
    assert!(message.contains("restore.yml"), "{message}");
}

#[test]
fn a_lost_record_is_rebuilt_from_the_members() {
    let mut cluster = founded();
    fs::remove_file(cluster.record()).unwrap();
    cluster.wipe(2);
    assert_eq!(steps(&mut cluster, ALL), ["start", "start", "join"]);
    assert_eq!(cluster.members(2), names(ALL));
}

#[test]
fn a_host_that_leaves_the_group_leaves_the_members_and_may_come_back() {
    let mut cluster = founded();
    cluster.stop(1);
    cluster.converge(&[0, 2], &[0, 2]);
    assert_eq!(cluster.members(0), names(&[0, 2]));
    assert_eq!(steps(&mut cluster, ALL), ["start", "rejoin", "start"]);
    assert_eq!(cluster.members(1), names(ALL));
}

#[test]
fn what_others_report_of_a_member_is_asked_again_before_its_data_is_touched() {
    let mut cluster = founded();
    cluster.etcdctl(1, &["put", "key", "value"]).unwrap();
    let own = cluster.member(1, "observe", ALL).run().0["observation"]["data"]["member_id"].clone();
    // As it would be told if the others were believed to have removed it.
    let refusal = cluster.member(1, "rejoin", ALL).fail();
    assert!(refusal.contains(&format!("still lists member {}", own.as_str().unwrap())), "{refusal}");
    cluster.stop(0);
    cluster.stop(2);
    let refusal = cluster.member(1, "rejoin", ALL).with("timeout", 1).fail();
    assert!(refusal.starts_with("0 other members say that the cluster removed member"), "{refusal}");
    assert!(refusal.contains("but 2 have to"), "{refusal}");
    let refusal = cluster.member(1, "join", ALL).fail();
    assert!(refusal.contains("has data by now"), "{refusal}");
    cluster.start(0);
    cluster.start(2);
    assert_eq!(steps(&mut cluster, ALL), ["start", "start", "start"]);
    assert_eq!(cluster.etcdctl(1, &["get", "key"]).unwrap(), "key\nvalue\n");
    let expelled = cluster.member(0, "expel", ALL).with("members", json!([own])).run();
    assert!(!expelled.changed(), "a host of the group is not removed, whoever calls it departed");
    assert_eq!(cluster.members(0), names(ALL));
}

#[test]
fn a_report_that_is_not_understood_is_its_hosts_failure_alone() {
    let mut cluster = founded();
    cluster.converge(ALL, ALL);
    for bad in [r#"{"data": "x"}"#, r#"{"data": NaN}"#, "", "[]", &"[".repeat(200)] {
        let steps = cluster.decide_with(ALL, ALL, &[(2, bad)]).0["steps"].clone();
        assert_eq!(
            [0, 1, 2].map(|it| steps[name(it)]["step"].clone()),
            ["start", "start", "refuse"],
            "{bad}"
        );
        let reason = steps[name(2)]["msg"].as_str().unwrap();
        assert!(reason.starts_with("what the host reported is not understood"), "{reason}");
    }
}

#[test]
fn a_cluster_grows_from_one_host_to_three() {
    let mut cluster = Cluster::new(3);
    cluster.converge(&[0], &[0]);
    assert_eq!(steps(&mut cluster, ALL), ["start", "join", "join"]);
    assert_eq!(cluster.members(0), names(ALL));
}

#[test]
fn a_member_is_restarted_only_while_the_others_are_a_majority() {
    let mut cluster = Cluster::new(3);
    cluster.converge(&[0], &[0]);
    assert_eq!(cluster.guard(0), None, "a cluster of one is down whenever it restarts");
    assert_eq!(steps(&mut cluster, ALL), ["start", "join", "join"]);
    assert_eq!([0, 1, 2].map(|it| cluster.guard(it)), [const { None }; 3]);

    cluster.stop(2);
    let refusal = cluster.guard(1).unwrap();
    assert!(
        refusal.starts_with("of the 2 other members of etcd 1 are healthy, and etcd needs 2 "),
        "{refusal}"
    );
    assert!(
        refusal.contains("systemctl restart etcd\nhttp://127.0.0.1:"),
        "it names the sick one: {refusal}"
    );
    assert!(cluster.etcdctl(1, &["put", "key", "value"]).is_some(), "the majority stays");
    cluster.stop(0);
    let refusal = cluster.guard(1).unwrap();
    assert!(refusal.contains(" 0 are healthy, "), "without a majority no member is: {refusal}");
    cluster.stop(1);
    let refusal = cluster.guard(1).unwrap();
    assert!(
        refusal.contains("other members of etcd 0 are healthy"),
        "one that takes no clients knows the others: {refusal}"
    );
    cluster.start(0);
    cluster.start(2);
    let refusal = cluster.guard(1);
    assert_eq!(refusal, None, "the others are a majority by now: {refusal:?}");
}

/// A run may die between any two writes; the next one finishes.
#[cfg(feature = "fault_points")]
mod killed {
    use super::*;

    #[test]
    fn a_join_goes_on() {
        let mut cluster = founded();
        cluster.converge(ALL, ALL);
        for point in ["stopped", "removed", "announced", "joining"] {
            cluster.wipe(0);
            cluster.member(0, "join", ALL).killed_at(&format!("etcd_member:{point}"));
            assert_eq!(steps(&mut cluster, ALL), ["join", "start", "start"], "{point}");
            assert_eq!(cluster.members(0), names(ALL), "{point}");
        }
    }

    #[test]
    fn a_rejoin_goes_on() {
        let mut cluster = founded();
        cluster.stop(1);
        cluster.converge(&[0, 2], &[0, 2]);
        cluster.member(1, "rejoin", ALL).killed_at("etcd_member:put_aside");
        assert_eq!(steps(&mut cluster, ALL), ["start", "join", "start"]);
    }

    #[test]
    fn a_second_member_that_was_only_announced_completes_the_majority() {
        let mut cluster = Cluster::new(2);
        cluster.converge(&[0], &[0]);
        cluster.member(1, "join", &[0, 1]).killed_at("etcd_member:announced");
        assert_eq!(cluster.etcdctl(0, &["endpoint", "health"]), None, "one of two is no majority");
        let steps = cluster.converge(&[0, 1], &[0, 1]);
        assert_eq!(steps[&name(1)], "join");
        assert_eq!(cluster.members(1), names(&[0, 1]));
    }

    #[test]
    fn a_founding_goes_on() {
        let mut cluster = Cluster::new(3);
        let decision = cluster.decide(ALL, ALL).0["cluster"].clone();
        let found = |host| {
            let found = cluster.member(host, "found", ALL).with("token", decision["token"].clone());
            found.with("founders", decision["members"].clone())
        };
        found(0).run();
        found(1).killed_at("etcd_member:founding");
        cluster.start(0);
        assert_eq!(steps(&mut cluster, ALL)[1..], ["found", "found"]);
        assert_eq!(cluster.members(2), names(ALL));
        let ids = [0, 1, 2].map(|it| cluster.cluster_id(it));
        assert_eq!(ids, [0, 1, 2].map(|_| decision["cluster_id"].as_str().unwrap().to_owned()));
    }
}
