//! What Prometheus is told: counters, and a server on loopback behind the service's front.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// All of them. Numbers that go up are read as counters.
#[derive(Default)]
pub(crate) struct Metrics {
    connected: AtomicBool,
    sessions: AtomicU64,
    /// Seconds since 1970 when etcd was last left.
    seen: AtomicU64,
    /// Queries that were answered from the cluster's names.
    pub(crate) answered: AtomicU64,
    /// Queries that went to the host's own resolvers.
    pub(crate) forwarded: AtomicU64,
    /// Those of them that none answered.
    pub(crate) unanswered: AtomicU64,
    /// Packets that are no queries.
    pub(crate) malformed: AtomicU64,
    /// Instances that are known to be present.
    pub(crate) present: AtomicU64,
    /// Services that run here and are healthy.
    pub(crate) up: AtomicU64,
}

impl Metrics {
    /// Whether etcd is connected, from now on.
    pub(crate) fn connected(&self, now: bool) {
        let before = self.connected.swap(now, Relaxed);
        if now {
            self.sessions.fetch_add(1, Relaxed);
        } else if before {
            self.seen.store(seconds(), Relaxed);
        }
    }

    /// How often etcd was connected.
    pub(crate) fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }

    fn text(&self) -> String {
        let connected = self.connected.load(Relaxed);
        let seen = if connected { seconds() } else { self.seen.load(Relaxed) };
        let number = |it: &AtomicU64| it.load(Relaxed);
        let rows = [
            (
                "etcd_connected",
                "gauge",
                "Whether etcd answers; if not, names are those of when it last did",
                u64::from(connected),
            ),
            ("etcd_seen_seconds", "gauge", "When etcd was last connected, in seconds since 1970", seen),
            ("etcd_sessions_total", "counter", "Connections to members of etcd", number(&self.sessions)),
            (
                "instances",
                "gauge",
                "Instances of services that are present in the cluster",
                number(&self.present),
            ),
            ("services_up", "gauge", "Services that run on this host and are healthy", number(&self.up)),
            ("dns_answered_total", "counter", "Queries about names of the cluster", number(&self.answered)),
            (
                "dns_forwarded_total",
                "counter",
                "Queries that went to the host's own resolvers",
                number(&self.forwarded),
            ),
            (
                "dns_unanswered_total",
                "counter",
                "Forwarded queries that no resolver answered",
                number(&self.unanswered),
            ),
            ("dns_malformed_total", "counter", "Packets that are no queries", number(&self.malformed)),
        ];
        rows.iter().fold(String::new(), |mut text, (name, kind, help, value)| {
            let name = format!("minicluster_discovery_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
            text
        })
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// Answers whatever is asked with the metrics.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) -> Result<()> {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, say.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |_: Request<Incoming>| {
                let text = metrics.text();
                async { Ok::<_, Infallible>(Response::new(text)) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(60), connection).await;
        });
    }
}
