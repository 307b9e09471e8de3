//! The resolvers that the host had before this daemon: they are asked in turn, and their answers passed on as they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::serialize::binary::BinEncodable as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use super::Transport;
use crate::resolv_conf;

/// How long one resolver may take. A client of libc waits 5 seconds.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The resolvers that a file names; a new file is noticed.
#[derive(Clone)]
pub(crate) struct Upstream(Arc<Source>);

struct Source {
    file: PathBuf,
    own: IpAddr,
    read: Mutex<Read>,
    complaint: Mutex<String>,
}

#[derive(Default)]
struct Read {
    modified: Option<SystemTime>,
    servers: Vec<IpAddr>,
}

impl Upstream {
    /// Those that `file` names, but for this daemon's `own` address.
    pub(crate) fn new(file: PathBuf, own: IpAddr) -> Self {
        Self(Arc::new(Source { file, own, read: Mutex::default(), complaint: Mutex::default() }))
    }

    fn servers(&self) -> Result<Vec<IpAddr>> {
        let modified = std::fs::metadata(&self.0.file).and_then(|it| it.modified());
        let modified = modified.with_context(|| format!("cannot find {}", self.0.file.display()))?;
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.modified != Some(modified) {
            let text = std::fs::read_to_string(&self.0.file)?;
            let servers =
                resolv_conf::nameservers(&text).into_iter().filter(|it| *it != self.0.own).collect();
            *read = Read { modified: Some(modified), servers };
        }
        Ok(read.servers.clone())
    }

    /// Says a thing that goes wrong once, not for each query.
    pub(crate) fn complain(&self, text: &str, say: impl FnOnce(&str)) {
        let mut last = self.0.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != text {
            say(text);
            text.clone_into(&mut last);
        }
    }

    /// The answer of the first resolver that has one.
    pub(crate) async fn ask(&self, packet: &[u8], transport: Transport) -> Result<Vec<u8>> {
        let servers = self.servers()?;
        ensure!(!servers.is_empty(), "{} names no resolver", self.0.file.display());
        let mut trouble = Vec::new();
        for server in servers.into_iter().take(3) {
            let at = SocketAddr::new(server, 53);
            let asked = match transport {
                Transport::Udp => by_udp(packet, at).await,
                Transport::Tcp => {
                    timeout(PATIENCE, by_tcp(packet, at)).await.unwrap_or_else(|_| bail!("no answer"))
                }
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(error) => trouble.push(format!("{server}: {error:#}")),
            }
        }
        bail!("no resolver answers: {}", trouble.join("; "))
    }
}

/// From a port of its own, and under a number of its own: who does not see the query cannot answer it.
async fn by_udp(packet: &[u8], server: SocketAddr) -> Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let own = Message::query().id.to_be_bytes();
    let mut question = packet.to_vec();
    question[..2].copy_from_slice(&own);
    socket.send(&question).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Vec::with_capacity(65535);
    loop {
        answer.clear();
        let length = timeout_at(deadline, socket.recv_buf(&mut answer)).await.context("no answer")??;
        if length >= 12 && answer[..2] == own && answer[2] & 0x80 != 0 && answers(packet, &answer) {
            answer[..2].copy_from_slice(&packet[..2]);
            return Ok(answer);
        }
    }
}

async fn by_tcp(packet: &[u8], server: SocketAddr) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = u16::try_from(packet.len())?.to_be_bytes().to_vec();
    framed.extend(packet);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    ensure!(answer.len() >= 12 && answer[..2] == packet[..2], "an answer to something else");
    Ok(answer)
}

/// Whether the question is repeated, byte for byte: its letters are upper and lower case at random with some clients, for this.
/// A server that cannot read a question need not repeat it.
fn answers(packet: &[u8], answer: &[u8]) -> bool {
    let none = answer[4..6] == [0, 0] && answer[3] & 0xf != 0;
    none || end_of_question(packet).is_some_and(|end| answer.get(12..end) == packet.get(12..end))
}

/// Where the question ends, which stands first and is not compressed.
fn end_of_question(packet: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 5).filter(|end| *end <= packet.len()),
            length @ 1..=63 => at += usize::from(length) + 1,
            _ => return None,
        }
    }
}

/// What a client is told that no server could be asked for.
pub(crate) fn failure(packet: &[u8]) -> Vec<u8> {
    let Ok(request) = Message::from_vec(packet) else { return Vec::new() };
    let mut said = Message::error_msg(request.id, OpCode::Query, ResponseCode::ServFail);
    said.metadata.recursion_desired = request.recursion_desired;
    said.metadata.recursion_available = true;
    said.queries = request.queries;
    said.to_bytes().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    fn question(name: &str) -> Vec<u8> {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        query.to_vec().unwrap()
    }

    #[test]
    fn the_daemon_is_no_resolver_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("resolv.conf");
        std::fs::write(&file, "nameserver 127.0.0.55\nnameserver 10.0.0.53\n").unwrap();
        let upstream = Upstream::new(file, [127, 0, 0, 55].into());
        assert_eq!(upstream.servers().unwrap(), [IpAddr::from([10, 0, 0, 53])]);
    }

    /// What is sent before the answer is not believed: another number, another question, other letters, a question.
    #[tokio::test]
    async fn only_an_answer_to_the_question_is_passed_on() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let asked = question("wEb.example.");
        let fake = tokio::spawn(async move {
            let mut packet = [0; 512];
            let (length, client) = server.recv_from(&mut packet).await.unwrap();
            let mut right = packet[..length].to_vec();
            right[2] |= 0x80;
            let mut wrong =
                [packet[..length].to_vec(), right.clone(), right.clone(), question("web.example.")];
            wrong[1][0] ^= 1;
            wrong[2][14] ^= 0x20;
            wrong[3][..2].copy_from_slice(&right[..2]);
            for packet in wrong.iter().chain([&[right.clone(), vec![7]].concat()]) {
                server.send_to(packet, client).await.unwrap();
            }
            right
        });
        let answer = by_udp(&asked, at).await.unwrap();
        let mut right = fake.await.unwrap();
        assert_ne!(right[..2], asked[..2], "the number is not the client's");
        right[..2].copy_from_slice(&asked[..2]);
        right.push(7);
        assert_eq!(answer, right);
    }
}
