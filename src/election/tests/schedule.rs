//! A schedule: machines, weather and events, all from one seed.

use super::{
    super::Stage,
    world::{Weather, World},
};

/// What a schedule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything goes wrong for a while, with up to 2·N − 1 identities; then nothing does.
    Chaos,
    /// One of N dies for good before the lock and another takes its place.
    Replaced,
    /// A machine is torn from one that votes to another that does, while slow messages are on their way.
    Torn,
    /// The leader dies right after a write, and comes back with an address that makes it the highest.
    Moved,
    /// N + 1 start together on a whole network.
    Crowd,
    /// Two of the machines have one id, or one name.
    Twins,
    /// 2·N identities, in two parts.
    TooMany,
}

impl Kind {
    /// Of the schedule with this seed.
    pub(super) const fn of(seed: u64) -> Self {
        match seed % 10 {
            0 => Self::Crowd,
            1 => Self::Twins,
            2 => Self::Replaced,
            3 => Self::Torn,
            4 => Self::Moved,
            _ => Self::Chaos,
        }
    }
}

/// Runs a schedule: whether it came to a start.
pub(super) fn run(kind: Kind, seed: u64) -> Result<bool, String> {
    match kind {
        Kind::Chaos => chaos(seed),
        Kind::Replaced => replaced(seed),
        Kind::Torn => torn(seed),
        Kind::Moved => moved(seed),
        Kind::Crowd => crowd(seed),
        Kind::Twins => twins(seed),
        Kind::TooMany => too_many(seed),
    }
}

fn weather(world: &mut World) -> Weather {
    let chance = &mut world.chance;
    Weather {
        lost: chance.pick(&[0, 50, 200, 400]),
        repeated: chance.pick(&[0, 100]),
        delay: chance.pick(&[5, 50, 300, 1_500]),
        slow: chance.pick(&[100, 1_000]),
        slow_votes: chance.pick(&[0, 500]),
        crash: chance.pick(&[0, 30, 150, 400]),
        fails: chance.pick(&[0, 200]),
        silent: chance.pick(&[0, 300, 1_000]),
        moves: chance.pick(&[0, 0, 500]),
    }
}

/// What no machine does by itself: power fails, disks are lost, the network splits and heals.
fn disturb(world: &mut World, most: usize) {
    let slot = world.chance.index(world.slots.len());
    match world.chance.below(10) {
        0..=3 => {
            let (crash, start) = (world.chance.below(500), world.chance.below(5_000));
            world.crash_after(crash, slot);
            world.start_after(crash + start, slot);
        }
        4 if world.identities() < most => {
            world.wipe(slot);
            world.start_after(100, slot);
        }
        5 | 6 => {
            let parts = (0..world.slots.len()).map(|_| world.chance.index(2)).collect();
            world.split(parts);
        }
        7 | 8 => world.split(vec![0; world.slots.len()]),
        _ if world.slots.len() > 1 && world.chance.permille(200) => world.slots[slot].gone = true,
        _ => {}
    }
}

fn chaos(seed: u64) -> Result<bool, String> {
    let expect = [2, 3, 3][usize::try_from(seed / 10 % 3).unwrap()];
    let mut world = World::new(expect, seed);
    let most = 2 * expect - 1;
    let extra = if world.chance.permille(300) { world.chance.index(expect) } else { 0 };
    for _ in 0..expect + extra {
        let slot = world.add();
        if world.chance.permille(200) {
            world.give_history(slot);
        }
        let after = world.chance.below(3_000);
        world.start_after(after, slot);
    }
    world.weather = weather(&mut world);
    world.timeout = world.chance.pick(&[5_000, 30_000, 300_000]);
    for _ in 0..world.chance.below(8) {
        disturb(&mut world, most);
        let pause = world.chance.below(2_000);
        world.run_until(world.now + pause)?;
        for slot in 0..world.slots.len() {
            if world.slots[slot].gone {
                world.crash_after(0, slot);
            }
        }
    }
    heal(&mut world)
}

/// From here on the network is whole and nothing fails: where a start must come, it comes.
fn heal(world: &mut World) -> Result<bool, String> {
    world.weather = Weather { delay: 20, slow: 1_000, ..Weather::default() };
    world.parts = vec![0; world.slots.len()];
    for slot in 0..world.slots.len() {
        if world.slots[slot].gone {
            world.crash_after(0, slot);
        }
    }
    // What is on its way arrives.
    world.run_until(world.now + 2_000)?;
    let must_start = world.must_start();
    for slot in 0..world.slots.len() {
        world.start_after(1, slot);
    }
    if must_start { ends_well(world) } else { Ok(!world.judge.started.is_empty()) }
}

