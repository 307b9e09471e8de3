//! The election itself: events in, actions out. No clock, no socket, no disk: time comes as an argument, and
//! actions are carried out by whoever drives it, strictly in their order, so that what is persisted is
//! on the disk before anything after it happens.

mod locking;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod verdict;
mod voting;

use std::collections::{BTreeMap, BTreeSet};

pub use verdict::Verdict;

use super::{
    Ballot, Digest, ElectionState, Membership, Message, Millis, NodeId, Note, Peer, Record, Stage,
    peers::Peers, rule::Rule,
};

/// Between two pings to everybody; what may be lost is said again with them. Many nodes take more time for each
/// other, or they would be busy with that alone.
const ROUND: Millis = 250;
const ROUND_FOR_EACH: Millis = 20;
/// As long the membership must not have changed before votes are asked for.
const QUIET: Millis = 300;
/// As long there may be no vote before a person is told.
const STALLED: Millis = 10_000;
/// As long a leader that starts again waits for members to learn their addresses.
const RELEARN: Millis = 3_000;
/// As long a leader whose action has ended well waits for members that do not know.
const GRACE: Millis = 15_000;
/// Between finding two alike and leaving.
const FAREWELL: Millis = 1_000;
/// Until the program for the lock is tried again.
const HOOK_RETRY: Millis = 2_000;

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's name: it is part of each digest.
    pub cluster: String,
    /// N: how many members, this node included.
    pub expect: usize,
    /// When to give up.
    pub timeout: Millis,
    /// The only ids that may be members; empty: any.
    pub allowed: Vec<NodeId>,
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Event {
    /// An authenticated conversation with this process has begun.
    Met(Record),
    /// The last conversation with this process has ended.
    Lost(Peer),
    /// It said this.
    Said(Peer, Message),
    /// The program for the lock has ended, well or not.
    HookEnded(bool),
    /// The action has ended with this status.
    ActionEnded(u8),
    /// Nothing; time has passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write this to the disk, file and directory. What comes after waits for it.
    Persist(Box<ElectionState>),
    /// Tell it, if there is a conversation. It may be lost.
    Send(Peer, Message),
    /// Run the program for the lock.
    RunHook,
    /// Run the action, for these members with their present addresses.
    RunAction(Vec<Record>),
    /// Tell a person.
    Tell(Note),
    /// The end of this process. Nothing comes after it.
    Exit(Verdict),
}

/// The program that every node runs once it is locked.
enum Hook {
    NotYet,
    Due(Millis),
    Running,
    Done,
}

/// One process of one node.
pub struct Protocol {
    config: Config,
    me: Record,
    state: ElectionState,
    peers: Peers,
    /// Who was alive when it was last looked at, since when it has not changed, and the membership if it is complete.
    view: Vec<Record>,
    looked: bool,
    /// Who was ever alive.
    known: BTreeMap<NodeId, Record>,
    quiet_since: Millis,
    membership: Option<Membership>,
    /// When to tell a person that it is complete and there is no vote.
    stalled_at: Option<Millis>,
    /// As candidate: who has promised the ballot.
    promises: Option<BTreeSet<NodeId>>,
    /// A request for a promise that could not be given yet.
    asked: Option<(Peer, u64, Digest)>,
    /// As leader: who is locked.
    locks: BTreeSet<NodeId>,
    hook: Hook,
    relearn_until: Option<Millis>,
    /// The action was begun by this process.
    begun: bool,
    /// Who was told that it came too late.
    refused: BTreeSet<Peer>,
    /// A locked node says that this one came too late.
    complete: Option<(String, Vec<String>)>,
    ran_until: Option<Millis>,
    /// When to leave, and why.
    doomed: Option<(Millis, Verdict)>,
    next_round: Millis,
    over: bool,
    out: Vec<Action>,
}

