//! One case a test: what is remembered, what is seen, what follows.

use std::collections::BTreeMap;

use super::super::{
    Data, Decision, FoundingState, Id, Member, Observation, Record, Situation, Step, cluster_id, decide,
};

const TOKEN: &str = "token";

fn url(host: &str) -> String {
    format!("https://{host}:2380")
}

fn hosts(names: &[&str]) -> BTreeMap<String, String> {
    names.iter().map(|it| ((*it).to_owned(), url(it))).collect()
}

fn record(state: FoundingState) -> Record {
    Record { state, ..Record::founding(TOKEN, &hosts(&["a", "b", "c"])) }
}

fn ours() -> Id {
    cluster_id(TOKEN, &hosts(&["a", "b", "c"]))
}

fn empty() -> Observation {
    Observation::default()
}

/// A host with data of `cluster`; its member number is derived from nothing, as after a join.
fn holds(cluster: Id, member: u64, last_index: u64) -> Observation {
    Observation { data: Some(Data { cluster_id: cluster, member_id: Id(member), last_index }), ..empty() }
}

fn member(id: u64, host: &str) -> Member {
    Member { id: Id(id), name: host.to_owned(), peer_urls: vec![url(host)] }
}

fn answers(member_id: u64, members: &[Member]) -> Observation {
    Observation { members: Some(members.to_vec()), ..holds(ours(), member_id, 100) }
}

fn decision(record: Option<Record>, expected: &[&str], observed: Vec<(&str, Observation)>) -> Decision {
    let observed = observed.into_iter().map(|(host, seen)| (host.to_owned(), seen)).collect();
    decide(&Situation { record, expected: hosts(expected), observed }, TOKEN)
}

fn steps(decision: &Decision) -> Vec<(&str, &str)> {
    let name = |step: &Step| match step {
        Step::Start => "start",
        Step::Found => "found",
        Step::Join => "join",
        Step::Rejoin => "rejoin",
        Step::Readdress => "readdress",
        Step::Refuse(_) => "refuse",
    };
    decision.steps.iter().map(|(host, step)| (host.as_str(), name(step))).collect()
}

fn refusal<'a>(decision: &'a Decision, host: &str) -> &'a str {
    match &decision.steps[host] {
        Step::Refuse(reason) => reason,
        step => panic!("{host} is not refused but told to {step:?}"),
    }
}

const ALL: &[&str] = &["a", "b", "c"];

#[test]
fn nothing_anywhere_is_founded_and_remembered_first() {
    let it = decision(None, ALL, vec![("a", empty()), ("b", empty()), ("c", empty())]);
    assert_eq!(steps(&it), [("a", "found"), ("b", "found"), ("c", "found")]);
    assert_eq!(it.record, Some(record(FoundingState::Founding)));
}

#[test]
fn nothing_is_founded_while_a_host_cannot_resolve_the_others() {
    let lost = Observation { unresolved: vec!["c".into(), "a name that nobody dials".into()], ..empty() };
    let it = decision(None, ALL, vec![("a", empty()), ("b", lost), ("c", empty())]);
    assert_eq!(steps(&it), [("a", "refuse"), ("b", "refuse"), ("c", "refuse")]);
    assert!(refusal(&it, "a").starts_with("etcd is not founded: b cannot resolve c. Members"), "{it:?}");
}

#[test]
fn nothing_is_founded_while_a_host_is_out_of_sight() {
    let it = decision(None, ALL, vec![("b", empty()), ("c", empty())]);
    assert!(refusal(&it, "b").contains("a did not answer"));
    assert_eq!(it.record, None);
}

