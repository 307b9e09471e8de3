//! What a node says that waits for a vote.

use std::collections::VecDeque;

use super::{
    super::{Status, record::tests::record},
    *,
};

/// A node among others that answer its pings and nothing else: what it says until then.
fn says(expect: usize, others: u128, until: Millis) -> Vec<String> {
    let config = Config { cluster: "x".into(), expect, timeout: 60_000, allowed: Vec::new() };
    let me = record("me", 9);
    let (mut protocol, _) = Protocol::new(config, me.clone(), ElectionState::new(me.id, String::new()), 0);
    let mut said = Vec::new();
    let mut events: VecDeque<_> =
        (1..=others).map(|it| Event::Met(record(&format!("other{it}"), it))).collect();
    for now in (0..until).step_by(50) {
        events.push_back(Event::Tick);
        while let Some(event) = events.pop_front() {
            for action in protocol.handle(event, now) {
                match action {
                    Action::Send(to, Message::Ping { number }) => {
                        let status = Status::default();
                        events.push_back(Event::Said(to, Message::Pong { number, status }));
                    }
                    Action::Tell(note) => said.push(note.to_string()),
                    Action::Exit(verdict) => said.push(verdict.to_string()),
                    _ => {}
                }
            }
        }
    }
    said
}

#[test]
fn more_than_are_expected_may_expect_another_number() {
    let said = says(2, 2, 1_000);
    let crowd =
        "3 nodes are here and 2 are expected: nobody votes until that changes; give all the same --expect";
    assert!(said.iter().any(|it| it.starts_with(crowd)), "{said:?}");
}

#[test]
fn as_many_as_are_expected_and_no_vote_may_expect_another_number() {
    let stalled = |it: &&String| it.starts_with("all 3 are here, and there is no vote: ");
    assert_eq!(says(3, 2, 9_000).iter().find(stalled), None);
    let said = says(3, 2, 61_000);
    let told: Vec<_> = said.iter().filter(stalled).collect();
    assert!(told.len() == 1 && told[0].contains("give all the same --expect"), "{said:?}");
    assert!(said.last().unwrap().contains("give all the same --expect"), "{said:?}");
}
