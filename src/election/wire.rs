//! All connections of a process, served by one loop. Strangers cost a bounded number of connections for a bounded
//! time, and are answered with nothing but a nonce.

use std::{
    collections::BTreeSet,
    io::Read as _,
    net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Event, Message, Millis, Peer, Record, SecretKey,
    link::{Body, Heard, Link, Whereabouts},
};

/// Connections that have not proven themselves: so many, and each for so long.
const STRANGERS: usize = 128;
const HANDSHAKE: Millis = 3_000;
/// Connections taken in one turn, so that a flood does not keep members waiting.
const ACCEPTS: usize = 32;
/// Connections to one process that are kept: both sides may have dialled, and again when one fell silent.
const LINKS: usize = 4;

/// The connections.
pub(super) struct Wire {
    listener: TcpListener,
    links: Vec<Link>,
    secret: SecretKey,
    me: Record,
}

/// What came over them.
#[derive(Default)]
pub(super) struct Arrived {
    /// For the election.
    pub events: Vec<Event>,
    /// For who dials.
    pub whereabouts: Vec<Whereabouts>,
}

/// Takes connections on a port of the system's choice, over IPv4 and IPv6.
pub(super) fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .context("cannot listen on any TCP port")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Wire {
    /// Serves connections to `listener`.
    pub(super) const fn new(listener: TcpListener, secret: SecretKey, me: Record) -> Self {
        Self { listener, links: Vec::new(), secret, me }
    }

    /// A connection that this side has opened.
    pub(super) fn dialled(&mut self, stream: TcpStream, now: Millis) {
        if let Ok(mut link) = Link::new(stream, true, &self.me, now)
            && link.flush().is_ok()
        {
            self.links.push(link);
        }
    }

    /// With whom there is a conversation.
    pub(super) fn connected(&self) -> BTreeSet<Peer> {
        self.links.iter().filter_map(|it| it.peer.clone()).collect()
    }

    /// With whom there is a conversation that has not fallen silent.
    pub(super) fn lively(&self, now: Millis, silence: Millis) -> BTreeSet<Peer> {
        let lively = self.links.iter().filter(|it| now < it.heard + silence);
        lively.filter_map(|it| it.peer.clone()).collect()
    }

    /// Tells a process, if there is a conversation with it: over the connection that worked last.
    pub(super) fn send(&mut self, to: &Peer, body: &Body) -> Option<Event> {
        let of_peer = self.links.iter().enumerate().filter(|(_, it)| it.peer.as_ref() == Some(to));
        let at = of_peer.max_by_key(|(_, it)| it.heard).map(|(at, _)| at)?;
        if self.links[at].send(body).is_ok() {
            return None;
        }
        self.links.remove(at);
        self.is_lost(to)
    }

    /// Tells the election's message.
    pub(super) fn say(&mut self, to: &Peer, message: Message) -> Option<Event> {
        self.send(to, &Body::Say(message))
    }

    fn is_lost(&self, peer: &Peer) -> Option<Event> {
        let lost = !self.links.iter().any(|it| it.peer.as_ref() == Some(peer));
        lost.then(|| Event::Lost(peer.clone()))
    }

    /// Waits for something to come, at most for `timeout`, or until the bell rings.
    pub(super) fn wait(
        &mut self,
        bell: &UnixStream,
        timeout: Duration,
        now: &dyn Fn() -> Millis,
    ) -> Result<Arrived> {
        let mut fds = vec![PollFd::new(bell, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        fds.extend(self.links.iter().map(|it| {
            let output = if it.has_output() { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(it.stream(), PollFlags::IN | output)
        }));
        let timeout = Timespec::try_from(timeout).context("the timeout is too long")?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for connections"),
        }
        let ready: Vec<bool> = fds.iter().map(|it| !it.revents().is_empty()).collect();
        drop(fds);
        if ready[0] {
            // One byte for each ring; all are answered at once.
            let _ = (&mut &*bell).read(&mut [0; 256]);
        }
        let mut arrived = Arrived::default();
        self.receive(&ready[2..], now(), &mut arrived);
        if ready[1] {
            self.accept(now());
        }
        Ok(arrived)
    }

    fn receive(&mut self, ready: &[bool], now: Millis, arrived: &mut Arrived) {
        let mut ready = ready.iter();
        let (mut ended, mut heard) = (Vec::new(), Vec::new());
        let mut met = self.connected();
        let (secret, me) = (&self.secret, &self.me);
        self.links.retain_mut(|link| {
            let alive = !ready.next().is_some_and(|it| *it) || link.receive(secret, &mut heard, now).is_ok();
            let mine =
                link.peer.as_ref().is_some_and(|it| it.id == me.id && it.incarnation == me.incarnation);
            let proven = link.peer.is_some() || now < link.since + HANDSHAKE;
            if !alive || !proven || mine {
                ended.extend(link.peer.clone().filter(|_| !mine));
            }
            alive && proven && !mine
        });
        for it in heard {
            match it {
                Heard::Met(record) => {
                    if met.insert(Peer { id: record.id.clone(), incarnation: record.incarnation }) {
                        arrived.events.push(Event::Met(record));
                    }
                }
                Heard::Body(from, Body::Say(message)) => arrived.events.push(Event::Said(from, message)),
                Heard::Body(_, Body::Know(whereabouts)) => arrived.whereabouts.extend(whereabouts),
            }
        }
        arrived.events.extend(ended.iter().filter_map(|it| self.is_lost(it)));
        self.thin_out();
    }

    /// Of the connections to one process, those that worked last stay.
    fn thin_out(&mut self) {
        let heard: Vec<_> = self.links.iter().map(|it| (it.peer.clone(), it.heard)).collect();
        self.links.retain(|link| {
            let better = heard.iter().filter(|(peer, at)| *peer == link.peer && *at > link.heard).count();
            link.peer.is_none() || better < LINKS
        });
    }

    fn accept(&mut self, now: Millis) {
        for _ in 0..ACCEPTS {
            let Ok((stream, _)) = self.listener.accept() else { break };
            if let Ok(mut link) = Link::new(stream, false, &self.me, now)
                && link.flush().is_ok()
            {
                self.links.push(link);
            }
        }
        let mut strangers = self.links.iter().filter(|it| it.peer.is_none()).count();
        // The oldest go first: an honest one has proven itself within milliseconds.
        self.links.retain(|it| {
            let goes = it.peer.is_none() && strangers > STRANGERS;
            strangers -= usize::from(goes);
            !goes
        });
    }

    /// Ends all conversations so that what was said last arrives, and waits a moment for it.
    pub(super) fn finish(mut self, patience: Duration) {
        let end = Instant::now() + patience;
        self.links.retain(|it| it.peer.is_some());
        let mut heard = Vec::new();
        let mut closing: Vec<bool> = vec![false; self.links.len()];
        while !self.links.is_empty() && Instant::now() < end {
            let mut at = 0;
            let (secret, mut kept) = (&self.secret, Vec::new());
            self.links.retain_mut(|link| {
                let closed = &mut closing[at];
                at += 1;
                let alive = link.receive(secret, &mut heard, link.heard).is_ok();
                if alive && !link.has_output() && !*closed {
                    *closed = link.stream().shutdown(Shutdown::Write).is_ok();
                }
                if alive {
                    kept.push(*closed);
                }
                alive
            });
            closing = kept;
            heard.clear();
            let mut fds: Vec<_> =
                self.links.iter().map(|it| PollFd::new(it.stream(), PollFlags::IN)).collect();
            let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 }));
        }
    }
}
