//! Machines, their disks, and the network between them, on a clock that jumps from event to event.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::IpAddr,
};

use super::{
    super::{
        Action, Config, ElectionState, Event, Message, Millis, NodeId, Peer, Protocol, Record, Stage, Verdict,
    },
    chance::Chance,
    judge::Judge,
};

const CLUSTER: &str = "x";

/// How bad things are. All chances are in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub lost: u64,
    pub repeated: u64,
    /// Most take a moment, the slow ones up to this.
    pub delay: Millis,
    pub slow: u64,
    /// Of those that carry votes.
    pub slow_votes: u64,
    /// At each write.
    pub crash: u64,
    /// A program for the lock, or an action, fails.
    pub fails: u64,
    /// Nobody is told of a crash: the others learn by silence.
    pub silent: u64,
    /// A restarted machine has another address.
    pub moves: u64,
}

/// One machine.
pub(super) struct Slot {
    pub id: NodeId,
    pub name: String,
    pub election_id: u128,
    pub disk: Option<ElectionState>,
    /// Of the first state of this id, as if it had voted before in vain.
    pub history: u64,
    /// It never comes back.
    pub gone: bool,
    pub ended: Option<Verdict>,
    /// Every exit status it ever had.
    pub statuses: BTreeSet<u8>,
    pub(super) process: Option<Process>,
}

pub(super) struct Process {
    pub(super) protocol: Protocol,
    pub(super) record: Record,
    pub(super) met: BTreeSet<Peer>,
}

pub(super) enum What {
    Meet { to: Peer, record: Record },
    Deliver { to: Peer, from: Record, message: Message },
    Lost { to: Peer, peer: Peer },
    Wake { who: Peer },
    Hook { who: Peer, well: bool },
    Action { who: Peer, status: u8 },
    Start { slot: usize },
    Crash { slot: usize },
    Scan,
}

/// All of it.
pub(super) struct World {
    pub chance: Chance,
    pub weather: Weather,
    pub now: Millis,
    pub slots: Vec<Slot>,
    pub judge: Judge,
    /// Who can talk to whom: those in one part.
    pub parts: Vec<usize>,
    pub timeout: Millis,
    /// A leader dies right after this write, once, and comes back with a higher address.
    pub dies_after: Option<Stage>,
    /// Prints what the machines tell: `MINICLUSTER_TRACE`.
    traced: bool,
    expect: usize,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, What>,
    count: u64,
    identities: usize,
}

impl World {
    pub(super) fn new(expect: usize, seed: u64) -> Self {
        let mut world = Self {
            chance: Chance::new(seed),
            weather: Weather { delay: 20, slow: 1_000, ..Weather::default() },
            now: 0,
            slots: Vec::new(),
            judge: Judge::new(CLUSTER, expect),
            parts: Vec::new(),
            timeout: 30_000,
            dies_after: None,
            traced: std::env::var_os("MINICLUSTER_TRACE").is_some(),
            expect,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            count: 0,
            identities: 0,
        };
        world.at(0, What::Scan);
        world
    }

    fn new_id(&mut self) -> NodeId {
        self.identities += 1;
        NodeId::parse(&format!("n{}", self.identities)).unwrap()
    }

    /// How many ids there ever were.
    pub(super) const fn identities(&self) -> usize {
        self.identities
    }

    /// A machine more.
    pub(super) fn add(&mut self) -> usize {
        let id = self.new_id();
        let slot = self.slots.len();
        let election_id = u128::from(self.chance.below(100));
        self.slots.push(Slot {
            id,
            name: format!("host{slot}"),
            election_id,
            disk: None,
            history: 0,
            gone: false,
            ended: None,
            statuses: BTreeSet::new(),
            process: None,
        });
        self.parts.push(0);
        slot
    }

    pub(super) fn at(&mut self, after: Millis, what: What) {
        self.count += 1;
        self.queue.push(Reverse((self.now + after, self.count)));
        self.events.insert(self.count, what);
    }

    pub(super) fn start_after(&mut self, after: Millis, slot: usize) {
        self.at(after, What::Start { slot });
    }

    pub(super) fn crash_after(&mut self, after: Millis, slot: usize) {
        self.at(after, What::Crash { slot });
    }

    /// The disk is lost; the machine comes back as another.
    pub(super) fn wipe(&mut self, slot: usize) {
        self.crash(slot);
        let id = self.new_id();
        let slot = &mut self.slots[slot];
        (slot.id, slot.disk, slot.ended, slot.history) = (id, None, None, 0);
    }

    /// As if it had voted before, in vain.
    pub(super) fn give_history(&mut self, slot: usize) {
        self.slots[slot].history = self.chance.below(1_000);
    }