#[test]
fn a_founding_that_was_killed_continues_with_the_same_token() {
    let other = Record::founding("earlier", &hosts(ALL));
    let seen = vec![("a", holds(other.cluster_id, 1, 3)), ("b", empty()), ("c", empty())];
    let it = decision(Some(other.clone()), ALL, seen);
    assert_eq!(steps(&it), [("a", "start"), ("b", "found"), ("c", "found")]);
    assert_eq!(it.record, Some(other.clone()));
    let it = decision(Some(other.clone()), ALL, vec![("a", empty()), ("b", empty()), ("c", empty())]);
    assert_eq!(it.record, Some(other));
}

#[test]
fn a_founding_that_started_nothing_takes_the_hosts_as_they_are_now() {
    let it = decision(
        Some(record(FoundingState::Founding)),
        &["a", "b", "c", "d"],
        vec![("a", empty()), ("b", empty()), ("c", empty()), ("d", empty())],
    );
    let anew = it.record.unwrap();
    assert_eq!(
        anew,
        record(FoundingState::Founding).given_up_for(Record::founding(TOKEN, &hosts(&["a", "b", "c", "d"])))
    );
    assert_eq!(it.steps["d"], Step::Found);
}

#[test]
fn a_founding_that_never_elected_a_leader_begins_anew_with_the_addresses_of_now() {
    let stuck = Record::founding("earlier", &BTreeMap::from([("a".into(), "https://a.wrong:2380".into())]));
    let stuck = Record::founding("earlier", &stuck.members.into_iter().chain(hosts(&["b", "c"])).collect());
    let old = |last_index| holds(stuck.cluster_id, 1, last_index);
    let it = decision(Some(stuck.clone()), ALL, vec![("a", old(3)), ("b", old(3)), ("c", empty())]);
    assert_eq!(steps(&it), [("a", "found"), ("b", "found"), ("c", "found")]);
    let anew = it.record.unwrap();
    assert_eq!((&anew.members, &anew.token[..]), (&hosts(ALL), TOKEN));
    // Killed when the first has started: its data is of the new founding.
    let new = holds(anew.cluster_id, 1, 3);
    let it = decision(Some(anew.clone()), ALL, vec![("a", new.clone()), ("b", old(3)), ("c", empty())]);
    assert_eq!(steps(&it), [("a", "start"), ("b", "found"), ("c", "found")]);
    // One that missed it is taken in later.
    let founded = Record { state: FoundingState::Founded, ..anew.clone() };
    let elected = Observation { data: new.data.map(|it| Data { last_index: 9, ..it }), ..new.clone() };
    let it = decision(Some(founded), ALL, vec![("a", elected.clone()), ("b", old(3)), ("c", elected)]);
    assert_eq!(steps(&it), [("a", "start"), ("b", "join"), ("c", "start")]);

    for (case, seen) in [
        ("a leader was elected", vec![("a", old(3)), ("b", old(4)), ("c", empty())]),
        ("a founder is out of sight", vec![("a", old(3)), ("b", old(3))]),
    ] {
        let it = decision(Some(stuck.clone()), ALL, seen);
        assert_eq!(it.record.unwrap().token, "earlier", "{case}");
    }
}

#[test]
fn a_founding_is_given_up_only_where_neither_it_nor_the_next_can_elect_beside_the_other() {
    let begins_anew = |expected: &[&str], with_data: &[&str]| {
        let seen = |it: &&str| if with_data.contains(it) { holds(ours(), 1, 3) } else { empty() };
        let seen = expected.iter().map(|it| (*it, seen(it))).collect();
        decision(Some(record(FoundingState::Founding)), expected, seen).record
            != Some(record(FoundingState::Founding))
    };
    for (case, expected, with_data, anew) in [
        ("one more founder", &["a", "b", "c", "d"][..], &["a", "b"][..], true),
        ("so many more that they are enough", &["a", "b", "c", "d", "e"], &["a", "b"], false),
        ("nothing was started", &["a", "b", "c", "d", "e"], &[], true),
        ("a founder left, and may hold what one more has lost", &["a", "b"], &["a"], false),
        ("a founder left, which alone was no majority", &["a", "b"], &["a", "b"], true),
        ("a founder was exchanged, and could elect with one more", &["a", "b", "d"], &["a", "b"], false),
    ] {
        assert_eq!(begins_anew(expected, with_data), anew, "{case}");
    }
}

