//! Puts an inventory together as Ansible's `InventoryData` does, quirks that show in the result included.

use super::hosts::{ALL, Group, GroupId, Host, HostId, Hosts, UNGROUPED};
use super::value::{Value, Variable, Variables};
use crate::diagnostic::{Diagnostic, Diagnostics, Location};
use std::{collections::HashMap, sync::Arc};

/// More hosts than this in one file are taken for a mistake in a range.
pub(super) const MOST_HOSTS: usize = 200_000;

/// An inventory in the making, with the mistakes found so far.
pub(super) struct Builder {
    pub hosts: Hosts,
    pub file: Arc<str>,
    pub errors: Diagnostics,
}

/// What is wrong with one definition; the reader adds the place.
pub(super) type Result<T> = std::result::Result<T, String>;

impl Builder {
    pub(super) fn new(file: &Arc<str>) -> Self {
        let (list, groups, warnings) = (Vec::new(), Vec::new(), Vec::new());
        let hosts = Hosts { list, groups, warnings, host_ids: HashMap::new(), group_ids: HashMap::new() };
        let mut builder = Self { hosts, file: Arc::clone(file), errors: Vec::new() };
        builder.insert_group("all", Location::default());
        builder.insert_group("ungrouped", Location::default());
        builder.link(ALL, UNGROUPED);
        builder
    }

    pub(super) fn error(&mut self, location: Location, message: impl Into<String>) {
        self.errors.push(Diagnostic::new(&self.file, location, message));
    }

    pub(super) fn warn(&mut self, location: Location, message: impl Into<String>) {
        self.hosts.warnings.push(Diagnostic::new(&self.file, location, message));
    }

    pub(super) fn group_id(&self, name: &str) -> Option<GroupId> {
        self.hosts.group_ids.get(name).copied()
    }

    /// The group of that name, made if there is none yet.
    pub(super) fn add_group(&mut self, name: &str, location: Location) -> Result<GroupId> {
        if name.is_empty() {
            return Err("a group's name is empty".to_owned());
        }
        if name == "_meta" {
            return Err("_meta means something else in a published inventory; rename the group".to_owned());
        }
        Ok(self.group_id(name).unwrap_or_else(|| self.insert_group(name, location)))
    }

    fn insert_group(&mut self, name: &str, location: Location) -> GroupId {
        let id = self.hosts.groups.len();
        self.hosts.group_ids.insert(name.to_owned(), id);
        self.hosts.groups.push(Group {
            name: name.to_owned(),
            hosts: Vec::new(),
            variables: Variables::new(),
            location,
            priority: None,
            children: Vec::new(),
            parents: Vec::new(),
            depth: 0,
        });
        id
    }

    /// A host in a group. A port counts only where the host is named first: Ansible ignores later ones.
    pub(super) fn add_host(
        &mut self,
        name: &str,
        group: GroupId,
        port: Option<&str>,
        location: Location,
    ) -> Result<()> {
        if name.is_empty() {
            return Err("a host's name is empty".to_owned());
        }
        let id = match self.hosts.host_id(name) {
            Some(id) => id,
            None if self.hosts.len() == MOST_HOSTS => {
                return Err(format!("more than {MOST_HOSTS} hosts; check the ranges"));
            }
            None => self.insert_host(name, port, location),
        };
        self.join(group, id);
        Ok(())
    }

    fn insert_host(&mut self, name: &str, port: Option<&str>, location: Location) -> HostId {
        let id = self.hosts.list.len();
        let mut variables = Variables::new();
        if let Some(port) = port.filter(|it| *it != "0") {
            let value = Value::Integer(port.to_owned());
            variables.insert("ansible_port".to_owned(), Variable { value, location });
        }
        self.hosts.host_ids.insert(name.to_owned(), id);
        self.hosts.list.push(Host { name: name.to_owned(), variables, location, groups: Vec::new() });
        id
    }

    fn join(&mut self, group: GroupId, host: HostId) {
        let groups = &mut self.hosts.list[host].groups;
        if !groups.contains(&group) {
            groups.push(group);
            self.hosts.groups[group].hosts.push(host);
        }
    }

    /// Sets a variable of what bears the name. A group comes before a host of the same name, as in Ansible.
    pub(super) fn set_variable(
        &mut self,
        of: &str,
        name: &str,
        value: Value,
        location: Location,
    ) -> Result<()> {
        let Some(group) = self.group_id(of) else {
            if let Some(host) = self.hosts.host_id(of) {
                self.hosts.list[host].variables.insert(name.to_owned(), Variable { value, location });
            }
            return Ok(());
        };
        if name == "ansible_group_priority" {
            self.hosts.groups[group].priority = Some((priority(&value)?, location));
        } else {
            self.hosts.groups[group].variables.insert(name.to_owned(), Variable { value, location });
        }
        Ok(())
    }

