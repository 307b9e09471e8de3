//! Ports: no two services of one host can listen on the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostics;
use crate::inventory::Hosts;
use crate::placement::{Demands, HostId, Placement};
use crate::services::{Defined, Services};
use crate::yaml::Position;

/// Ports of the cluster's own services that their metadata do not tell: between etcd's members, between
/// Alertmanagers, and those on the loopback behind a front. The wildcard address clashes with these, too.
const FURTHER: [(&str, u16); 6] = [
    ("alertmanager", 9094),
    ("alertmanager", 19093),
    ("alertmanager", 19094),
    ("etcd", 2380),
    ("node-exporter", 19100),
    ("prometheus", 19090),
];

/// Every port that two services of one host share, once for each two.
pub(super) fn clashes(
    hosts: &Hosts,
    services: &Services,
    demands: &Demands,
    placement: &Placement,
) -> Diagnostics {
    let mut taken: BTreeMap<(HostId, u16), (&str, Position)> = BTreeMap::new();
    let (mut seen, mut mistakes) = (BTreeSet::new(), Diagnostics::new());
    for (demand, assignment) in demands.0.iter().zip(&placement.assignments) {
        let Some(defined) = services.services.get(&demand.name) else { continue };
        for (port, position) in ports(&demand.name, defined) {
            for &host in &assignment.hosts {
                let Some((other, at)) = taken.get(&(host, port)) else {
                    taken.insert((host, port), (&demand.name, position.clone()));
                    continue;
                };
                if *other == demand.name || !seen.insert((*other, &demand.name, port)) {
                    continue;
                }
                // The operator can change only what stands in a file of their own.
                let ours = crate::host_name::SERVICES.contains(&demand.name.as_str());
                let (here, name, other, at) = if ours {
                    (at, *other, &*demand.name, &position)
                } else {
                    (&position, &*demand.name, *other, at)
                };
                mistakes.push(here.mistake(format!(
                    "service '{name}' has port {port} on host '{}', where service '{other}' ({at}) has it; give one \
                     another port, or keep them apart with 'avoid'",
                    hosts.host(host).name
                )));
            }
        }
    }
    mistakes
}

/// The ports that a service listens on, and where each is said.
fn ports(name: &str, defined: &Defined) -> Vec<(u16, Position)> {
    let service = &defined.service;
    let monitoring = service.monitoring_endpoints.iter().map(|it| &it.port);
    let public = service.public_endpoints.iter().map(|it| &it.port);
    let containers = service.containers.iter().filter_map(|it| it.port.as_ref());
    let said = monitoring.chain(public).chain(containers).map(|it| (it.value.0, it.position.clone()));
    let further =
        FURTHER.iter().filter(|(of, _)| *of == name).map(|(_, port)| (*port, defined.position.clone()));
    said.chain(further).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::FURTHER;

    #[test]
    fn ports_behind_the_fronts_are_known() {
        let roles = Path::new(env!("CARGO_MANIFEST_DIR")).join("roles");
        let files =
            ["alertmanager/tasks/main.yml", "common/tasks/node_exporter.yml", "prometheus/tasks/main.yml"];
        for file in files {
            let text = fs::read_to_string(roles.join(file)).unwrap();
            let service =
                text.split("service_setup_service: ").nth(1).unwrap().split_whitespace().next().unwrap();
            let mut seen = 0;
            for rest in text.split("backend: ").skip(1) {
                let port = rest.split(|it: char| !it.is_ascii_digit()).next().unwrap().parse().unwrap();
                assert!(FURTHER.contains(&(service, port)), "{file}: {port} of {service}");
                seen += 1;
            }
            assert!(seen > 0, "{file} has a front");
        }
    }
}
