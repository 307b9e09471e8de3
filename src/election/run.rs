//! Drives the [`Protocol`]: carries its actions out, in their order, and brings it what happens.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Action, Config, ElectionState, Event, Millis, Peer, Protocol, Record, SecretKey, Stage, Verdict,
    dialler::Dialler,
    discovery::Discovery,
    disk::{self, Disk},
    identity::host_name,
    interfaces::{self, Interfaces},
    link::{Body, Whereabouts},
    note::Level,
    program::{self, Ended},
    request::ElectionRequest,
    wire::{Wire, listen},
};
use crate::{
    node::membership::cluster_id,
    system::{Secret, files, random},
};

/// Between two tellings of who is where, to one member at a time: whom multicast does not reach, members do.
const GOSSIP: Millis = 1_000;
/// For the last words to arrive.
const FAREWELL: Duration = Duration::from_secs(2);

/// What threads tell the loop.
enum Incoming {
    Found(Peer, Vec<SocketAddr>),
    Dialled(Peer, Option<TcpStream>),
    HookEnded(Ended),
    Waiting,
    ActionEnded(Ended),
}

/// How threads tell it: a queue, and a bell that wakes the loop.
#[derive(Clone)]
pub(super) struct Inbox {
    queue: Sender<Incoming>,
    bell: Arc<UnixStream>,
}

impl Inbox {
    fn put(&self, it: Incoming) {
        if self.queue.send(it).is_ok() {
            // A bell that is full rings already.
            let _ = (&*self.bell).write(&[1]);
        }
    }

    /// A process was found at these addresses.
    pub(super) fn found(&self, peer: Peer, addresses: Vec<SocketAddr>) {
        self.put(Incoming::Found(peer, addresses));
    }

    /// An attempt to dial it has ended.
    pub(super) fn dialled(&self, peer: Peer, stream: Option<TcpStream>) {
        self.put(Incoming::Dialled(peer, stream));
    }
}

/// How it ended, and what is persisted.
pub(super) struct Ending {
    /// The end.
    pub verdict: Verdict,
    /// What the node keeps.
    pub state: ElectionState,
    /// What the action wrote, where that was collected.
    pub output: Vec<u8>,
}

/// Where lines for a person go.
pub(super) type Log<'a> = &'a mut dyn FnMut(Level, &str);

/// Takes part in an election, from wherever this node left it, to its end. `collect`: keep what the action writes.
pub(super) fn run(request: &ElectionRequest, collect: bool, log: Log) -> Result<Ending> {
    request.check()?;
    if let Some(state) = disk::read(&request.state_dir)?.filter(|it| it.stage == Stage::Done) {
        return Ok(Ending { verdict: Verdict::AlreadyDone, state, output: Vec::new() });
    }
    let name = host_name()?;
    let secret = request.secret()?;
    let (host_key, user_key) = request.keys()?;
    let disk = Disk::open(&request.state_dir)?;
    let machine_id = files::content("/etc/machine-id").unwrap_or_default();
    let state = disk::state(&disk, &request.state_dir, machine_id.trim_ascii(), request.node_id.as_ref())?;
    if !request.allowed.is_empty() && !request.allowed.contains(&state.id) {
        bail!("this node's id {} is not on the list of allowed ones (--allow)", state.id);
    }
    let begin = Instant::now();
    let interfaces = interfaces::wait_for_address(request, begin, log)?;
    let listener = listen()?;
    let me = Record {
        id: state.id.clone(),
        incarnation: u64::from_ne_bytes(random::bytes()?),
        election_id: interfaces.addresses.first().copied().map(interfaces::election_id).unwrap_or_default(),
        name,
        addresses: interfaces.addresses.clone(),
        port: listener.local_addr()?.port(),
        role: request.role.clone(),
        host_key,
        user_key,
    };
    log(
        Level::Info,
        &format!("this is {me}; waiting for {} nodes of cluster {}", request.expect, request.cluster),
    );
    let (queue, incoming) = channel();
    let (bell, ring) = UnixStream::pair().context("no sockets")?;
    bell.set_nonblocking(true)?;
    ring.set_nonblocking(true)?;
    let inbox = Inbox { queue, bell: Arc::new(ring) };
    let key = || SecretKey::new(&secret, &request.cluster);
    let discovery = Discovery::start(key(), &request.cluster, &me, &request.ifaces, inbox.clone())?;
    let config = Config {
        cluster: request.cluster.clone(),
        expect: request.expect,
        timeout: request.timeout * 1_000,
        allowed: request.allowed.clone(),
    };
    let wire = Wire::new(listener, key(), me.clone());
    let (protocol, first) = Protocol::new(config, me.clone(), state, elapsed(begin));
    let driver = Driver {
        request,
        secret,
        disk,
        me,
        interfaces,
        wire,
        dialler: Dialler::default(),
        discovery,
        protocol,
        inbox,
        collect,
        log,
        begin,
        output: Vec::new(),
    };
    driver.run(first, &incoming, &bell)
}

