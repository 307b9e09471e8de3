//! The election judged by schedules that are generated, and repeated from their seed: the very type that the program
//! runs, on machines that crash at any write, over a network that loses, repeats, reorders, delays and splits.
//!
//! `MINICLUSTER_SCHEDULES` says how many; `MINICLUSTER_SEED` where to begin: one failing schedule is repeated with its
//! own seed and `MINICLUSTER_SCHEDULES=1`.

mod chance;
mod judge;
mod mutations;
mod network;
mod schedule;
mod world;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use chance::Chance;
use schedule::{Kind, run};

/// Schedules that have found something once.
const FOUND: &[u64] = &[1_035_856, 1_042_615];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|it| it.parse().expect("a number"))
}

/// The next number below `count`.
fn take(next: &AtomicU64, count: u64) -> Option<u64> {
    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|it| *it < count)
}

#[test]
fn no_schedule_breaks_a_guarantee() {
    let count = number("MINICLUSTER_SCHEDULES").unwrap_or(2_000);
    let first = number("MINICLUSTER_SEED").unwrap_or(1);
    println!("{count} schedules from MINICLUSTER_SEED={first}");
    let (next, started, broken) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = take(&next, count).map(|it| first.wrapping_add(it)) {
                    match run(Kind::of(seed), seed) {
                        Ok(start) => drop(started.fetch_add(u64::from(start), Ordering::Relaxed)),
                        Err(it) => {
                            broken
                                .lock()
                                .unwrap()
                                .push(format!("MINICLUSTER_SEED={seed} ({:?}): {it}", Kind::of(seed)));
                        }
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(
        broken.is_empty(),
        "{} schedules broke a guarantee:\n{}",
        broken.len(),
        broken[..broken.len().min(20)].join("\n")
    );
    let started = started.into_inner();
    println!("{started} of them came to a start");
    // A world in which nothing happens breaks no guarantee either.
    assert!(count < 100 || started > count / 4, "only {started} of {count} schedules came to a start");
}

#[test]
fn schedules_that_found_something_once() {
    for seed in FOUND {
        run(Kind::of(*seed), *seed).unwrap_or_else(|broken| panic!("MINICLUSTER_SEED={seed}: {broken}"));
    }
}

/// Beyond the bound there are two clusters, and the judge must see it: that proves it can.
#[test]
fn twice_as_many_identities_start_twice() {
    let mut chance = Chance::new(1);
    let broken = (0..20).filter_map(|_| run(Kind::TooMany, chance.next()).err()).collect::<Vec<_>>();
    assert!(broken.iter().any(|it| it.contains("a second start")), "{broken:?}");
}
