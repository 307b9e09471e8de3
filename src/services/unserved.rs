//! What services.yml asks for and no role does: nobody should wait for it in vain.

use std::path::PathBuf;

use super::load::{Defined, Services};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A warning for each enabled service that asks for what nothing here does.
#[must_use]
pub fn unserved(services: &Services) -> Diagnostics {
    let enabled = services.services.iter().filter(|(_, defined)| defined.service.enabled);
    enabled
        .flat_map(|(name, defined)| [containers(name, defined), endpoints(name, defined)])
        .flatten()
        .collect()
}

/// A warning for each enabled service whose role is in none of the directories where Ansible looks for roles. A role
/// that the service names must exist anyway: Ansible fails without it.
#[must_use]
pub fn without_role(services: &Services, directories: &[PathBuf]) -> Diagnostics {
    if directories.is_empty() {
        return Vec::new();
    }
    let there = |name: &str| directories.iter().any(|it| it.join(name).is_dir());
    let looked: Vec<_> = directories.iter().map(|it| it.display().to_string()).collect();
    let of_its_name =
        services.services.iter().filter(|(_, it)| it.service.enabled && it.service.role.is_none());
    let missing = of_its_name.filter(|(name, _)| !there(name) && !there(&format!("{name}-global")));
    let warning = |(name, defined): (&String, &Defined)| {
        defined.position.mistake(format!(
            "service '{name}' has no role: nothing sets it up. Ansible looked for '{name}' and '{name}-global' in {}",
            looked.join(", ")
        ))
    };
    missing.map(warning).collect()
}

/// The services of the operator's own whose servers accept every certificate of the cluster.
#[must_use]
pub fn open_to_all(services: &Services) -> Vec<&str> {
    let own = services.services.iter().filter(|(_, it)| it.service.enabled && !it.service.is_built_in());
    let serves =
        |(_, it): &(&String, &Defined)| it.service.service_credentials.iter().any(|one| one.enable_server);
    own.filter(serves).filter(|(_, it)| it.service.clients.is_empty()).map(|(name, _)| &**name).collect()
}

fn containers(name: &str, defined: &Defined) -> Option<Diagnostic> {
    let first = defined.service.containers.first()?;
    let message = format!(
        "service '{name}' has containers, which no role of minicluster runs yet; only a role of your own starts them"
    );
    Some(first.name.position.mistake(message))
}

fn endpoints(name: &str, defined: &Defined) -> Option<Diagnostic> {
    let first = defined.service.public_endpoints.first()?.name.as_ref()?;
    let message = format!(
        "service '{name}' has public_endpoints, which no role of minicluster publishes yet; only a gateway of your \
         own makes them reachable"
    );
    Some(first.position.mistake(message))
}
