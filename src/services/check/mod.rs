//! What no attribute alone can tell: names that collide, references that lead nowhere.

mod containers;

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::services::attribute::At;
use crate::services::load::{Defined, Services};
use crate::services::published::variables;
use crate::services::text::ServiceName;
use crate::text::nearest;
use crate::yaml::Position;

/// Every contradiction between services.
pub fn check(services: &Services) -> Diagnostics {
    let mut check = Check { services, mistakes: Diagnostics::new() };
    check.variables();
    check.unique("credentials", |defined| {
        defined
            .service
            .service_credentials
            .iter()
            .map(|credential| (&*credential.name.value.0, &credential.name.position))
            .collect()
    });
    check.unique("public endpoint", |defined| {
        let names = defined.service.public_endpoints.iter().filter_map(|endpoint| endpoint.name.as_ref());
        names.map(|name| (&*name.value.0, &name.position)).collect()
    });
    containers::check(services, &mut check.mistakes);
    for (name, defined) in &services.services {
        check.master(name, defined);
        check.references(name, defined);
        check.company(name, defined);
    }
    check.mistakes
}

struct Check<'a> {
    services: &'a Services,
    mistakes: Diagnostics,
}

impl<'a> Check<'a> {
    /// `foo-bar` and `foo_bar` are two services, but one variable.
    fn variables(&mut self) {
        let mut owners: BTreeMap<String, (&str, &Defined)> = BTreeMap::new();
        for (name, defined) in &self.services.services {
            for variable in variables(name, &defined.service) {
                if let Some((other, at)) = owners.insert(variable.clone(), (name, defined)) {
                    let message = format!(
                        "service '{name}' and service '{other}' ({}) both publish the variable '{variable}'; rename one",
                        at.position
                    );
                    self.mistakes.push(defined.position.mistake(message));
                }
            }
        }
    }

    fn unique(&mut self, what: &str, names: impl Fn(&'a Defined) -> Vec<(&'a str, &'a Position)>) {
        let mut owners: BTreeMap<&str, (&str, &Position)> = BTreeMap::new();
        for (owner, defined) in &self.services.services {
            for (name, position) in names(defined) {
                if let Some((other, first)) = owners.insert(name, (owner, position)) {
                    let message = format!(
                        "{what} '{name}' of service '{owner}' is already defined by service '{other}' ({first})"
                    );
                    self.mistakes.push(position.mistake(message));
                }
            }
        }
    }

    /// DNS has `<service>-master` for the master.
    fn master(&mut self, name: &str, defined: &Defined) {
        let full = format!("{name}-master");
        let other = self.services.services.get(&full).filter(|_| defined.service.master_election);
        if let Some(other) = other {
            let message = format!(
                "service '{full}' has the name that DNS has for the master of service '{name}' ({}); rename one",
                defined.position
            );
            self.mistakes.push(other.position.mistake(message));
        }
    }

    fn references(&mut self, name: &str, defined: &Defined) {
        let service = &defined.service;
        for other in &service.avoid {
            self.reference(name, "avoid", other);
        }
        // A service may call itself: from one instance to the other.
        for other in service.clients.iter().filter(|other| *other.value != *name) {
            self.reference(name, "clients", other);
        }
        if let Some(other) = &service.schedule_with {
            self.reference(name, "schedule_with", other);
            let leader = self.services.services.get(&*other.value);
            if service.enabled && leader.is_some_and(|leader| !leader.service.enabled) {
                let message =
                    format!("schedule_with of service '{name}' names '{}', which is disabled", &*other.value);
                self.mistakes.push(other.position.mistake(message));
            }
            if service.avoid.iter().any(|avoided| avoided.value == other.value) {
                let message =
                    format!("service '{name}' both follows (schedule_with) and avoids '{}'", &*other.value);
                self.mistakes.push(other.position.mistake(message));
            }
        }
    }

    fn reference(&mut self, name: &str, attribute: &str, other: &At<ServiceName>) {
        let wrong = if *other.value == *name {
            "the service itself".into()
        } else if self.services.services.contains_key(&*other.value.0) {
            return;
        } else {
            let meant = nearest(&other.value, self.services.services.keys().map(String::as_str));
            let advice = meant.map_or(String::new(), |meant| format!("; did you mean '{meant}'?"));
            format!("'{}', which is not defined{advice}", &*other.value)
        };
        self.mistakes.push(other.position.mistake(format!("{attribute} of service '{name}' names {wrong}")));
    }

    /// A circle of `schedule_with`, reported once, at its first name.
    fn company(&mut self, name: &'a str, defined: &'a Defined) {
        let mut circle = vec![name];
        let mut next = defined.service.schedule_with.as_ref();
        while let Some(At { value, .. }) = next {
            if **value == *name {
                if circle.len() > 1 && circle.iter().all(|member| *member >= name) {
                    let message = format!("schedule_with goes in a circle: {} → {name}", circle.join(" → "));
                    self.mistakes.push(defined.position.mistake(message));
                }
                return;
            }
            if circle.contains(&&**value) {
                return;
            }
            circle.push(value);
            next =
                self.services.services.get(&**value).and_then(|other| other.service.schedule_with.as_ref());
        }
    }
}
