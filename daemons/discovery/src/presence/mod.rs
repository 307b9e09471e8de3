//! Which of this host's services are there: their units are active, and their checks succeed.

mod health;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::units::Units;
use crate::config::{Config, Health, Here};
use crate::log;
use crate::metrics::Metrics;

/// How often every unit is asked for, should a signal have been lost.
const LOOK: Duration = Duration::from_secs(30);

/// Checks that are known, by service, with what they were of.
type Healthy = BTreeMap<String, (Health, bool)>;

/// Says without end which services are up.
pub(crate) async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    up: watch::Sender<Option<BTreeSet<String>>>,
    metrics: Arc<Metrics>,
) -> Result<()> {
    let (mut healthy, mut said) = (Healthy::new(), String::new());
    loop {
        let now = config.borrow_and_update().clone();
        tokio::select! {
            ended = observe(&now, &mut healthy, &up, &metrics) => {
                // The bus was restarted, say. What was known stays.
                let text = ended.map_or_else(|error| format!("systemd: {error:#}"), |()| String::new());
                if text != said {
                    log!("{text}");
                    said = text;
                }
                sleep(Duration::from_secs(1)).await;
            }
            changed = config.changed() => changed?,
        }
    }
}

async fn observe(
    config: &Config,
    healthy: &mut Healthy,
    up: &watch::Sender<Option<BTreeSet<String>>>,
    metrics: &Metrics,
) -> Result<()> {
    let names = config.here.values().flat_map(|it| &it.units).cloned().collect();
    let mut units = Units::new(names).await?;
    healthy.retain(|service, (health, _)| {
        config.here.get(service).is_some_and(|it| it.health.as_ref() == Some(health))
    });
    let (send, mut results) = mpsc::channel(16);
    let mut checks = JoinSet::new();
    for (service, here) in &config.here {
        if let Some(health) = here.health.clone() {
            checks.spawn(check(service.clone(), health, config.credentials.clone(), send.clone()));
        }
    }
    drop(send);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look.tick().await;
    loop {
        // Only when all is known: what runs is not unregistered because the daemon has just begun.
        let checked =
            |(service, here): (&String, &Here)| here.health.is_none() || healthy.contains_key(service);
        if config.here.iter().all(checked) {
            let is_up = |(service, here): &(&String, &Here)| {
                here.units.iter().all(|it| units.active(it))
                    && healthy.get(*service).is_none_or(|(_, it)| *it)
            };
            let now: BTreeSet<_> =
                config.here.iter().filter(is_up).map(|(service, _)| service.clone()).collect();
            metrics.up.store(now.len() as u64, Relaxed);
            up.send_if_modified(|before| {
                let changed = before.as_ref() != Some(&now);
                *before = Some(now);
                changed
            });
        }
        tokio::select! {
            changed = units.changed() => units.look_at(&changed?).await?,
            Some((service, health, result)) = results.recv() => { healthy.insert(service, (health, result)); }
            _ = look.tick() => units.look().await?,
        }
    }
}

/// Checks a service for as long as somebody listens.
async fn check(
    service: String,
    health: Health,
    credentials: crate::config::Credentials,
    results: mpsc::Sender<(String, Health, bool)>,
) -> Result<()> {
    let mut last = None;
    let mut beat = interval(Duration::from_secs(health.interval.into()));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let result = health::check(&health, &credentials).await;
        let text =
            result.as_ref().map_or_else(|error| format!("not healthy: {error:#}"), |()| "healthy".to_owned());
        if last.as_ref() != Some(&text) {
            log!("{service}: {text}");
        }
        last = Some(text);
        results.send((service.clone(), health.clone(), result.is_ok())).await.context("nobody listens")?;
    }
}
