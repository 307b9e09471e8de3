//! Writes the inventory as JSON for Ansible's `script` plugin, as compactly as that plugin allows.

mod json;

use super::hosts::{ALL, Group, GroupId, HostId, Hosts, UNGROUPED};
use super::value::{Value, Variables};
use json::Writer;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// A group to publish beside those of the file: a service and the hosts that run it.
#[derive(Clone, Debug)]
pub struct ServiceGroup {
    /// The group's name.
    pub name: String,
    /// Its hosts, each once.
    pub hosts: Vec<HostId>,
    /// The group's variables.
    pub variables: Map<String, Json>,
}

/// What `--list` prints: the groups of `hosts`, a group for each service, and `all`'s variables.
///
/// A service that runs on exactly the hosts of a group has that group as its child. Being a child makes a
/// group deeper, and Ansible lets deeper groups win; so this is done to groups right below `all` only where
/// it happens to every one of them, and their order of precedence stays.
///
/// Services would change the order of hosts: they take hosts out of `ungrouped`, and their groups may come first. So
/// `all` lists its hosts in the order that the file gives them; and where hosts are first named in another, as a
/// pattern such as `web*` lists them, `ungrouped` names them so, from which Ansible takes them out again.
pub fn list(hosts: &Hosts, services: &[ServiceGroup], all: &Map<String, Json>) -> String {
    let mut writer = Writer::default();
    writer.open();
    write_meta(&mut writer, hosts);
    let order = hosts.members(ALL);
    let ordered = !services.is_empty();
    if ordered && !order.is_sorted() {
        let named: Vec<HostId> = (0..hosts.len()).collect();
        write_group(&mut writer, hosts, UNGROUPED, &named, None);
        write_group(&mut writer, hosts, ALL, &order, Some(all));
    } else {
        write_group(
            &mut writer,
            hosts,
            ALL,
            if ordered { &order } else { &hosts.groups[ALL].hosts },
            Some(all),
        );
        write_group(&mut writer, hosts, UNGROUPED, &hosts.groups[UNGROUPED].hosts, None);
    }
    for (id, group) in hosts.groups.iter().enumerate().filter(|(id, _)| *id != ALL && *id != UNGROUPED) {
        write_group(&mut writer, hosts, id, &group.hosts, None);
    }
    if !services.is_empty() {
        write_ungrouped(&mut writer, hosts);
    }
    let members = Members::of(hosts, services);
    for service in services {
        members.write(&mut writer, hosts, service);
    }
    writer.close();
    writer.finish()
}

/// What `--host NAME` prints: the variables set on the host. `None` where there is no such host.
pub fn host(hosts: &Hosts, name: &str) -> Option<String> {
    let host = hosts.host(hosts.host_id(name)?);
    let mut writer = Writer::default();
    writer.open();
    write_variables(&mut writer, &host.variables);
    writer.close();
    Some(writer.finish())
}

/// One value as `--list` prints it.
pub fn json(value: &Value) -> String {
    let mut writer = Writer::default();
    writer.inventory_value(value);
    writer.finish()
}

/// A large variable of `all` as a template of its JSON: `ansible-inventory --list` repeats the variables of
/// `all` for every host, and a string costs it a fraction of what a tree of values does. Ansible evaluates
/// no template within it.
pub fn packed(value: &Json) -> String {
    // Whether a backslash within a template's string stands for itself depends on who evaluates it.
    let text =
        value.to_string().replace('%', "%25").replace('\\', "%5C").replace('\'', "%27").replace('+', "%2B");
    format!("{{{{ '{text}' | urldecode | from_json }}}}")
}

fn write_meta(writer: &mut Writer, hosts: &Hosts) {
    writer.open_key("_meta");
    writer.open_key("hostvars");
    for host in hosts.list.iter().filter(|host| !host.variables.is_empty()) {
        writer.open_key(&host.name);
        write_variables(writer, &host.variables);
        writer.close();
    }
    writer.close();
    writer.close();
}

fn write_variables(writer: &mut Writer, variables: &Variables) {
    for (name, variable) in variables {
        writer.value(name, &variable.value);
    }
}

