//! Queries over TCP: what did not fit into a packet.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Names, Reply, Transport, Upstream, answer, forward::failure};
use crate::metrics::Metrics;

/// How many clients are connected at a time.
const CLIENTS: usize = 200;
/// How long a client may say nothing, or take for reading an answer.
const IDLE: Duration = Duration::from_secs(10);

/// Answers without end.
pub(crate) async fn serve(
    listener: TcpListener,
    names: Names,
    upstream: Upstream,
    metrics: Arc<Metrics>,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let place = places.clone().acquire_owned().await?;
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, say.
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let (names, upstream, metrics) = (names.clone(), upstream.clone(), metrics.clone());
        tokio::spawn(async move {
            let _ = converse(stream, &names, &upstream, &metrics).await;
            drop(place);
        });
    }
}

/// One query after another, until the client is silent.
async fn converse(
    mut stream: TcpStream,
    names: &Names,
    upstream: &Upstream,
    metrics: &Metrics,
) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut packet = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut packet)).await??;
        match answer(
            &names.now(),
            &packet,
            Transport::Tcp,
            packet.first().copied().unwrap_or(0).into(),
            &mut buffer,
        ) {
            Reply::Answer => metrics.answered.fetch_add(1, Relaxed),
            Reply::Malformed => metrics.malformed.fetch_add(1, Relaxed),
            Reply::Nothing => return Ok(()),
            Reply::Forward => {
                let answered = upstream.ask(&packet, Transport::Tcp).await;
                if answered.is_err() {
                    metrics.unanswered.fetch_add(1, Relaxed);
                }
                buffer = answered.unwrap_or_else(|_| failure(&packet));
                metrics.forwarded.fetch_add(1, Relaxed)
            }
        };
        let mut framed = u16::try_from(buffer.len())?.to_be_bytes().to_vec();
        framed.extend(&buffer);
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}
