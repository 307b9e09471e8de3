//! What services.yml asks for and no role does: nobody should wait for it in vain.

use std::path::PathBuf;

use super::load::{Defined, Services};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A warning for each enabled service that asks for what nothing here does.
pub fn unserved(services: &Services) -> Diagnostics {
    let enabled = services.services.iter().filter(|(_, defined)| defined.service.enabled);
    enabled.filter_map(|(name, defined)| endpoints(name, defined)).collect()
}

/// Every enabled service whose role is in none of the directories where Ansible looks for roles: nothing would set it
/// up. `role: none` says that nothing has to; containers need no role.
pub fn without_role(services: &Services, directories: &[PathBuf]) -> Diagnostics {
    if directories.is_empty() {
        return Vec::new();
    }
    let there = |name: &str| directories.iter().any(|it| it.join(name).is_dir());
    // Ansible looks beside a playbook, too.
    let beside = |name: &str| {
        directories.iter().filter_map(|it| it.parent()).any(|it| it.join(name).join("tasks").is_dir())
    };
    let looked: Vec<_> = directories.iter().map(|it| it.display().to_string()).collect();
    let looked = looked.join(", ");
    let enabled = services.services.iter().filter(|(_, it)| it.service.enabled);
    let mistake = |(name, defined): (&String, &Defined)| {
        let message = match defined.service.role.as_deref() {
            // A role of a collection is found by other ways.
            Some(role) if role == NO_ROLE || role.contains('.') || there(role) || beside(role) => {
                return None;
            }
            Some(role) => format!("service '{name}' names the role '{role}', which is not in {looked}"),
            None if there(name) || there(&format!("{name}-global")) => return None,
            None if !defined.service.containers.is_empty() => return None,
            None => format!(
                "service '{name}' has no role, so nothing would set it up: neither '{name}' nor '{name}-global' is in \
                 {looked}. Write one, or say `role: none`"
            ),
        };
        Some(defined.position.mistake(message))
    };
    let mut mistakes: Diagnostics = enabled.filter_map(mistake).collect();
    mistakes.sort();
    mistakes
}

/// The services of the operator's own whose servers accept every certificate of the cluster.
pub fn open_to_all(services: &Services) -> Vec<&str> {
    let own = services.services.iter().filter(|(_, it)| it.service.enabled && !it.service.is_built_in());
    let serves =
        |(_, it): &(&String, &Defined)| it.service.service_credentials.iter().any(|one| one.enable_server);
    own.filter(serves).filter(|(_, it)| it.service.clients.is_empty()).map(|(name, _)| &**name).collect()
}

/// The role of a service that needs none.
pub(super) const NO_ROLE: &str = "none";

fn endpoints(name: &str, defined: &Defined) -> Option<Diagnostic> {
    let first = defined.service.public_endpoints.first()?.name.as_ref()?;
    let message = format!(
        "service '{name}' has public_endpoints, which no role of minicluster publishes yet; only a gateway of your \
         own makes them reachable"
    );
    Some(first.position.mistake(message))
}
