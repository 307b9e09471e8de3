//! From `services.yml` and what ships in the binary to typed services, with every mistake reported.

use std::collections::BTreeMap;
use std::path::Path;

use super::attribute::{Attribute, Place};
use super::merge::{Gatherer, Reader, merge};
use super::service::Service;
use super::text::ServiceName;
use crate::diagnostic::Diagnostics;
use crate::system::files;
use crate::yaml::{Entry, Node, Position};

/// Metadata of the services that belong to the cluster itself.
const CORE: &str = include_str!("core.yml");

/// All services by name, disabled ones too.
#[derive(Debug, Default)]
pub struct Services {
    /// Metadata by name; where it has a mistake, the default stands in.
    pub services: BTreeMap<String, Defined>,
}

/// A service and where it is defined.
#[derive(Debug)]
pub struct Defined {
    /// Its metadata, defaults filled in.
    pub service: Service,
    /// Where its name stands.
    pub position: Position,
    /// Whether it was read without a mistake.
    pub sound: bool,
}

impl Services {
    /// Reads the file at `path`, if there is one, on top of the core services.
    ///
    /// Where something is wrong the default stands in, so that one run can report everything.
    pub fn read(path: Option<&Path>, reader: Reader) -> (Self, Diagnostics) {
        let mut gatherer = Gatherer::new(reader);
        let mut entries = gatherer.text("core.yml (built in)", CORE, Path::new("core.yml"), &mut Vec::new());
        if let Some(path) = path {
            let asked = Position::file(&path.display().to_string());
            let own = gatherer.file(path, &asked, &mut Vec::new());
            merge(&mut entries, own);
        }
        let mut services = Self::default();
        for entry in &entries {
            services.add(entry, &mut gatherer.mistakes);
        }
        (services, gatherer.mistakes)
    }

    /// The same, free of mistakes as far as that can be told without hosts.
    pub fn checked(path: Option<&Path>) -> Result<Self, Diagnostics> {
        let (services, mut mistakes) = Self::read(path, &|path| files::text(path));
        mistakes.extend(super::check(&services));
        mistakes.sort();
        mistakes.dedup();
        if mistakes.is_empty() { Ok(services) } else { Err(mistakes) }
    }

    fn add(&mut self, Entry { key, value }: &Entry, mistakes: &mut Diagnostics) {
        let name = match key.text() {
            Some(name) if ServiceName::accepts(name) => name,
            _ => {
                let message =
                    format!("a service is called {}: must be {}", key.description(), ServiceName::EXPECTED);
                mistakes.push(key.position.mistake(message));
                return;
            }
        };
        let before = mistakes.len();
        let empty = || Node { value: crate::yaml::Value::Mapping(Vec::new()), ..value.clone() };
        let place = Place::Service(name);
        // A service without attributes has all defaults; so has, for later checks, one that is no dictionary.
        let mut service = match value {
            null if null.is_null() => Service::read(&empty(), &place, mistakes),
            value => {
                Service::read(value, &place, mistakes).or_else(|| Service::read(&empty(), &place, mistakes))
            }
        };
        if let Some(service) = &mut service {
            service.complete(name, &key.position, mistakes);
        }
        let sound = mistakes.len() == before;
        let position = key.position.clone();
        self.services.extend(service.map(|service| (name.to_owned(), Defined { service, position, sound })));
    }
}
