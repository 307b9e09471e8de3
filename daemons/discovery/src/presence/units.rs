//! The state of systemd's units, as its signals say.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use tokio_stream::StreamExt as _;
use zbus::message::Type;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};
use zbus::{Connection, MatchRule, MessageStream};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const ROOT: &str = "/org/freedesktop/systemd1";

/// Units, and whether they are active.
pub(crate) struct Units {
    connection: Connection,
    signals: MessageStream,
    /// By path on the bus.
    states: HashMap<OwnedObjectPath, (String, bool)>,
}

impl Units {
    /// Subscribes first and looks then, so that nothing happens in between.
    pub(crate) async fn new(names: Vec<String>) -> Result<Self> {
        let connection = Connection::system().await.context("no system bus")?;
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(SYSTEMD)?
            .interface(PROPERTIES)?
            .member("PropertiesChanged")?
            .path_namespace("/org/freedesktop/systemd1/unit")?
            .build();
        let signals = MessageStream::for_match_rule(rule, &connection, Some(1024)).await?;
        connection.call_method(Some(SYSTEMD), ROOT, Some(MANAGER), "Subscribe", &()).await?;
        let mut states = HashMap::new();
        for name in names {
            // Also for one that is not there, yet.
            let reply =
                connection.call_method(Some(SYSTEMD), ROOT, Some(MANAGER), "LoadUnit", &(&name,)).await;
            let reply = reply.with_context(|| format!("unit {name}"))?;
            states.insert(reply.body().deserialize::<OwnedObjectPath>()?, (name, false));
        }
        let mut units = Self { connection, signals, states };
        units.look().await?;
        Ok(units)
    }

    /// Whether a unit is active.
    pub(crate) fn active(&self, name: &str) -> bool {
        self.states.values().any(|(unit, active)| unit == name && *active)
    }

    /// Waits until one of them may have changed, and says which. Nothing is lost where nobody waits any longer.
    pub(crate) async fn changed(&mut self) -> Result<OwnedObjectPath> {
        loop {
            let signal = self.signals.next().await.context("the bus has ended")??;
            let header = signal.header();
            let path = header.path().map(|it| OwnedObjectPath::from(it.to_owned()));
            if let Some(path) = path.filter(|it| self.states.contains_key(it)) {
                return Ok(path);
            }
        }
    }

    /// Asks for all of them.
    pub(crate) async fn look(&mut self) -> Result<()> {
        for path in self.states.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&path).await?;
        }
        Ok(())
    }

    /// Asks for one of them.
    pub(crate) async fn look_at(&mut self, path: &OwnedObjectPath) -> Result<()> {
        let active = self.ask(path).await?;
        if let Some((_, state)) = self.states.get_mut(path) {
            *state = active;
        }
        Ok(())
    }

    async fn ask(&self, path: &OwnedObjectPath) -> Result<bool> {
        let asked = (UNIT, "ActiveState");
        let reply = self.connection.call_method(Some(SYSTEMD), path, Some(PROPERTIES), "Get", &asked).await?;
        let state = String::try_from(reply.body().deserialize::<OwnedValue>()?)?;
        Ok(matches!(state.as_str(), "active" | "reloading" | "refreshing"))
    }
}
