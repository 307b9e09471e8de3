//! The hosts as placement sees them: names, groups, and the variables that instances are spread by.

use std::collections::{BTreeMap, HashMap};

use super::rank::NameHash;

/// A host, by its position in the inventory.
pub type HostId = usize;

/// All hosts of the inventory.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    names: Vec<String>,
    hashes: Vec<NameHash>,
    ids: HashMap<String, HostId>,
    groups: BTreeMap<String, Vec<HostId>>,
    variables: BTreeMap<String, Vec<Option<String>>>,
}

impl Cluster {
    /// A cluster of these hosts, without groups but `all`.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        Self {
            hashes: names.iter().map(|name| NameHash::of(name)).collect(),
            ids: names.iter().enumerate().map(|(id, name)| (name.clone(), id)).collect(),
            groups: BTreeMap::from([("all".into(), (0..names.len()).collect())]),
            variables: BTreeMap::new(),
            names,
        }
    }

    /// Adds a group with all hosts that belong to it, also through groups below it.
    pub fn with_group(mut self, name: &str, hosts: impl IntoIterator<Item = HostId>) -> Self {
        let mut hosts: Vec<HostId> = hosts.into_iter().collect();
        hosts.sort_unstable();
        hosts.dedup();
        self.groups.insert(name.into(), hosts);
        self
    }

    /// Adds the values of a variable, host by host.
    pub fn with_variable(mut self, name: &str, values: Vec<Option<String>>) -> Self {
        self.variables.insert(name.into(), values);
        self
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Every host.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        0..self.names.len()
    }

    /// A host's name.
    pub fn name(&self, host: HostId) -> &str {
        &self.names[host]
    }

    /// A host's name as placement ranks it.
    pub fn hash(&self, host: HostId) -> NameHash {
        self.hashes[host]
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Option<HostId> {
        self.ids.get(name).copied()
    }

    /// The hosts of a group, in order.
    pub fn group(&self, name: &str) -> Option<&[HostId]> {
        self.groups.get(name).map(Vec::as_slice)
    }

    /// Names of all groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// The value of a variable on a host.
    pub fn variable(&self, name: &str, host: HostId) -> Option<&str> {
        self.variables.get(name)?.get(host)?.as_deref()
    }

    /// Names of some hosts, for a message: at most five are spelt out.
    pub fn list(&self, hosts: &[HostId]) -> String {
        match hosts {
            [] => "none".into(),
            all if all.len() <= 6 => self.names_of(all),
            some => format!("{} and {} more", self.names_of(&some[..5]), some.len() - 5),
        }
    }

    fn names_of(&self, hosts: &[HostId]) -> String {
        hosts.iter().map(|&host| self.name(host)).collect::<Vec<_>>().join(", ")
    }
}
