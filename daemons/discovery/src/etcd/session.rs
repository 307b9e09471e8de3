//! A session with one member: it lists what is present, follows what changes, and keeps this host's entries. Whatever goes
//! wrong ends it, and the next begins with another member, from the list again: nothing has to be remembered of the last one
//! but the lease.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::client::{Client, KeepAlive};
use super::messages::{KeyValue, WatchResponse};
use crate::config::Config;
use crate::log;
use crate::metrics::Metrics;

/// Seconds after which the entries of a host that is gone are gone.
const LEASE: i64 = 10;
/// A lease survives three lost keep-alives, and a change of the member.
const KEEP_ALIVE: Duration = Duration::from_millis(2500);

/// The instances that are present, as (service, host).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Directory {
    pub(crate) present: BTreeSet<(String, String)>,
    /// Of etcd's data that this is from; 0: from none, so that nothing is known.
    pub(crate) revision: i64,
}

/// What a session reads and writes beside etcd.
pub(crate) struct Sources {
    pub(crate) config: watch::Receiver<Arc<Config>>,
    /// The services that run here and are healthy; none: not known yet.
    pub(crate) up: watch::Receiver<Option<BTreeSet<String>>>,
    pub(crate) directory: watch::Sender<Directory>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Sessions without end, with one member after another.
pub(crate) async fn run(mut sources: Sources) -> Result<()> {
    let (mut turn, mut lease, mut said) = (0, None, String::new());
    loop {
        let config = sources.config.borrow_and_update().clone();
        let url = &config.etcd[turn % config.etcd.len()];
        let began = sources.metrics.sessions();
        let ended = session(url, &config, &mut sources, &mut lease).await;
        sources.metrics.connected(false);
        let Err(error) = ended else { continue };
        // What does not change is said once.
        let text = format!("etcd at {url}: {error:#}");
        if text != said {
            log!("{text}");
        }
        said = text;
        turn += 1;
        // A member that was of use is not the reason to wait.
        if sources.metrics.sessions() == began && turn % config.etcd.len() == 0 {
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Ends without an error when the configuration has changed.
async fn session(url: &str, config: &Config, sources: &mut Sources, lease: &mut Option<i64>) -> Result<()> {
    let client = Client::connect(url, &config.credentials).await?;
    let prefix = config.prefix();
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let listed = client.range(&prefix, &end).await?;
    let revision = listed.header.context("an answer without a revision")?.revision;
    let present = listed.kvs.iter().filter_map(|it| instance(config, &prefix, it)).collect();
    sources.directory.send_replace(Directory { present, revision });
    let mut changes = client.watch(&prefix, &end, revision + 1).await?;
    let mut entries = Entries::new(&client, config, &listed.kvs, lease).await?;
    sources.metrics.connected(true);
    log!("etcd at {url}: connected");
    entries.reconcile(&sources.up).await?;
    let mut beat = interval(KEEP_ALIVE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            change = changes.message() => {
                let change = change?.context("the watch ended")?;
                apply(&change, config, &prefix, &sources.directory)?;
            }
            done = sources.up.changed() => {
                done?;
                entries.reconcile(&sources.up).await?;
            }
            _ = beat.tick() => entries.keep_alive(&sources.up, lease).await?,
            done = sources.config.changed() => return Ok(done?),
        }
    }
}

/// The service and the host that a key stands for, where the inventory places that service on that host.
fn instance(config: &Config, prefix: &str, entry: &KeyValue) -> Option<(String, String)> {
    let key = std::str::from_utf8(&entry.key).ok()?;
    let (service, host) = key.strip_prefix(prefix)?.split_once('/')?;
    let placed = config.services.get(service)?.hosts.iter().any(|it| it == host);
    placed.then(|| (service.to_owned(), host.to_owned()))
}

fn apply(
    change: &WatchResponse,
    config: &Config,
    prefix: &str,
    directory: &watch::Sender<Directory>,
) -> Result<()> {
    if change.canceled {
        let compacted = change.compact_revision > 0;
        bail!("the watch was ended: {}", if compacted { "compacted" } else { &change.cancel_reason });
    }
    directory.send_if_modified(|directory| {
        let mut changed = false;
        for event in &change.events {
            let Some(found) = event.kv.as_ref().and_then(|it| instance(config, prefix, it)) else { continue };
            changed |= if event.is_deletion() {
                directory.present.remove(&found)
            } else {
                directory.present.insert(found)
            };
        }
        if let Some(header) = &change.header {
            directory.revision = directory.revision.max(header.revision);
        }
        changed
    });
    Ok(())
}

/// What this host has in etcd.
struct Entries<'a> {
    client: &'a Client,
    config: &'a Config,
    lease: KeepAlive,
    id: i64,
    /// Services whose entry is there, with this lease.
    written: BTreeSet<String>,
    /// Services whose entry is there with another one, or with another value.
    stale: BTreeSet<String>,
}

impl<'a> Entries<'a> {
    /// Takes the lease up again where it is still there, and looks at the entries that are there.
    async fn new(
        client: &'a Client,
        config: &'a Config,
        listed: &[KeyValue],
        known: &mut Option<i64>,
    ) -> Result<Self> {
        let taken_up = match *known {
            Some(id) => client.keep_alive(id).await?.map(|lease| (lease, id)),
            None => None,
        };
        let (lease, id) = match taken_up {
            Some(taken_up) => taken_up,
            None => fresh(client).await?,
        };
        *known = Some(id);
        let prefix = config.prefix();
        let (mut written, mut stale) = (BTreeSet::new(), BTreeSet::new());
        for entry in listed {
            let key =
                std::str::from_utf8(&entry.key).ok().and_then(|it| it.strip_prefix(&prefix)?.split_once('/'));
            let Some((service, _)) = key.filter(|(_, host)| *host == config.host) else { continue };
            let same = entry.lease == id && entry.value == config.value(service).as_bytes();
            (if same { &mut written } else { &mut stale }).insert(service.to_owned());
        }
        Ok(Self { client, config, lease, id, written, stale })
    }

    /// Writes what is missing, removes what does not run.
    async fn reconcile(&mut self, up: &watch::Receiver<Option<BTreeSet<String>>>) -> Result<()> {
        let Some(up) = up.borrow().clone() else { return Ok(()) };
        for service in
            self.written.union(&self.stale).filter(|it| !up.contains(*it)).cloned().collect::<Vec<_>>()
        {
            self.client.delete(&self.config.key(&service)).await?;
            self.written.remove(&service);
            self.stale.remove(&service);
            log!("{service}: unregistered");
        }
        for service in up.difference(&self.written).cloned().collect::<Vec<_>>() {
            self.client.put(&self.config.key(&service), self.config.value(&service), self.id).await?;
            if !self.stale.remove(&service) {
                log!("{service}: registered");
            }
            self.written.insert(service);
        }
        Ok(())
    }

    /// Keeps the lease; where it is gone, and the entries with it, they are written anew.
    async fn keep_alive(
        &mut self,
        up: &watch::Receiver<Option<BTreeSet<String>>>,
        known: &mut Option<i64>,
    ) -> Result<()> {
        if self.lease.once().await? {
            return Ok(());
        }
        (self.lease, self.id) = fresh(self.client).await?;
        *known = Some(self.id);
        self.stale = std::mem::take(&mut self.written);
        self.reconcile(up).await
    }
}

async fn fresh(client: &Client) -> Result<(KeepAlive, i64)> {
    let id = client.grant(LEASE).await?;
    let lease = client.keep_alive(id).await?;
    Ok((lease.context("a new lease is gone already")?, id))
}