    /// Everything that happens until then.
    pub(super) fn run_until(&mut self, end: Millis) -> Result<(), String> {
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            if let Some(what) = self.events.remove(&number) {
                self.happens(what)?;
            }
        }
        self.now = self.now.max(end);
        Ok(())
    }

    fn happens(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Scan => {
                self.scan();
                self.at(100, What::Scan);
            }
            What::Start { slot } => return self.start(slot),
            What::Crash { slot } => self.crash(slot),
            What::Meet { to, record } => {
                let peer = Peer { id: record.id.clone(), incarnation: record.incarnation };
                if self.process(&to).is_some_and(|it| it.met.insert(peer)) {
                    return self.handle(&to, Event::Met(record));
                }
            }
            What::Lost { to, peer } => {
                if self.process(&to).is_some_and(|it| it.met.remove(&peer)) {
                    return self.handle(&to, Event::Lost(peer));
                }
            }
            What::Deliver { to, from, message } => {
                let peer = Peer { id: from.id.clone(), incarnation: from.incarnation };
                // A message may overtake the meeting.
                if self.process(&to).is_some_and(|it| it.met.insert(peer.clone())) {
                    self.handle(&to, Event::Met(from))?;
                }
                let lock = if let Message::Lock { term, digest } = &message {
                    Some((*term, digest.clone()))
                } else {
                    None
                };
                let slot = self.slot(&to).filter(|_| lock.is_some());
                let before = slot.and_then(|it| self.slots[it].disk.clone());
                self.handle(&to, Event::Said(peer, message))?;
                if let (Some(before), Some((term, digest)), Some(slot)) = (before, lock, slot) {
                    return Judge::locks(&before, self.slots[slot].disk.as_ref(), term, &digest);
                }
            }
            What::Wake { who } => {
                self.handle(&who, Event::Tick)?;
                let now = self.now;
                if let Some(wake) = self.process(&who).map(|it| it.protocol.wake_at()) {
                    self.at(wake.saturating_sub(now).max(1), What::Wake { who });
                }
            }
            What::Hook { who, well } => {
                if let Some(slot) = self.slot(&who).filter(|_| well) {
                    self.judge.hooks(self.slots[slot].disk.as_ref().expect("it is locked"));
                }
                return self.handle(&who, Event::HookEnded(well));
            }
            What::Action { who, status } => return self.handle(&who, Event::ActionEnded(status)),
        }
        Ok(())
    }

    pub(super) fn slot(&self, who: &Peer) -> Option<usize> {
        self.slots.iter().position(|it| {
            it.process
                .as_ref()
                .is_some_and(|it| it.record.incarnation == who.incarnation && it.record.id == who.id)
        })
    }

    pub(super) fn process(&mut self, who: &Peer) -> Option<&mut Process> {
        let slot = self.slot(who)?;
        self.slots[slot].process.as_mut()
    }

    pub(super) fn peer(&self, slot: usize) -> Option<Peer> {
        let record = &self.slots[slot].process.as_ref()?.record;
        Some(Peer { id: record.id.clone(), incarnation: record.incarnation })
    }

    fn start(&mut self, at: usize) -> Result<(), String> {
        let slot = &self.slots[at];
        if slot.process.is_some() || slot.gone {
            return Ok(());
        }
        if self.chance.permille(self.weather.moves) {
            self.slots[at].election_id = u128::from(self.chance.below(100));
        }
        self.count += 1;
        let (slot, incarnation) = (&mut self.slots[at], self.count);
        let disk = slot.disk.get_or_insert_with(|| ElectionState {
            term: slot.history,
            ..ElectionState::new(slot.id.clone(), String::new())
        });
        let record = Record {
            id: slot.id.clone(),
            incarnation,
            election_id: slot.election_id,
            name: slot.name.clone(),
            addresses: vec![IpAddr::from([10, 0, 0, 1])],
            port: 1,
            role: None,
            host_key: None,
            user_key: None,
        };
        let config = Config {
            cluster: CLUSTER.into(),
            expect: self.expect,
            timeout: self.now + self.timeout,
            allowed: Vec::new(),
        };
        let (protocol, actions) = Protocol::new(config, record.clone(), disk.clone(), self.now);
        slot.ended = None;
        slot.process = Some(Process { protocol, record, met: BTreeSet::new() });
        let who = Peer { id: slot.id.clone(), incarnation };
        self.at(1, What::Wake { who });
        self.perform(at, actions)
    }

    fn crash(&mut self, slot: usize) {
        let Some(peer) = self.peer(slot) else { return };
        self.slots[slot].process = None;
        for other in 0..self.slots.len() {
            if let Some(to) = self.peer(other).filter(|_| self.parts[slot] == self.parts[other]) {
                self.lose(to, peer.clone());
            }
        }
    }

    fn handle(&mut self, who: &Peer, event: Event) -> Result<(), String> {
        let Some(slot) = self.slot(who) else { return Ok(()) };
        let now = self.now;
        let Some(process) = &mut self.slots[slot].process else { return Ok(()) };
        let actions = process.protocol.handle(event, now);
        self.perform(slot, actions)
    }

    fn perform(&mut self, slot: usize, actions: Vec<Action>) -> Result<(), String> {
        let Some(who) = self.peer(slot) else { return Ok(()) };
        for action in actions {
            match action {
                Action::Persist(state) => {
                    let dies = self.chance.permille(self.weather.crash);
                    if dies && self.chance.permille(500) {
                        self.die(slot);
                        return Ok(());
                    }
                    self.judge.writes(self.slots[slot].disk.as_ref().expect("it has started"), &state)?;
                    let moves = self.dies_after == Some(state.stage) && state.leads();
                    self.slots[slot].disk = Some(*state);
                    if moves {
                        self.dies_after = None;
                        self.slots[slot].election_id = 1_000;
                    }
                    if dies || moves {
                        self.die(slot);
                        return Ok(());
                    }
                }
                Action::Send(to, message) => self.send(slot, &to, &message)?,
                Action::RunHook => {
                    let (after, well) = (self.delay(), !self.chance.permille(self.weather.fails));
                    self.at(after, What::Hook { who: who.clone(), well });
                }
                Action::RunAction(members) => {
                    self.judge
                        .starts(self.slots[slot].disk.as_ref().expect("it has started"), members.len())?;
                    let (after, fails) = (self.delay() * 10, self.chance.permille(self.weather.fails));
                    self.at(after, What::Action { who: who.clone(), status: u8::from(fails) });
                }
                Action::Tell(note) => self.trace(slot, &note.to_string()),
                Action::Exit(verdict) => {
                    self.trace(slot, &verdict.to_string());
                    self.judge.ends(self.slots[slot].disk.as_ref().expect("it has started"), &verdict)?;
                    // As a boot unit does.
                    if verdict.status() != 0 {
                        self.start_after(1_000, slot);
                    }
                    self.crash(slot);
                    self.slots[slot].statuses.insert(verdict.status());
                    self.slots[slot].ended = Some(verdict);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn trace(&self, slot: usize, text: &str) {
        if self.traced {
            println!("{:>6} {}: {text}", self.now, self.slots[slot].id);
        }
    }

    /// A crash in the middle of its actions; the machine comes back.
    fn die(&mut self, slot: usize) {
        self.crash(slot);
        let after = self.chance.below(4_000);
        self.start_after(after, slot);
    }

    /// Whether every machine that is left has ended well.
    pub(super) fn all_ended_well(&self) -> bool {
        let well = |it: &Slot| it.ended.as_ref().is_some_and(|it| it.status() == 0);
        self.slots.iter().filter(|it| !it.gone).all(well)
    }

    /// Whether a start must come once nothing disturbs any more: exactly N are left, and nobody was ever locked, or only
    /// into a membership of just these, which is still the latest promise of each.
    pub(super) fn must_start(&self) -> bool {
        let left: Vec<&Slot> = self.slots.iter().filter(|it| !it.gone).collect();
        if left.len() != self.expect {
            return false;
        }
        let locks = self.judge.all_locks();
        let Some((leader, term, digest)) = locks.first() else { return true };
        let promised = |it: &ElectionState| {
            it.ballot.as_ref().is_some_and(|it| it.leader == *leader && it.is(*term, digest))
        };
        locks.len() == 1 && left.iter().all(|it| it.disk.as_ref().is_some_and(promised))
    }

    /// Whether the leader has ended well before every member knew of it.
    pub(super) fn leader_has_left(&self) -> bool {
        let ran = |it: &Slot| it.disk.as_ref().is_some_and(|it| it.stage == Stage::Ran);
        self.slots.iter().any(|it| ran(it) && it.ended.as_ref().is_some_and(|it| it.status() == 0))
    }

    /// Every machine that is left, for a message.
    pub(super) fn describe(&self) -> String {
        let about = |it: &Slot| {
            let stage = it.disk.as_ref().map(|it| it.stage);
            let ended = it.ended.as_ref().map_or_else(|| "running".to_owned(), ToString::to_string);
            format!("{} ({stage:?}): {ended}", it.id)
        };
        self.slots.iter().filter(|it| !it.gone).map(about).collect::<Vec<_>>().join("; ")
    }
}
