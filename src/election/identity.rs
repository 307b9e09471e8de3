//! Who a node is: an id that a copied disk image does not share, and that survives a restart.

use std::fmt;

use anyhow::{Result, bail};
use ring::hmac;
use serde::{Deserialize, Deserializer, Serialize};

use crate::host_name;
use crate::text::hex;

/// A node's id: an HMAC over its machine id and a random value of its own, or what `--node-id` says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeId(String);

/// Longer ones do not fit into a TXT record beside the rest.
const LONGEST: usize = 64;

impl NodeId {
    /// The default id: 128 bits of HMAC-SHA-256 over the machine id, keyed with the node's random value.
    pub fn derive(machine_id: &[u8], seed: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), machine_id);
        Self(hex::encode(&tag.as_ref()[..16]))
    }

    /// An id that somebody chose.
    pub fn parse(text: &str) -> Result<Self> {
        let fits = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_');
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(fits) {
            bail!("the node id '{text}' is not 1 to {LONGEST} letters, digits, '-', '.' or '_'");
        }
        Ok(Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first characters, enough for a person.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(8)]
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The name by which people and the other nodes know this machine.
pub(super) fn host_name() -> Result<String> {
    own(rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// Refuses what a machine is called that was given no name.
fn own(name: String) -> Result<String> {
    let first = name.split('.').next().unwrap_or_default();
    // Linux begins with `(none)`.
    if ["", "(none)", "localhost"].iter().any(|it| first.eq_ignore_ascii_case(it)) {
        bail!(
            "this machine's host name is '{name}', which tells it from no other: give it a name of its own with \
             hostnamectl set-hostname NAME, or with local-hostname in cloud-init's meta-data"
        );
    }
    if let Some(reason) = host_name::refusal_of_member(&name) {
        bail!(
            "this machine's host name cannot be that of a host of a cluster: {reason} (hostnamectl set-hostname NAME)"
        );
    }
    Ok(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_the_machine_and_on_the_random_value() {
        let id = NodeId::derive(b"machine", b"seed");
        assert_eq!(id, NodeId::derive(b"machine", b"seed"));
        assert_ne!(id, NodeId::derive(b"machine", b"other"));
        assert_ne!(id, NodeId::derive(b"other", b"seed"));
        assert_eq!((id.as_str().len(), id.short().len()), (32, 8));
    }

    #[test]
    fn a_chosen_id_is_short_and_plain() {
        assert_eq!(NodeId::parse("node-1.a_B").unwrap().as_str(), "node-1.a_B");
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(NodeId::parse(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<NodeId>(r#""a b""#).is_err());
    }

    #[test]
    fn a_host_name_tells_a_machine_from_others() {
        for bad in [
            "",
            "(none)",
            "localhost",
            "LOCALHOST",
            "localhost.localdomain",
            ".example.com",
            "etcd",
            "all",
            "a_b!",
        ] {
            assert!(own(bad.into()).is_err(), "{bad}");
        }
        assert!(own("h".repeat(51)).is_err() && own("h".repeat(50)).is_ok());
        for good in ["host1", "host1.localhost", "localhost1", "debian"] {
            assert_eq!(own(good.into()).unwrap(), good);
        }
    }
}
