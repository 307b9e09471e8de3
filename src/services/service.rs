//! The format of `services.yml`: every attribute with its type, default and meaning.

use super::attribute::At;
use super::container::Container;
use super::health::Health;
use super::record::record;
use super::text::{
    CredentialName, DnsName, GroupName, Line, RoleName, SanName, ServiceName, UnitName, UserName,
    VariableName,
};
use super::value::{CertMode, Discovery, Instances, Port, Scheme};
use crate::diagnostic::Diagnostics;
use crate::yaml::Position;

record! {
    /// One service: where it runs and what the cluster does for it.
    pub struct Service {
        /// Whether the service runs at all; a disabled one is turned down everywhere.
        pub enabled: bool = true,
        /// Run only on hosts of this host group; default: all hosts.
        pub scheduling_group: Option<At<GroupName>> = None,
        /// Run only on hosts of these host groups (their union, with `scheduling_group`).
        pub scheduling_groups: Vec<At<GroupName>> = Vec::new(),
        /// How many hosts run an instance: a number, or 'all' candidates.
        pub num_instances: Instances = Instances::All,
        /// Run only on hosts that run this other service.
        pub schedule_with: Option<At<ServiceName>> = None,
        /// Services with which this one never shares a host.
        pub avoid: Vec<At<ServiceName>> = Vec::new(),
        /// A variable in the hosts file, such as 'zone', over whose values instances are spread evenly.
        pub spread_by: Option<At<VariableName>> = None,
        /// Whether one of the instances is published as the master.
        pub master_election: bool = false,
        /// Whether instances hold data that a move leaves behind; plans mark such moves.
        pub stateful: bool = false,
        /// The system user that runs the service; default: the name of the service.
        pub user: Option<UserName> = None,
        /// The systemd units of the service: restarted when its credentials change, stopped when it moves away.
        pub units: Vec<UnitName> = Vec::new(),
        /// The Ansible role that sets the service up; default: one with the name of the service; none: nothing sets it up.
        pub role: Option<RoleName> = None,
        /// X.509 credentials made for the service on its hosts.
        pub service_credentials: Vec<Credential> = Vec::new(),
        /// The services whose client certificates its servers accept; default: every one of the cluster's.
        pub clients: Vec<At<ServiceName>> = Vec::new(),
        /// Where Prometheus finds metrics.
        pub monitoring_endpoints: Vec<MonitoringEndpoint> = Vec::new(),
        /// What the gateway makes available to the public.
        pub public_endpoints: Vec<PublicEndpoint> = Vec::new(),
        /// Container images that make up the service; all run on each of its hosts.
        pub containers: Vec<Container> = Vec::new(),
        /// The port on which instances answer; default: that of the first public endpoint, else of the first container with one.
        pub port: Option<At<Port>> = None,
        /// How to tell whether an instance works; default: systemd says that its units run.
        pub health: Option<At<Health>> = None,
        /// How many instances may restart at a time: a number, or 'all'.
        pub rolling: Instances = Instances::Limited(1),
    }
}

record! {
    /// A set of X.509 credentials: a client and a server certificate.
    pub struct Credential {
        /// Name of the set and of its directory below /etc/credentials/x509.
        pub name: At<CredentialName>,
        /// Whether to make a client certificate.
        pub enable_client: bool = true,
        /// Usage of the client certificate.
        pub client_cert_mode: CertMode = CertMode::Client,
        /// Whether to make a server certificate.
        pub enable_server: bool = true,
        /// Usage of the server certificate.
        pub server_cert_mode: CertMode = CertMode::Server,
        /// Further DNS names of the server certificate; the internal domain is appended to each.
        pub extra_san: Vec<At<SanName>> = Vec::new(),
    }
}

record! {
    /// A port that exports metrics at /metrics.
    pub struct MonitoringEndpoint {
        /// Job name in Prometheus; default: the name of the service.
        pub job_name: Option<Line> = None,
        /// How Prometheus finds the instances.
        pub r#type: Discovery = Discovery::Static,
        /// The port.
        pub port: At<Port>,
        /// The protocol.
        pub scheme: Scheme = Scheme::Https,
    }
}

record! {
    /// A port that the gateway publishes as `https://<name>.<domain_public>/`.
    pub struct PublicEndpoint {
        /// Public name; default: the name of the service.
        pub name: Option<At<DnsName>> = None,
        /// How the gateway finds the instances.
        pub r#type: Discovery = Discovery::Static,
        /// The port of the service.
        pub port: At<Port>,
        /// The protocol between the gateway and the service.
        pub scheme: Scheme = Scheme::Https,
    }
}

impl Service {
    /// Fills in the defaults that derive from the service's name.
    pub fn complete(&mut self, name: &str, position: &Position, mistakes: &mut Diagnostics) {
        for endpoint in &mut self.monitoring_endpoints {
            endpoint.job_name.get_or_insert_with(|| Line(name.into()));
        }
        for endpoint in &mut self.public_endpoints {
            let default = || At { value: DnsName(name.into()), position: position.clone() };
            endpoint.name.get_or_insert_with(default);
        }
        if self.port.is_none() {
            let public = self.public_endpoints.iter().map(|it| &it.port);
            self.port =
                public.chain(self.containers.iter().filter_map(|it| it.port.as_ref())).next().cloned();
        }
        self.complete_health(name, mistakes);
        if self.user.is_none() && !UserName::accepts(name) {
            let message =
                format!("service '{name}': the name is too long for a system user (31); give a 'user'");
            mistakes.push(position.mistake(message));
        }
        self.user.get_or_insert_with(|| UserName(name.into()));
    }

    /// A check asks the port of its service or container, by the protocol that the gateway speaks there.
    fn complete_health(&mut self, name: &str, mistakes: &mut Diagnostics) {
        let Self { containers, public_endpoints, monitoring_endpoints, health, port, .. } = self;
        let scheme = |port: Port| {
            let public = public_endpoints.iter().map(|it| (it.port.value, it.scheme));
            let mut all = public.chain(monitoring_endpoints.iter().map(|it| (it.port.value, it.scheme)));
            all.find(|(of, _)| *of == port).map_or(Scheme::Https, |(_, scheme)| scheme)
        };
        for container in containers {
            let what = format!("container '{}' of service '{name}'", &*container.name.value);
            if let Some(health) = &mut container.health {
                health.value.complete(&what, container.port.as_ref(), &scheme, &health.position, mistakes);
            }
        }
        if let Some(health) = health {
            let what = format!("service '{name}'");
            health.value.complete(&what, port.as_ref(), &scheme, &health.position, mistakes);
        }
    }

    /// Whether a role of this project sets it up among the others of the cluster itself.
    pub fn is_built_in(&self) -> bool {
        matches!(self.role.as_deref(), Some("core" | "common"))
    }

    /// The host groups it may run on; none: all hosts.
    pub fn groups(&self) -> impl Iterator<Item = &At<GroupName>> {
        self.scheduling_group.iter().chain(&self.scheduling_groups)
    }
}