impl Protocol {
    /// A process that starts now, with what its node has persisted.
    pub fn new(config: Config, me: Record, state: ElectionState, now: Millis) -> (Self, Vec<Action>) {
        let state = if Rule::KeepVotes.stands() { state } else { ElectionState::new(state.id, state.seed) };
        let hook = match state.stage {
            Stage::Locked | Stage::Started => Hook::Due(now),
            _ => Hook::NotYet,
        };
        let mut protocol = Self {
            config,
            me,
            state,
            peers: Peers::default(),
            view: Vec::new(),
            looked: false,
            known: BTreeMap::new(),
            quiet_since: now,
            membership: None,
            stalled_at: None,
            promises: None,
            asked: None,
            locks: BTreeSet::new(),
            hook,
            relearn_until: None,
            begun: false,
            refused: BTreeSet::new(),
            complete: None,
            ran_until: None,
            doomed: None,
            next_round: now + ROUND,
            over: false,
            out: Vec::new(),
        };
        let actions = protocol.handle(Event::Tick, now);
        (protocol, actions)
    }

    /// When to come again with a [`Tick`](Event::Tick), if nothing else happens before.
    pub fn wake_at(&self) -> Millis {
        let quiet = self.membership.is_some() && self.promises.is_none();
        let quiet = quiet.then_some(self.quiet_since + QUIET);
        let hook = if let Hook::Due(at) = self.hook { Some(at) } else { None };
        let timeout = (!self.begun).then_some(self.config.timeout);
        let doomed = self.doomed.as_ref().map(|(at, _)| *at);
        let others = [quiet, hook, timeout, doomed, self.relearn_until];
        // What has passed without effect is looked at again with the next round.
        let later = others.into_iter().flatten().filter(|it| *it + self.between_rounds() > self.next_round);
        later.chain([self.next_round]).min().unwrap_or(self.next_round)
    }

    /// A conversation over which nothing has come for so long has fallen silent: everybody is pinged in every round.
    pub fn silence(&self) -> Millis {
        3 * self.between_rounds()
    }

    /// What this node has persisted, as of the last action that says so.
    pub const fn state(&self) -> &ElectionState {
        &self.state
    }

    /// Who is alive, but this node.
    pub fn seen(&self) -> &[Record] {
        &self.view
    }

