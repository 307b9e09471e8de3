//! What a host knows of its own place: in no cluster yet (no `node.json`), or locked to one, once and for good.
//!
//! Nothing here unlocks. Who really wants a machine in another cluster removes the file on it by hand.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use ring::hkdf;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, serde::rfc3339};

use crate::system::files::{self, Attributes, Directory, Persisted};

/// The file, beside the ledger.
pub const FILE: &str = "node.json";

/// How a machine came into its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameIn {
    /// It took part in the election.
    Election,
    /// An operator added it.
    Operator,
    /// It was rebuilt, and an operator let it come back under its name.
    Readmission,
}

impl CameIn {
    /// The words for it.
    pub const CHOICES: &'static [&'static str] = &["election", "operator"];
}

/// A machine's place in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The cluster's name, for people.
    pub cluster: String,
    /// What tells the cluster from every other, see [`cluster_id`].
    pub cluster_id: String,
    /// The machine's own identity in it; unknown where no election gave one.
    pub node_id: Option<String>,
    /// How it came in.
    pub came_in: CameIn,
}

/// What `node.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    state: Locked,
    cluster: String,
    cluster_id: String,
    node_id: Option<String>,
    came_in: CameIn,
    #[serde(with = "rfc3339")]
    at: OffsetDateTime,
}

impl Persisted for Record {
    const REMEDY: &'static str =
        "restore it from a backup; only if you know that this machine belongs to no cluster, remove it";
}

/// The only state that is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Locked {
    Locked,
}

/// Reads the state of the host whose directory this is; `None`: unlocked.
pub fn read(directory: &Path) -> Result<Option<Membership>> {
    let path = directory.join(FILE);
    let name = path.display();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        Ok(found) if !found.is_file() => bail!("{name} is not a file: find out who replaced it"),
        Ok(_) => {}
    }
    let found = Record::read(&path)?;
    Ok(found.map(|Record { cluster, cluster_id, node_id, came_in, .. }| Membership {
        cluster,
        cluster_id,
        node_id,
        came_in,
    }))
}

/// Whether a machine in the state `found` is to be locked to `wanted`, or is already. A machine that its
/// control node knows (`wanted` names a node) and that knows nothing itself was rebuilt or is another one:
/// it comes in only with the operator's word, `readmit`.
pub fn decide(found: Option<&Membership>, wanted: &Membership, readmit: bool) -> Result<Option<Membership>> {
    let Some(found) = found else {
        let known = wanted.came_in != CameIn::Election && wanted.node_id.is_some();
        if known && !readmit {
            bail!(
                "this machine's name is known as node {} of cluster '{}', but the machine knows nothing of it: it was \
                 rebuilt, or another machine answers under this name. If it shall come back under this name: \
                 'ansible-playbook site.yml -e node_readmit=NAME', where NAME is the host's in hosts (it sets the \
                 option 'readmit')",
                wanted.node_id.as_deref().unwrap_or_default(),
                wanted.cluster
            );
        }
        let came_in = if known { CameIn::Readmission } else { wanted.came_in };
        return Ok(Some(Membership { came_in, ..wanted.clone() }));
    };
    if found.cluster_id != wanted.cluster_id {
        bail!(
            "this machine is locked to cluster '{}' ({}) and cannot become one of '{}' ({}). A machine does not change \
             its cluster by itself: if it really shall, remove {FILE} on it",
            found.cluster,
            found.cluster_id,
            wanted.cluster,
            wanted.cluster_id
        );
    }
    if let (Some(own), Some(expected)) = (&found.node_id, &wanted.node_id)
        && own != expected
    {
        bail!(
            "this machine is node {own} of cluster '{}', and node {expected} is expected here: another machine answers \
             under this name. Correct the address or the variable node_id in hosts",
            found.cluster
        );
    }
    Ok(None)
}

/// Locks the machine whose directory this is, unless it is already locked to the same cluster. Of any
/// number of callers one writes; says whether it was this one.
pub fn lock_to(directory: &Path, wanted: &Membership, readmit: bool, now: OffsetDateTime) -> Result<bool> {
    if !directory.exists() {
        Directory { path: directory.into(), attributes: Attributes::mode(0o755) }.plan()?.apply()?;
    }
    let _held = files::lock(&directory.join("node.lock"))?;
    let Some(Membership { cluster, cluster_id, node_id, came_in }) =
        decide(read(directory)?.as_ref(), wanted, readmit)?
    else {
        return Ok(false);
    };
    let at = now.replace_nanosecond(0)?;
    let record = Record { state: Locked::Locked, cluster, cluster_id, node_id, came_in, at };
    record.file(directory.join(FILE), 0o644)?.plan()?.apply()?;
    Ok(true)
}

/// What tells a cluster from every other, although several may have been made with one secret: HKDF (RFC 5869,
/// SHA-256) of the cluster secret, with a salt that its members have in common. It tells nothing of the secret.
pub fn cluster_id(secret: &[u8], salt: &str) -> Result<String> {
    let mut id = [0; 16];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt.as_bytes())
        .extract(secret)
        .expand(&[b"minicluster cluster id"], Length(id.len()))
        .and_then(|material| material.fill(&mut id))
        .map_err(|_| anyhow!("HKDF has no {} bytes", id.len()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(id)))
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn membership(cluster_id: &str, node_id: Option<&str>, came_in: CameIn) -> Membership {
        let (cluster_id, node_id) = (cluster_id.to_owned(), node_id.map(Into::into));
        Membership { cluster: "demo".into(), cluster_id, node_id, came_in }
    }

    #[test]
    fn who_comes_in_and_who_does_not() {
        use CameIn::{Election, Operator, Readmission};
        let host = membership("a", Some("1"), Election);
        let cases = [
            ("elected", None, ("a", Some("1"), Election), false, Ok(Some(Election))),
            ("added", None, ("a", None, Operator), false, Ok(Some(Operator))),
            (
                "rebuilt",
                None,
                ("a", Some("1"), Operator),
                false,
                Err("'ansible-playbook site.yml -e node_readmit=NAME'"),
            ),
            ("rebuilt, with a word", None, ("a", Some("1"), Operator), true, Ok(Some(Readmission))),
            ("again", Some(&host), ("a", Some("1"), Election), false, Ok(None)),
            ("known", Some(&host), ("a", None, Operator), false, Ok(None)),
            ("another node", Some(&host), ("a", Some("2"), Operator), false, Err("node 2 is expected")),
            (
                "another, with a word",
                Some(&host),
                ("a", Some("2"), Operator),
                true,
                Err("node 2 is expected"),
            ),
            ("another cluster", Some(&host), ("b", Some("1"), Election), true, Err("remove node.json on it")),
        ];
        for (case, found, (cluster, node, came_in), readmit, expected) in cases {
            match (decide(found, &membership(cluster, node, came_in), readmit), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got.map(|it| it.came_in), expected, "{case}"),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{case}: {error}");
                }
                (got, expected) => panic!("{case}: {got:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn one_secret_and_two_elections_are_two_clusters() {
        let id = |secret: &[u8], salt| cluster_id(secret, salt).unwrap();
        assert_eq!(id(b"secret", "digest"), id(b"secret", "digest"));
        assert_ne!(id(b"secret", "digest"), id(b"secret", "digest of another"));
        assert_ne!(id(b"secret", "digest"), id(b"other", "digest"));
    }
}
