//! Each rule is broken in turn, and the simulation must notice: a rule that nobody misses is either not needed or
//! not tested.

use super::{
    super::rule::{BROKEN, Rule},
    Kind, run,
};

const RULES: [Rule; 22] = [
    Rule::ExactlyN,
    Rule::Quiet,
    Rule::NoDuplicates,
    Rule::Heartbeats,
    Rule::Lowest,
    Rule::TermAbove,
    Rule::TermRises,
    Rule::SameDigest,
    Rule::BeginAgain,
    Rule::RespectLocks,
    Rule::LockStays,
    Rule::DiskFirst,
    Rule::AllPromise,
    Rule::LeaderFirst,
    Rule::LatestPromise,
    Rule::HookFirst,
    Rule::AllLock,
    Rule::StartedFirst,
    Rule::GoDecides,
    Rule::KeepVotes,
    Rule::StartAgain,
    Rule::Repeat,
];

#[test]
fn every_rule_is_missed_when_it_is_broken() {
    let mut unnoticed = Vec::new();
    for rule in RULES {
        BROKEN.set(Some(rule));
        let noticed = (0..4_000).find_map(|seed| Some((seed, run(Kind::of(seed), seed).err()?)));
        BROKEN.set(None);
        match noticed {
            Some((seed, broken)) => println!("{rule:?}: schedule {seed}: {broken}"),
            None => unnoticed.push(rule),
        }
    }
    assert!(unnoticed.is_empty(), "nobody notices when these are broken: {unnoticed:?}");
}