fn write_group(
    writer: &mut Writer,
    hosts: &Hosts,
    id: GroupId,
    members: &[HostId],
    added: Option<&Map<String, Json>>,
) {
    let group: &Group = &hosts.groups[id];
    writer.open_key(&group.name);
    // Ansible takes a group with none of the three keys for a host.
    if !members.is_empty() || group.children.is_empty() {
        writer.names("hosts", members.iter().map(|id| hosts.list[*id].name.as_str()));
    }
    if !group.children.is_empty() {
        writer.names("children", hosts.children(group));
    }
    let priority = group.published_priority();
    if !group.variables.is_empty() || priority.is_some() || added.is_some_and(|it| !it.is_empty()) {
        writer.open_key("vars");
        write_variables(writer, &group.variables);
        if let Some(priority) = priority {
            writer.value("ansible_group_priority", &priority);
        }
        for (name, value) in added.into_iter().flatten() {
            writer.json(name, value);
        }
        writer.close();
    }
    writer.close();
}

/// A host that runs a service is in a group, so Ansible takes it out of `ungrouped`. Where that group has
/// variables, another group keeps them for the host.
fn write_ungrouped(writer: &mut Writer, hosts: &Hosts) {
    let ungrouped = &hosts.groups[UNGROUPED];
    if ungrouped.hosts.is_empty() || ungrouped.variables.is_empty() {
        return;
    }
    let mut name = "ungrouped_hosts".to_owned();
    while hosts.group(&name).is_some() {
        name.push('_');
    }
    writer.open_key(&name);
    writer.names("hosts", ungrouped.hosts.iter().map(|id| hosts.list[*id].name.as_str()));
    writer.open_key("vars");
    write_variables(writer, &ungrouped.variables);
    writer.close();
    writer.close();
}

/// Which groups of the file may stand for the hosts of a service.
struct Members {
    /// The first group with exactly these hosts.
    exact: HashMap<Vec<HostId>, GroupId>,
    /// The groups right below `all`, and the hosts in none of them.
    top: Vec<GroupId>,
    loose: Vec<HostId>,
    /// Whether all groups right below `all` become children of a service, so that all may.
    top_is_used: bool,
}

impl Members {
    fn of(hosts: &Hosts, services: &[ServiceGroup]) -> Self {
        let mut top = hosts.groups[ALL].children.clone();
        if hosts.groups[UNGROUPED].children.is_empty() {
            top.retain(|id| *id != UNGROUPED);
        } else {
            // Groups below `ungrouped` lie as deep as those below a service, and would no longer win.
            top.clear();
        }
        let covers_all = |service: &ServiceGroup| service.hosts.len() == hosts.len();
        let top_is_used = !top.is_empty() && services.iter().any(covers_all);
        let mut in_top = vec![false; hosts.len()];
        let mut exact = HashMap::new();
        for id in (0..hosts.groups.len()).filter(|id| *id != ALL && *id != UNGROUPED) {
            let mut members = hosts.members(id);
            if top.contains(&id) {
                for host in &members {
                    in_top[*host] = true;
                }
            }
            members.sort_unstable();
            if !members.is_empty() {
                exact.entry(members).or_insert(id);
            }
        }
        let loose = (0..hosts.len()).filter(|id| !in_top[*id]).collect();
        Self { exact, top, loose, top_is_used }
    }

    fn write(&self, writer: &mut Writer, hosts: &Hosts, service: &ServiceGroup) {
        let host_name = |id: &HostId| hosts.list[*id].name.as_str();
        let group_name = |id: &GroupId| hosts.groups[*id].name.as_str();
        writer.open_key(&service.name);
        if service.hosts.len() == hosts.len() && !self.top.is_empty() {
            writer.names("children", self.top.iter().map(group_name));
            if !self.loose.is_empty() {
                writer.names("hosts", self.loose.iter().map(host_name));
            }
        } else if let Some(group) = self.group_for(hosts, service) {
            writer.names("children", std::iter::once(group_name(&group)));
        } else {
            writer.names("hosts", service.hosts.iter().map(host_name));
        }
        if !service.variables.is_empty() {
            writer.open_key("vars");
            for (name, value) in &service.variables {
                writer.json(name, value);
            }
            writer.close();
        }
        writer.close();
    }

    fn group_for(&self, hosts: &Hosts, service: &ServiceGroup) -> Option<GroupId> {
        let mut members = service.hosts.clone();
        members.sort_unstable();
        let group = *self.exact.get(&members)?;
        (self.top_is_used || hosts.groups[group].depth > 1).then_some(group)
    }
}
