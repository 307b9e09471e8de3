//! Queries in packets: threads that answer what they know at once, and give the rest away.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use anyhow::Result;
use tokio::sync::{Semaphore, mpsc};

use super::{Names, Reply, Transport, Upstream, answer};
use crate::log;
use crate::metrics::Metrics;

/// The longest packet that is read; a query has at most some hundred bytes.
const LONGEST: usize = 4096;
/// How many forwarded queries wait at a time. What comes beyond them is dropped, and asked again by its client.
const WAITING: usize = 1000;

/// A query for another server, and who asked.
pub(crate) type Question = (Vec<u8>, SocketAddr);

/// Starts the threads.
pub(crate) fn serve(
    socket: &Arc<UdpSocket>,
    names: &Names,
    metrics: &Arc<Metrics>,
) -> Result<mpsc::Receiver<Question>> {
    let (send, questions) = mpsc::channel(WAITING);
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
    for number in 0..threads {
        let (socket, names, metrics, send) = (socket.clone(), names.clone(), metrics.clone(), send.clone());
        let run = move || {
            let (mut packet, mut buffer) = ([0; LONGEST], Vec::with_capacity(LONGEST));
            let mut turn = number;
            loop {
                // An error is a port at which no client listens any more.
                let Ok((length, client)) = socket.recv_from(&mut packet) else { continue };
                turn = turn.wrapping_add(1);
                match answer(&names.now(), &packet[..length], Transport::Udp, turn, &mut buffer) {
                    Reply::Answer => metrics.answered.fetch_add(1, Relaxed),
                    Reply::Nothing | Reply::Malformed => metrics.malformed.fetch_add(1, Relaxed),
                    Reply::Forward => {
                        let _ = send.try_send((packet[..length].to_vec(), client));
                        continue;
                    }
                };
                if !buffer.is_empty() {
                    let _ = socket.send_to(&buffer, client);
                }
            }
        };
        thread::Builder::new().name(format!("dns-{number}")).spawn(run)?;
    }
    Ok(questions)
}

/// Asks other servers for what the threads gave away.
pub(crate) async fn forward(
    socket: Arc<UdpSocket>,
    mut questions: mpsc::Receiver<Question>,
    upstream: Upstream,
    metrics: Arc<Metrics>,
) {
    let places = Arc::new(Semaphore::new(WAITING));
    while let Some((packet, client)) = questions.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (socket, upstream, metrics) = (socket.clone(), upstream.clone(), metrics.clone());
        tokio::spawn(async move {
            metrics.forwarded.fetch_add(1, Relaxed);
            let answered = upstream.ask(&packet, Transport::Udp).await;
            let answer = answered.unwrap_or_else(|error| {
                metrics.unanswered.fetch_add(1, Relaxed);
                upstream.complain(&format!("{error:#}"), |text| log!("{text}"));
                super::forward::failure(&packet)
            });
            let _ = socket.send_to(&answer, client);
            drop(place);
        });
    }
}