/// Every machine that is left ends well.
fn ends_well(world: &mut World) -> Result<bool, String> {
    world.timeout = 20_000;
    let end = world.now + 60_000;
    while world.now < end && !world.all_ended_well() {
        world.run_until(world.now + 500)?;
    }
    // A leader whose action has ended well does not wait for ever for a member that was away: that one stays undecided.
    if world.all_ended_well() || world.leader_has_left() {
        return Ok(true);
    }
    Err(format!("nothing disturbs any more, and there is no end: {}", world.describe()))
}

fn replaced(seed: u64) -> Result<bool, String> {
    let expect = 3;
    let mut world = World::new(expect, seed);
    world.timeout = 300_000;
    for _ in 0..=expect {
        world.add();
    }
    world.weather.delay = world.chance.pick(&[5, 50, 200]);
    world.weather.silent = world.chance.pick(&[0, 1_000]);
    let dying = world.chance.index(expect);
    for slot in 0..expect {
        let after = world.chance.below(200);
        world.start_after(after, slot);
    }
    // Around the time of the vote, and as often before it as after it.
    let death = 100 + world.chance.below(900);
    world.crash_after(death, dying);
    world.slots[dying].gone = true;
    let after = death + world.chance.below(1_000);
    world.start_after(after, expect);
    world.run_until(death + 1_000)?;
    heal(&mut world)
}

fn torn(seed: u64) -> Result<bool, String> {
    let mut world = World::new(2, seed);
    world.timeout = 300_000;
    for slot in 0..3 {
        world.add();
        world.start_after(1, slot);
    }
    world.weather = Weather { delay: 2_000, slow: 30, slow_votes: 600, ..Weather::default() };
    world.parts = vec![0, 0, 1];
    for _ in 0..4 {
        let pause = 100 + world.chance.below(900);
        world.run_until(world.now + pause)?;
        let torn = world.chance.index(2);
        let parts = (0..3).map(|it| usize::from(it == torn || it == 2)).collect();
        world.split(parts);
    }
    heal(&mut world)
}

fn moved(seed: u64) -> Result<bool, String> {
    let expect = 2 + usize::try_from(seed / 10 % 2).unwrap();
    let mut world = World::new(expect, seed);
    world.timeout = 300_000;
    world.weather.lost = world.chance.pick(&[0, 300, 600]);
    world.dies_after = Some(world.chance.pick(&[Stage::Free, Stage::Locked, Stage::Started]));
    for slot in 0..expect {
        world.add();
        let after = world.chance.below(500);
        world.start_after(after, slot);
    }
    world.run_until(8_000)?;
    world.weather.lost = 0;
    ends_well(&mut world)
}

fn crowd(seed: u64) -> Result<bool, String> {
    let expect = 3;
    let mut world = World::new(expect, seed);
    world.timeout = 5_000;
    for _ in 0..=expect {
        let slot = world.add();
        let after = world.chance.below(100);
        world.start_after(after, slot);
    }
    world.run_until(20_000)?;
    if world.judge.started.is_empty() {
        Ok(false)
    } else {
        Err("more than N were there, and there is a start".into())
    }
}

fn twins(seed: u64) -> Result<bool, String> {
    let expect = 3;
    let mut world = World::new(expect, seed);
    let extra = world.chance.index(2);
    for _ in 0..expect + extra {
        world.add();
    }
    let what = world.chance.below(3);
    if what < 2 {
        world.slots[1].name = world.slots[0].name.clone();
    }
    if what > 0 {
        world.slots[1].id = world.slots[0].id.clone();
    }
    for slot in 0..expect + extra {
        let after = world.chance.below(100);
        world.start_after(after, slot);
    }
    world.run_until(3_000)?;
    if !world.judge.started.is_empty() {
        return Err("two have one id or one name, and there is a start".into());
    }
    let named = |slot: usize| world.slots[slot].statuses.contains(&77);
    if named(0) && named(1) {
        Ok(false)
    } else {
        Err("two have one id or one name, and one does not say so".into())
    }
}

fn too_many(seed: u64) -> Result<bool, String> {
    let expect = 3;
    let mut world = World::new(expect, seed);
    for slot in 0..2 * expect {
        world.add();
        world.parts[slot] = slot % 2;
        world.start_after(1, slot);
    }
    world.run_until(10_000)?;
    Ok(!world.judge.started.is_empty())
}