    /// Takes an event, and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Millis) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        let tick = matches!(event, Event::Tick);
        match event {
            Event::Met(record) => self.met(record, now),
            Event::Lost(peer) => self.peers.lose(&peer),
            Event::Said(from, message) => self.said(&from, message),
            Event::HookEnded(well) => self.hook_ended(well, now),
            Event::ActionEnded(status) => self.action_ended(status),
            Event::Tick => {}
        }
        if tick && now >= self.next_round {
            self.next_round = now + self.between_rounds();
            self.round(now);
        }
        if self.peers.take_changed() || tick {
            self.look(now);
        }
        match self.state.stage {
            Stage::Free => self.free(now),
            Stage::Locked => self.locked(now),
            Stage::Started => self.started(now),
            Stage::Ran => self.ran(now),
            Stage::Done => self.exit(Verdict::AlreadyDone),
        }
        std::mem::take(&mut self.out)
    }

    fn met(&mut self, record: Record, now: Millis) {
        if record.id == self.me.id && record.incarnation == self.me.incarnation {
            return;
        }
        if !self.config.allowed.is_empty() && !self.config.allowed.contains(&record.id) {
            return self.tell(Note::NotAllowed { node: record });
        }
        let (id, name) = (record.id.clone(), record.name.clone());
        self.peers.meet(record);
        // Its namesakes too: whether they answer this very ping says whether there are two.
        let namesakes: Vec<Peer> = self
            .peers
            .met()
            .filter(|it| it.id == id || self.peers.record(it).is_some_and(|it| it.name == name))
            .cloned()
            .collect();
        let number = self.peers.ping(now);
        for peer in namesakes {
            self.send(peer, Message::Ping { number });
        }
    }

    fn said(&mut self, from: &Peer, message: Message) {
        if self.peers.record(from).is_none() {
            return;
        }
        match message {
            Message::Ping { number } => {
                let status = self.state.status();
                self.send(from.clone(), Message::Pong { number, status });
            }
            Message::Pong { number, status } => self.peers.pong(from, number, status),
            Message::Prepare { term, digest } => self.on_prepare(from, term, digest),
            Message::Promise { term, digest } => self.on_promise(from, term, &digest),
            Message::Lock { term, digest } => self.on_lock(from, term, &digest),
            Message::Locked { term, digest } => self.on_locked(from, term, &digest),
            Message::Go { term, digest } => self.on_go(from, term, &digest),
            Message::Known { term, digest } => self.on_known(from, term, &digest),
            Message::Complete { leader, members } => self.complete = Some((leader, members)),
        }
    }

    fn between_rounds(&self) -> Millis {
        let expect = Millis::try_from(self.config.expect).unwrap_or(Millis::MAX);
        ROUND.max(expect.saturating_mul(ROUND_FOR_EACH)).min(1_000)
    }

    /// Pings everybody, and says again what may have been lost.
    fn round(&mut self, now: Millis) {
        let number = self.peers.ping(now);
        for peer in self.peers.met().cloned().collect::<Vec<_>>() {
            self.send(peer, Message::Ping { number });
        }
        if Rule::Repeat.stands() {
            self.repeat_votes();
            self.repeat_locks(now);
        }
    }

    /// Looks who is alive.
    fn look(&mut self, now: Millis) {
        let process = |it: &Record| (it.id.clone(), it.incarnation);
        let live = self.peers.records(now);
        if self.looked && live.iter().copied().map(process).eq(self.view.iter().map(process)) {
            return;
        }
        let view: Vec<Record> = live.into_iter().cloned().collect();
        let (seen, expect) = (view.len() + 1, self.config.expect);
        let new = |a: &[Record], b: &[Record]| -> Vec<Record> {
            a.iter().filter(|it| !b.iter().any(|known| process(known) == process(it))).cloned().collect()
        };
        for node in new(&view, &self.view) {
            self.known.insert(node.id.clone(), node.clone());
            self.tell(Note::Seen { node, seen, expect });
        }
        for node in new(&self.view, &view) {
            self.tell(Note::Lost { node, seen, expect });
        }
        if seen > expect && self.state.stage == Stage::Free {
            self.tell(Note::Crowd { seen, expect });
        }
        self.looked = true;
        self.view = view;
        self.quiet_since = now;
        if Rule::BeginAgain.stands() {
            self.promises = None;
        }
        let clear = !Rule::NoDuplicates.stands() || !self.peers.ambiguous(&self.me, now);
        self.membership = (clear && Rule::ExactlyN.kept(seen == expect)).then(|| {
            let members = self.view.iter().chain([&self.me]).cloned().collect();
            Membership::new(&self.config.cluster, expect, members)
        });
        self.stalled_at = self.membership.is_some().then_some(now + STALLED);
    }

    /// To the node's latest process, if any was met.
    fn send_to(&mut self, id: &NodeId, message: Message) {
        if let Some(peer) = self.peers.latest(id).cloned() {
            self.send(peer, message);
        }
    }

    fn send(&mut self, to: Peer, message: Message) {
        self.out.push(Action::Send(to, message));
    }

    fn tell(&mut self, note: Note) {
        self.out.push(Action::Tell(note));
    }

    /// Writes the state, then does the rest.
    fn commit(&mut self, rule: Rule, then: Vec<Action>) {
        let persist = Action::Persist(Box::new(self.state.clone()));
        if rule.stands() {
            self.out.push(persist);
            self.out.extend(then);
        } else {
            self.out.extend(then);
            self.out.push(persist);
        }
    }

    fn exit(&mut self, verdict: Verdict) {
        self.out.push(Action::Exit(verdict));
        self.over = true;
    }

    /// The latest promise, if the message is about it.
    fn ballot(&self, term: u64, digest: &Digest) -> Option<&Ballot> {
        self.state.ballot.as_ref().filter(|it| it.is(term, digest))
    }

    /// The members of the latest promise but this node.
    fn others(&self) -> Vec<NodeId> {
        let members = self.state.ballot.iter().flat_map(|it| &it.members);
        members.map(|it| it.id.clone()).filter(|it| *it != self.me.id).collect()
    }

    /// Whether all members of the latest promise are in `set`.
    fn all_in(&self, set: &BTreeSet<NodeId>) -> bool {
        self.state.ballot.as_ref().is_some_and(|it| it.members.iter().all(|it| set.contains(&it.id)))
    }
}
