//! A service's metadata as far as certificates go, and which credentials it wants on a host.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, bail};
use serde::{Deserialize, Deserializer, Serialize};

use crate::node::Records;

/// Metadata of services by name, as the inventory publishes it; other attributes are passed over.
pub type Services = BTreeMap<String, Service>;

/// What a service's metadata says of credentials.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// systemd units that use the credentials.
    #[serde(deserialize_with = "null_as_default")]
    pub units: Vec<String>,
    /// The credentials it wants on every host it runs on.
    #[serde(deserialize_with = "null_as_default")]
    pub service_credentials: Vec<ServiceCredential>,
}

/// One entry of `service_credentials`.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceCredential {
    /// The directory below `x509/`, and the group `<name>-credentials`.
    pub name: String,
    /// Whether it has a client certificate.
    #[serde(default = "yes")]
    pub enable_client: bool,
    /// Usages of the client certificate.
    #[serde(default)]
    pub client_cert_mode: Option<Usage>,
    /// Whether it has a server certificate.
    #[serde(default = "yes")]
    pub enable_server: bool,
    /// Usages of the server certificate.
    #[serde(default)]
    pub server_cert_mode: Option<Usage>,
    /// Further names of the server, to which the domain is appended.
    #[serde(default, deserialize_with = "null_as_default")]
    pub extra_san: Vec<String>,
}

const fn yes() -> bool {
    true
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The units of a service: those its metadata names, and those its role has started on this host.
pub fn units<'a>(
    service: &str,
    services: &'a Services,
    records: &'a Records,
) -> impl Iterator<Item = &'a String> {
    let named = services.get(service).into_iter().flat_map(|it| &it.units);
    let started = records.services.get(service).into_iter().flat_map(|it| &it.units);
    named.chain(started)
}

/// `extended_key_usage` of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// clientAuth
    Client,
    /// serverAuth
    Server,
    /// clientAuth and serverAuth
    Both,
}

/// Which of a credential's two certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Shown when the service calls others.
    Client,
    /// Shown when others call the service.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// One certificate that a host shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The service it is for.
    pub service: String,
    /// The credential's name.
    pub credential: String,
    /// Client or server.
    pub side: Side,
    /// What it may be used for.
    pub usage: Usage,
    /// Further names of the server, without the domain.
    pub extra_san: Vec<String>,
}

/// The certificates that a host shall have which runs exactly these `services`.
pub fn wanted<'a>(services: impl IntoIterator<Item = (&'a String, &'a Service)>) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    let mut owners = BTreeMap::new();
    for (service, metadata) in services {
        for credential in &metadata.service_credentials {
            check_name(&credential.name, service)?;
            if let Some(other) = owners.insert(&credential.name, service) {
                bail!(
                    "services '{other}' and '{service}' both have a credential '{}'; give each its own name",
                    credential.name
                );
            }
            let one = |side, usage, extra_san: &[String]| Wanted {
                service: service.clone(),
                credential: credential.name.clone(),
                side,
                usage,
                extra_san: extra_san.to_vec(),
            };
            if credential.enable_client {
                all.push(one(Side::Client, credential.client_cert_mode.unwrap_or(Usage::Client), &[]));
            }
            if credential.enable_server {
                let usage = credential.server_cert_mode.unwrap_or(Usage::Server);
                all.push(one(Side::Server, usage, &credential.extra_san));
            }
        }
    }
    Ok(all)
}

/// A credential's name becomes a directory and, with a suffix, a group.
fn check_name(name: &str, service: &str) -> Result<()> {
    let fits = name.len() <= 63
        && name.starts_with(|it: char| it.is_ascii_alphanumeric())
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_.-".contains(&it));
    if !fits {
        bail!(
            "service '{service}': '{name}' cannot be a credential's name; use at most 63 letters, digits, '-', \
             '_' and '.', beginning with a letter or digit"
        );
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn services(value: serde_json::Value) -> Services {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_credential_has_both_sides_unless_one_is_switched_off() {
        let services = services(json!({
            "web": {"units": null, "port": 80, "service_credentials": [
                {"name": "web", "extra_san": ["www"]},
                {"name": "web-api", "enable_client": false, "server_cert_mode": "both"}]},
            "batch": {},
        }));
        let found: Vec<_> = wanted(&services)
            .unwrap()
            .into_iter()
            .map(|it| (it.credential, it.side, it.usage, it.extra_san))
            .collect();
        let www = vec!["www".to_owned()];
        assert_eq!(
            found,
            [
                ("web".into(), Side::Client, Usage::Client, vec![]),
                ("web".into(), Side::Server, Usage::Server, www),
                ("web-api".into(), Side::Server, Usage::Both, vec![]),
            ]
        );
    }

    #[test]
    fn a_shared_credential_and_a_name_that_is_a_path_are_refused() {
        let twice = json!({"a": {"service_credentials": [{"name": "x"}]}, "b": {"service_credentials": [{"name": "x"}]}});
        let error = wanted(&services(twice)).unwrap_err().to_string();
        assert!(error.starts_with("services 'a' and 'b' both have a credential 'x'"), "{error}");
        for name in ["../etc", "", ".pending", "a/b", "-a", "ä"] {
            let one = json!({"a": {"service_credentials": [{"name": name}]}});
            assert!(wanted(&services(one)).is_err(), "{name}");
        }
    }
}
