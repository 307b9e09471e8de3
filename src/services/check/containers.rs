//! Containers against each other and against services: names of units and of DNS, and ports, that two would share.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::services::container::Container;
use crate::services::load::{Defined, Services};

/// Names that mean something else behind a service's: the unit of its front, and the master in DNS.
const TAKEN: [&str; 2] = ["front", "master"];
/// The longest DNS label (RFC 1035, section 2.3.4).
const LABEL: usize = 63;

/// Every contradiction.
pub(super) fn check(services: &Services, mistakes: &mut Diagnostics) {
    let mut owners: BTreeMap<String, (String, &Defined)> = BTreeMap::new();
    for (name, defined) in &services.services {
        owners.insert(name.clone(), (format!("service '{name}'"), defined));
        for unit in defined.service.units.iter().filter_map(|it| it.strip_suffix(".service")) {
            owners.entry(unit.to_owned()).or_insert((format!("a unit of service '{name}'"), defined));
        }
    }
    for (service, defined) in &services.services {
        within(service, &defined.service.containers, mistakes);
        for (index, container) in defined.service.containers.iter().enumerate() {
            let name = &*container.name.value;
            if defined.service.containers[..index].iter().any(|it| it.name.value == container.name.value) {
                let message = format!("service '{service}' has two containers called '{name}'; rename one");
                mistakes.push(container.name.position.mistake(message));
                continue;
            }
            let full = format!("{service}-{name}");
            let what = format!("container '{name}' of service '{service}'");
            match owners.get(&full) {
                Some((other, at)) => mistakes.push(container.name.position.mistake(format!(
                    "{what} is called '{full}' on its host and in DNS, as is {other} ({}); rename one",
                    at.position
                ))),
                None => drop(owners.insert(full, (what, defined))),
            }
        }
    }
}

/// What is wrong among the containers of one service.
fn within(service: &str, containers: &[Container], mistakes: &mut Diagnostics) {
    for (index, container) in containers.iter().enumerate() {
        let (name, earlier) = (&*container.name.value, &containers[..index]);
        let mut mistake = |message: String| mistakes.push(container.name.position.mistake(message));
        if TAKEN.contains(&name) {
            mistake(format!(
                "'{service}-{name}' means something else; give the container another name than '{name}'"
            ));
        }
        let length = service.len() + 1 + name.len();
        if length > LABEL {
            mistake(format!(
                "'{service}-{name}' has {length} characters, and a DNS label at most {LABEL}; shorten the name of the container"
            ));
        }
        let port = container.port.as_ref();
        let shared = port
            .filter(|port| earlier.iter().filter_map(|it| it.port.as_ref()).any(|it| it.value == port.value));
        if let Some(port) = shared {
            mistakes.push(port.position.mistake(format!(
                "two containers of service '{service}' have port {}, and they share the host's network; give one another port",
                port.value.0
            )));
        }
    }
}
