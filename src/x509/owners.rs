//! Whose a DNS name is: every service and every host has names that no other may be certified for.

use std::collections::HashMap;

use anyhow::Result;

use super::names::Host;

/// Who has a right to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner<'a> {
    /// All hosts that run the service.
    Service(&'a str),
    /// One host.
    Host(&'a str),
}

/// The names of all services and hosts of a cluster.
pub struct Owners<'a>(HashMap<String, Owner<'a>>);

impl<'a> Owners<'a> {
    /// A service has `<service>.<domain>`, a host its short name and its FQDN. Where these are one name, it is the
    /// service's: its clients ask for it. `localhost` is nobody's.
    pub fn new(
        domain: &str,
        services: impl IntoIterator<Item = &'a str>,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let domain = Host::domain(domain)?;
        let mut names = HashMap::new();
        for name in hosts {
            let host = Host::of(name, &domain);
            names.extend(host.short().into_iter().chain(host.fqdn()).map(|it| (it, Owner::Host(name))));
        }
        names.extend(services.into_iter().map(|it| (Host::in_domain(it, &domain), Owner::Service(it))));
        names.remove("localhost");
        Ok(Self(names))
    }

    /// To whom `name` belongs, or with an asterisk for its first label every name that it stands for,
    /// unless that is the host `host` or a service that `runs` there.
    pub fn other(&self, name: &str, host: &str, runs: impl Fn(&str) -> bool) -> Option<Owner<'a>> {
        let foreign = |owner: &Owner<'_>| match owner {
            Owner::Service(service) => !runs(service),
            Owner::Host(other) => *other != host,
        };
        let Some(parent) = name.strip_prefix("*.") else { return self.0.get(name).copied().filter(foreign) };
        let below = |(name, _): &(&String, _)| name.split_once('.').is_some_and(|(_, rest)| rest == parent);
        // The first of them, so that a message is the same in each run.
        self.0.iter().filter(below).map(|(_, owner)| *owner).filter(foreign).min()
    }
}