#[test]
fn a_founding_that_elected_a_leader_after_it_was_given_up_is_the_cluster() {
    let next = Record::founding("next", &hosts(&["a", "b", "c", "d"]));
    let given_up = record(FoundingState::Founding).given_up_for(next.clone());
    let elected = |member| holds(ours(), member, 4);
    let seen =
        vec![("a", elected(1)), ("b", elected(2)), ("c", holds(next.cluster_id, 3, 4)), ("d", empty())];
    let it = decision(Some(given_up.clone()), &["a", "b", "c", "d"], seen);
    assert_eq!(steps(&it)[..2], [("a", "start"), ("b", "start")]);
    assert_eq!(it.record.map(|it| (it.cluster_id, it.state)), Some((ours(), FoundingState::Founded)));
    let seen = vec![("a", elected(1)), ("b", empty()), ("c", empty()), ("d", empty())];
    let it = decision(Some(given_up.clone()), &["a", "b", "c", "d"], seen);
    assert_eq!(steps(&it)[0].1, "refuse", "one host alone is not believed");
    assert_eq!(it.record, Some(given_up));
}

#[test]
fn a_founder_that_lost_its_data_does_not_found_again_what_elected_a_leader() {
    let seen = vec![("a", empty()), ("b", holds(ours(), 2, 4)), ("c", holds(ours(), 3, 3))];
    let it = decision(Some(record(FoundingState::Founding)), ALL, seen);
    assert_eq!(steps(&it), [("a", "join"), ("b", "start"), ("c", "start")]);
    assert_eq!(it.record, Some(record(FoundingState::Founded)));
}

#[test]
fn a_killed_founding_waits_for_all_its_founders() {
    let it = decision(
        Some(record(FoundingState::Founding)),
        ALL,
        vec![("a", empty()), ("b", holds(ours(), 2, 3))],
    );
    assert!(refusal(&it, "a").contains("c did not answer"));
    assert_eq!(it.steps["b"], Step::Start);
}

