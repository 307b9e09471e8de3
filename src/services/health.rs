//! Checks of health: how anyone can tell whether a service or a container works.

use super::attribute::At;
use super::record::record;
use super::text::UrlPath;
use super::value::{Port, Scheme, Seconds, Status, Words};
use crate::diagnostic::Diagnostics;
use crate::yaml::Position;

record! {
    /// A check of health: a command, or a request by HTTP.
    pub struct Health {
        /// A command that ends with 0 where all is well; a container's runs inside it. Or else `path`.
        pub command: Words = Words(Vec::new()),
        /// A path to request from `port` of localhost. Or else `command`.
        pub path: Option<UrlPath> = None,
        /// The port to ask; default: that of the container or service.
        pub port: Option<At<Port>> = None,
        /// The protocol to ask by; default: that of the endpoint with this port, else https.
        pub scheme: Option<Scheme> = None,
        /// The HTTP status of the answer; default: 200.
        pub expect: Option<Status> = None,
        /// Seconds between two checks.
        pub interval: Seconds = Seconds(5),
        /// Seconds within which the answer must be there.
        pub timeout: Seconds = Seconds(2),
    }
}

impl Health {
    /// Fills in what derives from `what` it checks, and reports what contradicts itself.
    pub(super) fn complete(
        &mut self,
        what: &str,
        port: Option<&At<Port>>,
        scheme: &dyn Fn(Port) -> Scheme,
        position: &Position,
        mistakes: &mut Diagnostics,
    ) {
        let mut mistake = |message: String| mistakes.push(position.mistake(message));
        if self.path.is_none() {
            if self.command.0.is_empty() {
                mistake(format!("health of {what} checks nothing; say 'path' (and 'port'), or 'command'"));
            } else if self.port.is_some() || self.scheme.is_some() || self.expect.is_some() {
                mistake(format!(
                    "health of {what} is a command, which must end with 0: remove port, scheme and expect, or say \
                     'path' instead of 'command'"
                ));
            }
            return;
        }
        if !self.command.0.is_empty() {
            mistake(format!("health of {what} has both 'command' and 'path'; remove one"));
        }
        if self.port.is_none() {
            self.port = port.cloned();
        }
        match &self.port {
            Some(port) => drop(self.scheme.get_or_insert_with(|| scheme(port.value))),
            None => mistake(format!("health of {what} has a path and no port; say 'port'")),
        }
        self.expect.get_or_insert(Status(200));
    }
}
