//! What Ansible gets to see: a group for each service and the variables published on `all`.

use serde_json::{Map, Value as Json, json};

use super::{Paths, Workspace};
use crate::inventory::output::{self, ServiceGroup};
use crate::services::{Service, enable_variable, master_variable, metadata};
use crate::x509::names::Host;

impl Workspace {
    /// The answer to `--list`.
    pub fn list(&self) -> String {
        output::list(&self.hosts, &self.groups(), &self.variables())
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
        let paths = json!({
            "hosts": Paths::absolute(&self.paths.hosts),
            "services": self.paths.services.as_deref().map(Paths::absolute),
            "lock": Paths::absolute(&self.paths.lock),
        });
        variables.insert("minicluster_paths".into(), paths);
        variables
    }
}