#[test]
fn a_host_without_data_joins_what_was_founded() {
    let members = [member(1, "a"), member(2, "b"), member(3, "c")];
    let seen = vec![("a", empty()), ("b", answers(2, &members)), ("c", answers(3, &members))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert_eq!(steps(&it), [("a", "join"), ("b", "start"), ("c", "start")]);
    assert_eq!(it.departed, []);
}

#[test]
fn without_a_majority_nobody_joins_and_the_message_names_the_restore() {
    let seen = vec![("a", empty()), ("b", empty()), ("c", holds(ours(), 3, 100))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert!(refusal(&it, "a").contains("restore.yml -e etcd_snapshot=FILE"));
    assert_eq!(steps(&it), [("a", "refuse"), ("b", "refuse"), ("c", "start")]);
}

#[test]
fn a_new_member_that_a_run_is_limited_to_is_not_advised_to_restore() {
    let it = decision(Some(record(FoundingState::Founded)), &["a", "b", "c", "d"], vec![("d", empty())]);
    let reason = refusal(&it, "d");
    assert!(reason.contains("a, b, c were not looked at in this run. Run again without --limit"), "{reason}");
    assert!(!reason.contains("restore"), "{reason}");
    let seen = vec![("a", empty()), ("b", empty())];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert!(refusal(&it, "a").contains("restore.yml"), "the third alone is no majority");
}

#[test]
fn hosts_that_were_exchanged_all_at_once_are_told_of_the_former_ones() {
    let seen = vec![("d", empty()), ("e", empty()), ("f", empty())];
    let it = decision(Some(record(FoundingState::Founded)), &["d", "e", "f"], seen);
    let reason = refusal(&it, "d");
    assert!(reason.contains("which a, b, c founded: were its hosts exchanged all at once?"), "{reason}");
}

#[test]
fn what_was_founded_is_not_founded_again_when_all_data_is_gone() {
    let it = decision(
        Some(record(FoundingState::Founded)),
        ALL,
        vec![("a", empty()), ("b", empty()), ("c", empty())],
    );
    assert_eq!(steps(&it), [("a", "refuse"), ("b", "refuse"), ("c", "refuse")]);
}

#[test]
fn members_that_are_all_stopped_start_and_take_the_empty_host_in() {
    let seen = vec![("a", empty()), ("b", holds(ours(), 2, 100)), ("c", holds(ours(), 3, 100))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert_eq!(steps(&it), [("a", "join"), ("b", "start"), ("c", "start")]);
}

#[test]
fn a_host_that_a_cluster_without_majority_waits_for_joins() {
    let waits = Observation { announced: vec![url("b")], ..holds(ours(), 1, 100) };
    let seen = vec![("a", waits), ("b", empty()), ("c", empty())];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert_eq!(steps(&it), [("a", "start"), ("b", "join"), ("c", "refuse")]);
}

#[test]
fn a_lost_record_is_rebuilt_from_the_data() {
    let seen = vec![("a", empty()), ("b", holds(ours(), 2, 100)), ("c", holds(ours(), 3, 100))];
    let it = decision(None, ALL, seen);
    assert_eq!(steps(&it), [("a", "join"), ("b", "start"), ("c", "start")]);
    assert_eq!(it.record, Some(Record::rebuilt(ours())));
}

#[test]
fn a_lost_record_is_not_rebuilt_from_a_single_host_of_three() {
    let it = decision(None, ALL, vec![("a", holds(Id(7), 1, 100))]);
    assert!(refusal(&it, "a").contains("7 on a; no answer from b, c"), "{it:?}");
    assert_eq!(it.record, None);
}

#[test]
fn a_lost_record_is_not_rebuilt_where_two_clusters_could_be_meant() {
    let seen = vec![("a", holds(Id(7), 1, 100)), ("b", holds(ours(), 2, 100)), ("c", empty())];
    let it = decision(None, ALL, seen);
    assert!(refusal(&it, "c").contains("7 on a"), "{it:?}");
    // One host alone says that its cluster lives.
    let members = [member(2, "b")];
    let seen = vec![("a", holds(Id(7), 1, 100)), ("b", answers(2, &members)), ("c", empty())];
    assert_eq!(steps(&decision(None, ALL, seen)), [("a", "refuse"), ("b", "refuse"), ("c", "refuse")]);
    let members = [member(2, "b"), member(3, "c")];
    let seen = vec![("a", holds(Id(7), 1, 100)), ("b", answers(2, &members)), ("c", answers(3, &members))];
    assert_eq!(steps(&decision(None, ALL, seen)), [("a", "refuse"), ("b", "start"), ("c", "start")]);
}

#[test]
fn a_member_that_lies_takes_nobodys_data() {
    let (all, alone) = ([member(1, "a"), member(2, "b"), member(3, "c")], [member(1, "a")]);
    let lies = || ("a", answers(1, &alone));
    let healthy = vec![lies(), ("b", answers(2, &all)), ("c", answers(3, &all))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, healthy.clone());
    assert_eq!(steps(&it), [("a", "start"), ("b", "start"), ("c", "start")]);
    assert_eq!(decision(None, ALL, healthy).record, Some(Record::rebuilt(ours())));
    // Nobody else can say anything: after a power cut, or while no majority runs.
    let stopped = vec![lies(), ("b", holds(ours(), 2, 100)), ("c", holds(ours(), 3, 100))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, stopped);
    assert_eq!(steps(&it), [("a", "start"), ("b", "start"), ("c", "start")]);
    // Two members that it lists under names of its own making are not removed.
    let renamed = [member(1, "a"), member(2, "x"), member(3, "y")]
        .map(|it| Member { peer_urls: vec!["https://elsewhere:2380".into()], ..it });
    let seen = vec![("a", answers(1, &renamed)), ("b", answers(2, &all)), ("c", answers(3, &all))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert_eq!(steps(&it), [("a", "start"), ("b", "start"), ("c", "start")]);
    assert_eq!(it.departed, []);
}

#[test]
fn a_removal_needs_half_of_the_hosts_and_nobody_who_says_otherwise() {
    let (with, without) = ([member(1, "a"), member(2, "b")], [member(2, "b"), member(3, "c")]);
    let old = || ("a", holds(ours(), 1, 50));
    for (case, seen, expected) in [
        ("one of three", vec![old(), ("b", answers(2, &without)), ("c", empty())], "start"),
        ("two of three", vec![old(), ("b", answers(2, &without)), ("c", answers(3, &without))], "rejoin"),
        ("contradicted", vec![old(), ("b", answers(2, &with)), ("c", answers(3, &without))], "start"),
    ] {
        let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
        assert_eq!(steps(&it)[0].1, expected, "{case}");
    }
    let it =
        decision(Some(record(FoundingState::Founded)), &["a", "b"], vec![old(), ("b", answers(2, &without))]);
    assert_eq!(it.steps["a"], Step::Rejoin, "of two hosts none may lie");
}

#[test]
fn data_of_another_cluster_is_refused_on_its_host_only() {
    let members = [member(2, "b"), member(3, "c")];
    let seen = vec![("a", holds(Id(7), 1, 100)), ("b", answers(2, &members)), ("c", answers(3, &members))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert!(refusal(&it, "a").contains("data of etcd cluster 7"));
    assert_eq!(it.steps["b"], Step::Start);
}

#[test]
fn a_removed_member_that_returns_with_its_old_data_joins_anew() {
    let members = [member(2, "b"), member(3, "c")];
    let seen = vec![("a", holds(ours(), 1, 50)), ("b", answers(2, &members)), ("c", answers(3, &members))];
    assert_eq!(decision(Some(record(FoundingState::Founded)), ALL, seen).steps["a"], Step::Rejoin);
}

#[test]
fn a_host_that_left_the_group_leaves_the_membership() {
    let members = [member(1, "a"), member(2, "b"), member(3, "c")];
    let seen = vec![("b", answers(2, &members)), ("c", answers(3, &members))];
    let it = decision(Some(record(FoundingState::Founded)), &["b", "c"], seen);
    assert_eq!(it.departed, [member(1, "a")]);
}

#[test]
fn a_host_that_is_only_out_of_sight_stays_a_member() {
    let members = [member(1, "a"), member(2, "b"), member(3, "c")];
    let seen = vec![("b", answers(2, &members)), ("c", answers(3, &members))];
    assert_eq!(decision(Some(record(FoundingState::Founded)), ALL, seen).departed, []);
}

#[test]
fn a_renamed_or_announced_host_does_not_leave() {
    let announced = Member { name: String::new(), ..member(1, "a") };
    let members = [announced, member(2, "old-name-of-b"), member(3, "c")];
    let seen = vec![("b", answers(2, &members)), ("c", answers(3, &members))];
    assert_eq!(decision(Some(record(FoundingState::Founded)), ALL, seen).departed, []);
}

#[test]
fn a_host_with_a_new_address_tells_the_others() {
    let moved = Member { peer_urls: vec!["https://before:2380".to_owned()], ..member(1, "a") };
    let members = [moved, member(2, "b"), member(3, "c")];
    let seen = vec![("a", holds(ours(), 1, 50)), ("b", answers(2, &members)), ("c", answers(3, &members))];
    let it = decision(Some(record(FoundingState::Founded)), ALL, seen);
    assert_eq!(
        (steps(&it), it.departed.len()),
        (vec![("a", "readdress"), ("b", "start"), ("c", "start")], 0)
    );
}