    /// Makes one group the child of another, unless that closes a circle.
    pub(super) fn add_child(&mut self, parent: GroupId, child: GroupId) -> Result<()> {
        let name = |id: GroupId| self.hosts.groups[id].name.as_str();
        if child == ALL {
            return Err(format!("`all` cannot be a child of {}: it holds every group", name(parent)));
        }
        if child == UNGROUPED && parent != ALL {
            let parent = name(parent);
            return Err(format!(
                "`ungrouped` cannot be a child of {parent}: its hosts would be in a group then"
            ));
        }
        if parent == child || self.reaches(child, parent) {
            let (parent, child) = (name(parent), name(child));
            return Err(format!("{child} as a child of {parent} makes a circle: {parent} is below {child}"));
        }
        if !self.hosts.groups[parent].children.contains(&child) {
            self.link(parent, child);
        }
        Ok(())
    }

    fn link(&mut self, parent: GroupId, child: GroupId) {
        self.hosts.groups[parent].children.push(child);
        self.hosts.groups[child].parents.push(parent);
    }

    fn reaches(&self, from: GroupId, to: GroupId) -> bool {
        let mut seen = vec![false; self.hosts.groups.len()];
        let mut waiting = vec![from];
        while let Some(group) = waiting.pop() {
            if group == to {
                return true;
            }
            if !std::mem::replace(&mut seen[group], true) {
                waiting.extend(&self.hosts.groups[group].children);
            }
        }
        false
    }

    /// Applies the rules Ansible applies last: every group is below `all`, and `ungrouped` holds exactly
    /// the hosts that are in no other group.
    pub(super) fn finish(mut self) -> std::result::Result<Hosts, Diagnostics> {
        for group in 2..self.hosts.groups.len() {
            if self.hosts.groups[group].parents.is_empty() {
                self.link(ALL, group);
            }
        }
        self.settle_ungrouped();
        self.hosts.measure_depths();
        self.compare_names();
        self.hosts.warnings.sort();
        self.errors.sort();
        self.errors.dedup();
        if self.errors.is_empty() { Ok(self.hosts) } else { Err(self.errors) }
    }

    /// A name of a host and a group means the group to Ansible, where both could be meant.
    fn compare_names(&mut self) {
        for id in 0..self.hosts.len() {
            let Host { name, location, variables, groups } = &self.hosts.list[id];
            if !self.hosts.group_ids.contains_key(name) {
                continue;
            }
            let (location, mixed_up) = (*location, !variables.is_empty() || groups.contains(&UNGROUPED));
            let message =
                format!("{name} is a host and a group; Ansible gives the host's variables to the group");
            if mixed_up {
                self.error(location, message + ": rename one");
            } else {
                self.warn(location, message);
            }
        }
    }

    fn settle_ungrouped(&mut self) {
        for id in 0..self.hosts.len() {
            let groups = &mut self.hosts.list[id].groups;
            if groups.iter().any(|group| *group != ALL && *group != UNGROUPED) {
                groups.retain(|group| *group != UNGROUPED);
            } else {
                self.join(UNGROUPED, id);
            }
        }
        let hosts = &self.hosts.list;
        self.hosts.groups[UNGROUPED].hosts.retain(|id| hosts[*id].groups.contains(&UNGROUPED));
    }
}

impl Hosts {
    /// The depth of a group is its longest way down from `all`; there are no circles.
    fn measure_depths(&mut self) {
        let mut open: Vec<usize> = self.groups.iter().map(|group| group.parents.len()).collect();
        let mut ready = vec![ALL];
        while let Some(group) = ready.pop() {
            for child in self.groups[group].children.clone() {
                self.groups[child].depth = self.groups[child].depth.max(self.groups[group].depth + 1);
                open[child] -= 1;
                if open[child] == 0 {
                    ready.push(child);
                }
            }
        }
    }
}

/// `ansible_group_priority` as Python's `int()` takes it.
fn priority(value: &Value) -> Result<i128> {
    let refused = || "ansible_group_priority is not an integer".to_owned();
    match value {
        Value::Bool(bool) => Ok(i128::from(*bool)),
        Value::Integer(text) => text.parse().map_err(|_| refused()),
        Value::Text(text) | Value::Unsafe(text) => {
            crate::text::python::number::integer(text).ok_or_else(refused)
        }
        #[allow(clippy::cast_possible_truncation, reason = "bounded on the line above")]
        Value::Float(number) if number.abs() < 1e15 => Ok(*number as i128),
        _ => Err(refused()),
    }
}
