//! One TCP connection: hello, record, messages, each in a frame of limited length.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, TcpStream},
};

use anyhow::{Result, bail};
use rustix::net::sockopt;
use serde::{Deserialize, Serialize};

use crate::system::random;

use super::{Hello, Message, Millis, NodeId, Peer, Record, SecretKey, Session, session::HELLO};

/// The longest frame: a record with long keys, or the whereabouts of some hundred members.
const LONGEST: usize = 64 * 1024;
/// What may wait to be sent; a peer that takes less is gone.
const UNSENT: usize = 1024 * 1024;

/// Where a process takes connections, as one member tells another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Whereabouts {
    /// Who.
    pub id: NodeId,
    /// Which process of it.
    pub incarnation: u64,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// What a frame holds, after the first one, which holds the sender's record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// For the election.
    Say(Message),
    /// For who dials.
    Know(Vec<Whereabouts>),
}

/// What came out of a connection.
pub(super) enum Heard {
    /// The other side has proven that it holds the secret, and this is its record.
    Met(Record),
    /// A frame after it.
    Body(Peer, Body),
}

/// A connection.
pub(super) struct Link {
    stream: TcpStream,
    own: Hello,
    record: Vec<u8>,
    dialled: bool,
    session: Option<(Session, NodeId)>,
    /// Known once it has proven itself.
    pub peer: Option<Peer>,
    /// When it was opened.
    pub since: Millis,
    /// When something came over it, at first when it was opened.
    pub heard: Millis,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Link {
    /// Says hello.
    pub(super) fn new(stream: TcpStream, dialled: bool, me: &Record, now: Millis) -> Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        // A frame is lost: it is sent again after one round trip each time, not after twice the time before. Otherwise a
        // few losses in a row are longer than a lease, and the election begins anew.
        sockopt::set_tcp_thin_linear_timeouts(&stream, true)?;
        let own = Hello { id: me.id.clone(), nonce: random::bytes()? };
        let output = own.encode();
        let record = serde_json::to_vec(me)?;
        Ok(Self {
            stream,
            own,
            record,
            dialled,
            session: None,
            peer: None,
            since: now,
            heard: now,
            input: Vec::new(),
            output,
        })
    }

    /// To wait for it.
    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether something waits to be sent.
    pub(super) const fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Sends a frame, or as much of it as the connection takes now.
    pub(super) fn send(&mut self, body: &Body) -> Result<()> {
        let body = serde_json::to_vec(body)?;
        self.frame(&body)?;
        self.flush()
    }

    fn frame(&mut self, body: &[u8]) -> Result<()> {
        let Some((session, _)) = &mut self.session else { return Ok(()) };
        let sealed = session.seal(body);
        if sealed.len() > LONGEST || self.output.len() + sealed.len() > UNSENT {
            bail!("the peer does not take what it is sent");
        }
        self.output.extend(u32::try_from(sealed.len())?.to_be_bytes());
        self.output.extend(sealed);
        Ok(())
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => bail!("the connection takes nothing"),
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes what has come.
    pub(super) fn receive(&mut self, secret: &SecretKey, heard: &mut Vec<Heard>, now: Millis) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the other side has ended the connection"),
                Ok(length) => {
                    self.heard = now;
                    self.input.extend_from_slice(&buffer[..length]);
                }
                Err(error) if is_later(&error) => return self.flush(),
                Err(error) => return Err(error.into()),
            }
            self.parse(secret, heard)?;
        }
    }

    fn parse(&mut self, secret: &SecretKey, heard: &mut Vec<Heard>) -> Result<()> {
        if self.session.is_none() {
            if self.input.len() < HELLO {
                return Ok(());
            }
            let hello = Hello::decode(&self.input[..HELLO])?;
            self.input.drain(..HELLO);
            self.session = Some((Session::new(secret, &self.own, &hello, self.dialled)?, hello.id));
            let record = std::mem::take(&mut self.record);
            self.frame(&record)?;
        }
        let mut read = 0;
        while let Some((length, rest)) = self.input[read..].split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length))?;
            if length > LONGEST {
                bail!("the frame is too long");
            }
            let Some(sealed) = rest.get(..length) else { break };
            let Some((session, id)) = &mut self.session else { break };
            let body = session.open(sealed)?;
            if let Some(peer) = &self.peer {
                heard.push(Heard::Body(peer.clone(), serde_json::from_slice(body)?));
            } else {
                let record: Record = serde_json::from_slice(body)?;
                if record.id != *id {
                    bail!("the record is another node's");
                }
                self.peer = Some(Peer { id: record.id.clone(), incarnation: record.incarnation });
                heard.push(Heard::Met(record));
            }
            read += 4 + length;
        }
        self.input.drain(..read);
        Ok(())
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
