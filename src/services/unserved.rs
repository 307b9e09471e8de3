//! Attributes that are read and published, but that no role acts on yet: nobody should wait for them in vain.

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