fn elapsed(begin: Instant) -> Millis {
    Millis::try_from(begin.elapsed().as_millis()).unwrap_or(Millis::MAX)
}

struct Driver<'a> {
    request: &'a ElectionRequest,
    secret: Secret,
    disk: Disk,
    me: Record,
    interfaces: Interfaces,
    wire: Wire,
    dialler: Dialler,
    discovery: Discovery,
    protocol: Protocol,
    inbox: Inbox,
    collect: bool,
    log: Log<'a>,
    begin: Instant,
    output: Vec<u8>,
}

impl Driver<'_> {
    fn run(mut self, first: Vec<Action>, incoming: &Receiver<Incoming>, bell: &UnixStream) -> Result<Ending> {
        let mut verdict = self.perform(first)?;
        let (mut gossip_at, mut turn) = (GOSSIP, 0);
        let begin = self.begin;
        while verdict.is_none() {
            let now = elapsed(begin);
            let lively = self.wire.lively(now, self.protocol.silence());
            self.dialler.dial(&lively, &self.inbox, now);
            if now >= gossip_at {
                gossip_at = now + GOSSIP;
                turn += 1;
                let connected = self.wire.connected();
                self.gossip(connected.iter().nth(turn % connected.len().max(1)));
            }
            let wake = [self.dialler.wake_at(&lively), Some(gossip_at)].into_iter().flatten();
            let wake = wake.chain([self.protocol.wake_at()]).min().unwrap_or(gossip_at);
            let timeout = Duration::from_millis(wake.saturating_sub(now));
            let arrived = self.wire.wait(bell, timeout, &|| elapsed(begin))?;
            for it in arrived.whereabouts {
                self.know(&it);
            }
            let mut events = arrived.events;
            events.extend(incoming.try_iter().filter_map(|it| self.take(it)));
            events.push(Event::Tick);
            for event in events {
                if verdict.is_none() {
                    let actions = self.protocol.handle(event, elapsed(begin));
                    verdict = self.perform(actions)?;
                }
            }
        }
        let state = self.protocol.state().clone();
        self.wire.finish(FAREWELL);
        self.discovery.finish();
        let verdict = verdict.context("an election ends with a verdict")?;
        Ok(Ending { verdict, state, output: self.output })
    }

    /// Strictly in their order: what is said after a write waits for the disk.
    fn perform(&mut self, actions: Vec<Action>) -> Result<Option<Verdict>> {
        for action in actions {
            match action {
                Action::Persist(state) => self.disk.write(&state)?,
                Action::Send(to, message) => {
                    if let Some(lost) = self.wire.say(&to, message) {
                        let more = self.protocol.handle(lost, elapsed(self.begin));
                        if let Some(verdict) = self.perform(more)? {
                            return Ok(Some(verdict));
                        }
                    }
                }
                Action::RunHook => self.run_hook(),
                Action::RunAction(members) => self.run_action(&members),
                Action::Tell(note) => (self.log)(note.level(), &note.to_string()),
                Action::Exit(verdict) => return Ok(Some(verdict)),
            }
        }
        Ok(None)
    }

    fn take(&mut self, incoming: Incoming) -> Option<Event> {
        let now = elapsed(self.begin);
        match incoming {
            Incoming::Found(peer, addresses) => self.dialler.found(&self.me.id, peer, &addresses, now),
            Incoming::Dialled(peer, stream) => {
                self.dialler.ended(&peer, stream.is_some(), now);
                if let Some(stream) = stream {
                    self.wire.dialled(stream, now);
                }
            }
            Incoming::Waiting => {
                (self.log)(
                    Level::Warning,
                    "the action that was started before still runs; waiting for its end",
                );
            }
            Incoming::HookEnded(ended) => return Some(Event::HookEnded(self.ended(ended) == 0)),
            Incoming::ActionEnded(ended) => return Some(Event::ActionEnded(self.ended(ended))),
        }
        None
    }

    fn ended(&mut self, ended: Ended) -> u8 {
        if let Some(trouble) = ended.trouble {
            (self.log)(Level::Error, &trouble);
        }
        self.output.extend(ended.output);
        ended.status
    }

    /// A member tells where another process takes connections.
    fn know(&mut self, it: &Whereabouts) {
        let peer = Peer { id: it.id.clone(), incarnation: it.incarnation };
        if peer.incarnation == self.me.incarnation {
            return;
        }
        let dial = |address: &_| interfaces::dial(*address, it.port, &self.interfaces.indices);
        let addresses: Vec<SocketAddr> = it.addresses.iter().flat_map(dial).collect();
        self.dialler.found(&self.me.id, peer, &addresses, elapsed(self.begin));
    }

    fn gossip(&mut self, to: Option<&Peer>) {
        let Some(to) = to else { return };
        let whereabouts = |it: &Record| Whereabouts {
            id: it.id.clone(),
            incarnation: it.incarnation,
            addresses: it.addresses.clone(),
            port: it.port,
        };
        let known = self.protocol.seen().iter().filter(|it| it.id != to.id).map(whereabouts).collect();
        // What is lost by it is seen by the next wait.
        let _ = self.wire.send(to, &Body::Know(known));
    }

    fn described(&self, members: Option<&[Record]>) -> Option<String> {
        let ballot = self.protocol.state().ballot.as_ref()?;
        let members = members.unwrap_or(&ballot.members);
        let id = cluster_id(self.secret.expose(), ballot.digest.as_str()).ok()?;
        Some(program::described(&self.request.cluster, &id, ballot, members, &self.me).to_string())
    }

    fn run_hook(&self) {
        let (command, collect, inbox) = (self.request.on_lock.clone(), self.collect, self.inbox.clone());
        let environment = self.described(None).unwrap_or_default();
        thread::spawn(move || {
            inbox.put(Incoming::HookEnded(program::run(&command, &[], &environment, collect)));
        });
    }

    /// Never beside one that outlived the process that had started it.
    fn run_action(&self, members: &[Record]) {
        self.discovery.lead();
        let (command, collect, inbox) = (self.request.action.clone(), self.collect, self.inbox.clone());
        let arguments: Vec<String> = members.iter().map(Record::address).collect();
        let environment = self.described(Some(members)).unwrap_or_default();
        let lock = self.disk.action_lock();
        thread::spawn(move || {
            let mut held = lock.take(false);
            if matches!(held, Ok(None)) {
                inbox.put(Incoming::Waiting);
                held = lock.take(true);
            }
            let ended = match held {
                Ok(_) => program::run(&command, &arguments, &environment, collect),
                Err(error) => Ended { status: 1, output: Vec::new(), trouble: Some(format!("{error:#}")) },
            };
            inbox.put(Incoming::ActionEnded(ended));
        });
    }
}
