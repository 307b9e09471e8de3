//! What Ansible gets to see: a group for each service and the variables published on `all`.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::{Paths, Workspace, addresses};
use crate::host_name::SERVICES;
use crate::inventory::output::{self, ServiceGroup};
use crate::services::{Service, enable_variable, master_variable, metadata};
use crate::x509::names::Host;

impl Workspace {
    /// The answer to `--list`. Below `clusters` this account keeps the secrets of clusters; none: it has no home.
    pub fn list(&self, clusters: Option<&Path>) -> String {
        let mut variables = self.variables();
        // The operator's own word for it, in `group_vars` too, wins over what is published.
        if !self.hosts.group("all").is_some_and(|it| it.variables.contains_key("private_dir")) {
            variables.insert("private_dir".into(), json!(private_dir(clusters)));
        }
        output::list(&self.hosts, &self.groups(), &variables)
    }

    /// The answer to `--host`; none if there is no such host.
    pub fn host(&self, name: &str) -> Option<String> {
        output::host(&self.hosts, name)
    }

    /// One group for each service; a disabled service has an empty one, unless a group or host of the file has its name.
    fn groups(&self) -> Vec<ServiceGroup> {
        let enabled =
            self.demands.0.iter().zip(&self.placement.assignments).map(|(demand, assignment)| ServiceGroup {
                name: demand.name.clone(),
                hosts: assignment.hosts.clone(),
                variables: Map::from_iter([(enable_variable(&demand.name), json!(true))]),
            });
        let disabled = self.services.services.iter().filter(|(_, defined)| !defined.service.enabled);
        let is_free = |name: &str| self.hosts.group(name).is_none() && self.hosts.host_id(name).is_none();
        let disabled = disabled.filter(|(name, _)| is_free(name)).map(|(name, _)| ServiceGroup {
            name: name.clone(),
            hosts: Vec::new(),
            variables: Map::new(),
        });
        enabled.chain(disabled).collect()
    }

    fn metadata(&self, service: &Service) -> Json {
        metadata(service, service.user.as_deref().and_then(|it| self.uids.get(it)))
    }

    fn variables(&self) -> Map<String, Json> {
        let all = &self.services.services;
        let mut variables: Map<String, Json> =
            all.keys().map(|name| (enable_variable(name), json!(false))).collect();
        for (demand, assignment) in self.demands.0.iter().zip(&self.placement.assignments) {
            if demand.master {
                let master = assignment.master.map(|host| self.cluster.name(host));
                variables.insert(master_variable(&demand.name), json!(master));
            }
        }
        let enabled = all.iter().filter(|(_, defined)| defined.service.enabled);
        let metadata: Map<String, Json> =
            enabled.map(|(name, defined)| (name.clone(), self.metadata(&defined.service))).collect();
        variables.insert("services".into(), json!(output::packed(&json!(metadata))));
        variables.insert("minicluster_name".into(), json!(Host::NAME_TEMPLATE));
        variables.insert("minicluster_address".into(), json!(addresses::TEMPLATE));
        let core = all.iter().filter(|(_, it)| it.service.role.as_deref() == Some("core"));
        let core: Vec<_> = core.map(|(name, _)| name).filter(|it| SERVICES.contains(&it.as_str())).collect();
        variables.insert("minicluster_core".into(), json!(core));
        let paths = json!({
            "hosts": Paths::absolute(&self.paths.hosts),
            "services": self.paths.services.as_deref().map(Paths::absolute),
            "lock": Paths::absolute(&self.paths.lock),
        });
        variables.insert("minicluster_paths".into(), paths);
        variables
    }
}

/// Where the control node keeps its secrets, when the operator does not say: only Ansible may know the domain.
fn private_dir(clusters: Option<&Path>) -> String {
    clusters.map_or_else(
        || "{{ undef(hint='this account has no home directory: set private_dir') }}".to_owned(),
        |it| format!("{}/{{{{ domain }}}}", it.display()),
    )
}
