//! The hosts, groups and variables of an inventory, and the questions asked of them.

use super::value::{Value, Variable, Variables};
use crate::diagnostic::{Diagnostic, Location};
use std::collections::HashMap;

/// A host by its place in the inventory.
pub type HostId = usize;
/// A group by its place in the inventory.
pub(super) type GroupId = usize;

pub(super) const ALL: GroupId = 0;
pub(super) const UNGROUPED: GroupId = 1;

/// What an inventory file says, after Ansible's own rules were applied to it.
#[derive(Clone, Debug)]
pub struct Hosts {
    pub(super) list: Vec<Host>,
    pub(super) groups: Vec<Group>,
    pub(super) host_ids: HashMap<String, HostId>,
    pub(super) group_ids: HashMap<String, GroupId>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// A managed node.
#[derive(Clone, Debug)]
pub struct Host {
    /// `inventory_hostname`.
    pub name: String,
    /// Variables set on the host itself.
    pub variables: Variables,
    /// Where the host is first named.
    pub location: Location,
    /// Groups that hold the host directly.
    pub(super) groups: Vec<GroupId>,
}

/// A group of hosts.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Hosts that are members directly, in order.
    pub hosts: Vec<HostId>,
    /// Variables set on the group.
    pub variables: Variables,
    /// Where the group is first named.
    pub location: Location,
    /// `ansible_group_priority`, where it was set.
    pub(super) priority: Option<(i128, Location)>,
    pub(super) children: Vec<GroupId>,
    pub(super) parents: Vec<GroupId>,
    /// The longest way down from `all`.
    pub(super) depth: usize,
}

/// Whose variable it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A host, by name.
    Host(&'a str),
    /// A group, by name.
    Group(&'a str),
}

impl Hosts {
    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The hosts' names in inventory order; a [`HostId`] counts along it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|host| host.name.as_str())
    }

    /// A host by its place. Panics on an id of another inventory.
    pub fn host(&self, id: HostId) -> &Host {
        &self.list[id]
    }

    /// The place of a host.
    pub fn host_id(&self, name: &str) -> Option<HostId> {
        self.host_ids.get(name).copied()
    }

    /// All groups in the order of the file, `all` and `ungrouped` first.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// A group by name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.group_ids.get(name).map(|id| &self.groups[*id])
    }

    /// The names of a group's child groups.
    pub fn children<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a str> {
        group.children.iter().map(|id| self.groups[*id].name.as_str())
    }

    /// A group's hosts and those of all groups below it, each once; `None` where no group has the name.
    pub fn hosts_of(&self, group: &str) -> Option<Vec<HostId>> {
        Some(self.members(*self.group_ids.get(group)?))
    }

    pub(super) fn members(&self, group: GroupId) -> Vec<HostId> {
        let mut seen_groups = vec![false; self.groups.len()];
        let mut seen_hosts = vec![false; self.list.len()];
        let mut members = Vec::new();
        let mut queue = std::collections::VecDeque::from([group]);
        seen_groups[group] = true;
        while let Some(next) = queue.pop_front() {
            let fresh =
                self.groups[next].hosts.iter().filter(|id| !std::mem::replace(&mut seen_hosts[**id], true));
            members.extend(fresh);
            let below = self.groups[next].children.iter().copied();
            queue.extend(below.filter(|id| !std::mem::replace(&mut seen_groups[*id], true)));
        }
        members
    }

    /// What the first host's variable says in plain words; the cluster's own variables are the same for all.
    pub fn said_first(&self, name: &str) -> Option<String> {
        self.first(name)?.value.text().filter(|it| !it.contains("{{"))
    }

    /// The first host's variable.
    pub fn first(&self, name: &str) -> Option<&Variable> {
        (!self.is_empty()).then(|| self.variable(0, name)).flatten()
    }

    /// The variable that a host sees: its own, else that of its groups in Ansible's order of precedence
    /// (deeper before shallower, then `ansible_group_priority`, then the later name).
    pub fn variable(&self, host: HostId, name: &str) -> Option<&Variable> {
        let host = &self.list[host];
        if let Some(own) = host.variables.get(name) {
            return Some(own);
        }
        let rank = |group: &&Group| (group.depth, group.priority.map_or(1, |it| it.0));
        self.ancestors_and_self(&host.groups)
            .into_iter()
            .map(|id| &self.groups[id])
            .filter(|group| group.variables.contains_key(name))
            .max_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.name.cmp(&other.name)))
            .and_then(|group| group.variables.get(name))
    }

    /// Those groups and everything above them, `all` included.
    fn ancestors_and_self(&self, groups: &[GroupId]) -> Vec<GroupId> {
        let mut found = vec![ALL];
        let mut waiting = groups.to_vec();
        while let Some(group) = waiting.pop() {
            if !found.contains(&group) {
                found.push(group);
                waiting.extend(&self.groups[group].parents);
            }
        }
        found
    }

    /// Every variable that the file sets, group by group, then host by host.
    pub fn set_variables(&self) -> impl Iterator<Item = (Owner<'_>, &str, &Variable)> {
        let of_groups = self.groups.iter().map(|it| (Owner::Group(&it.name), &it.variables));
        let of_hosts = self.list.iter().map(|it| (Owner::Host(&it.name), &it.variables));
        of_groups
            .chain(of_hosts)
            .flat_map(|(owner, set)| set.iter().map(move |(name, variable)| (owner, name.as_str(), variable)))
    }

    /// What Ansible accepts with a warning, or what JSON cannot tell apart.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

impl Group {
    /// `ansible_group_priority` as a value to publish, where it was set.
    pub(super) fn published_priority(&self) -> Option<Value> {
        self.priority.map(|(priority, _)| Value::Integer(priority.to_string()))
    }
}
