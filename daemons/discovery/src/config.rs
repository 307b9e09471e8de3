//! What the role writes: who is in the cluster, what may run where, and what runs here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// The configuration file. All of it is from the inventory: what hosts say of themselves adds nothing to it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// This host, a key of `hosts`.
    pub(crate) host: String,
    /// The cluster's domain.
    pub(crate) domain: String,
    /// Every host, by the name that DNS has for it, with its addresses.
    pub(crate) hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Every service, and `<service>-<container>`.
    pub(crate) services: BTreeMap<String, Service>,
    /// What of it runs on this host.
    #[serde(default)]
    pub(crate) here: BTreeMap<String, Here>,
    /// URLs of etcd's members, the nearest first.
    pub(crate) etcd: Vec<String>,
    /// How this host authenticates to etcd.
    pub(crate) credentials: Credentials,
    /// Seconds that a resolver may remember an answer about a service.
    #[serde(default = "five")]
    pub(crate) ttl: u32,
}

/// A service of the cluster.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Where the inventory places it; an entry of any other host is not believed.
    pub(crate) hosts: Vec<String>,
    /// Where its instances answer.
    #[serde(default)]
    pub(crate) port: Option<u16>,
    /// The host of its master, if it has one.
    #[serde(default)]
    pub(crate) master: Option<String>,
}

/// A service on this host: it is present when all of its units are active, and healthy.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Here {
    /// Its units.
    pub(crate) units: Vec<String>,
    /// What else has to be so.
    #[serde(default)]
    pub(crate) health: Option<Health>,
}

/// A check of a service: a command that succeeds, or a path that answers.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// Program and arguments; exit status 0 is healthy.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// What to ask for, on this host.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// The port to ask at.
    #[serde(default)]
    pub(crate) port: Option<u16>,
    /// `http` or `https`.
    #[serde(default)]
    pub(crate) scheme: Scheme,
    /// The status of an answer that is healthy.
    #[serde(default = "two_hundred")]
    pub(crate) expect: u16,
    /// Seconds between two checks.
    #[serde(default = "five")]
    pub(crate) interval: u32,
    /// Seconds that one may take.
    #[serde(default = "two")]
    pub(crate) timeout: u32,
}

/// How a health check asks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    /// With the client certificate of this host.
    #[default]
    Https,
    Http,
}

/// Files in PEM.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    pub(crate) ca: String,
    pub(crate) cert: String,
    pub(crate) key: String,
}

fn two() -> u32 {
    2
}

fn five() -> u32 {
    5
}

fn two_hundred() -> u16 {
    200
}

impl Config {
    /// Reads it, and says which file is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} cannot be used", path.display()))
    }

    fn parse(text: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(text)?;
        ensure!(config.hosts.contains_key(&config.host), "host: '{}' is not among 'hosts'", config.host);
        ensure!(!config.etcd.is_empty(), "etcd: at least one URL is needed");
        for (name, here) in &config.here {
            let placed = config.services.get(name).is_some_and(|it| it.hosts.contains(&config.host));
            ensure!(placed, "here: '{name}' is not placed on '{}' by 'services'", config.host);
            ensure!(!here.units.is_empty(), "here: '{name}' has no units");
            if let Some(health) = &here.health {
                let asks = health.path.is_some() && health.port.is_some();
                ensure!(
                    asks == health.command.is_empty(),
                    "here: health of '{name}' needs a command, or a path and a port"
                );
                ensure!(
                    health.interval > 0 && health.timeout > 0,
                    "here: health of '{name}' has a time of 0"
                );
            }
        }
        Ok(config)
    }

    /// Where entries of services are in etcd, as `SkyDNS` has it: `/skydns/com/example/`.
    pub(crate) fn prefix(&self) -> String {
        let labels: Vec<_> =
            self.domain.trim_end_matches('.').rsplit('.').map(str::to_ascii_lowercase).collect();
        format!("/skydns/{}/", labels.join("/"))
    }

    /// The key of a service on this host.
    pub(crate) fn key(&self, service: &str) -> String {
        format!("{}{service}/{}", self.prefix(), self.host)
    }

    /// What the key holds: for other readers of the layout of `SkyDNS`.
    pub(crate) fn value(&self, service: &str) -> String {
        let address = self.hosts[&self.host].first().map_or_else(|| self.host.clone(), IpAddr::to_string);
        let port = self.services.get(service).and_then(|it| it.port).unwrap_or(0);
        serde_json::json!({"host": address, "port": port, "priority": 10, "weight": 10, "ttl": self.ttl})
            .to_string()
    }
}

/// Where the daemon keeps what it knows; systemd makes it.
pub(crate) fn state_directory() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY")
        .map_or_else(|| PathBuf::from("/var/lib/minicluster-discovery"), PathBuf::from)
}
