//! What a host may be called: names that Ansible, DNS and X.509 take, and that tell it from every other host,
//! group and service.

use std::net::IpAddr;

/// X.509 allows no longer common name (RFC 5280, ub-common-name).
pub const COMMON_NAME: usize = 64;
/// Services that are part of every cluster; a test compares them with their metadata.
pub const SERVICES: [&str; 5] = ["alertmanager", "discovery", "etcd", "node-exporter", "prometheus"];
/// The longest name of a host that runs any of them: certificates are for `<service>@<host>`.
pub const LONGEST: usize = COMMON_NAME - "node-exporter@".len();
/// Groups that a cluster has which came into being by itself.
const GROUPS: [&str; 4] = ["all", "core", "ungrouped", "workers"];

/// Why no host can have this name; whether it is too long depends on the services that it runs.
pub fn refusal(name: &str) -> Option<String> {
    let label = |label: &str| {
        let known = |it: u8| it.is_ascii_alphanumeric() || b"-_".contains(&it);
        let ends = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && !ends && label.bytes().all(known)
    };
    let is_name = is_address(name) || name.len() <= 253 && name.split('.').all(label);
    (!is_name).then(|| {
        format!(
            "'{}' is no name of a host: expected letters, digits and dashes, in parts of at most 63 with dots between",
            name.escape_debug()
        )
    })
}

/// Why a machine of this name cannot become a member of a cluster, all of whose services it may run.
pub fn refusal_of_member(name: &str) -> Option<String> {
    let short = short(name);
    let taken = |taken: &&&str| short.as_deref() == Some(**taken);
    refusal(name).or_else(|| {
        if let Some(service) = SERVICES.iter().find(taken) {
            return Some(format!("'{name}' is the name of a service of every cluster ({service}); give the machine another"));
        }
        if let Some(group) = GROUPS.iter().find(taken) {
            return Some(format!("'{name}' is the name of a group of hosts ({group}); give the machine another"));
        }
        (name.len() > LONGEST).then(|| {
            format!("'{name}' has {} characters; certificates have room for {LONGEST}: give the machine a shorter name", name.len())
        })
    })
}

/// The part before the first dot, by which other hosts know it; none where the name is an address.
pub fn short(name: &str) -> Option<String> {
    if is_address(name) {
        return None;
    }
    Some(name.split('.').next().unwrap_or(name).to_ascii_lowercase())
}

/// Whether certificates of one host would be good for the other.
pub fn alike(one: &str, other: &str) -> bool {
    match (short(one), short(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}

fn is_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name);
    inner.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_a_name_that_every_later_step_takes() {
        for good in ["host1", "Na", "na.example.com", "db-2", &"h".repeat(50), "10.0.0.1"] {
            assert_eq!(refusal_of_member(good), None, "{good}");
        }
        for (bad, expected) in [
            ("", "no name"),
            ("a b", "no name"),
            ("we!rd", "no name"),
            ("-a", "no name"),
            ("a..b", "no name"),
            ("a\nb", "no name"),
            ("etcd", "service of every cluster"),
            ("ETCD", "service of every cluster"),
            ("etcd.example.com", "service of every cluster"),
            ("all", "group of hosts"),
            ("core", "group of hosts"),
            ("h".repeat(51).as_str(), "room for 50"),
        ] {
            assert!(refusal_of_member(bad).is_some_and(|it| it.contains(expected)), "{bad}");
        }
    }

    #[test]
    fn the_services_of_every_cluster_are_these() {
        let services = crate::services::Services::checked(None).expect("they are free of mistakes").services;
        assert_eq!(services.keys().collect::<Vec<_>>(), SERVICES.iter().collect::<Vec<_>>());
        let longest = SERVICES.iter().map(|it| it.len()).max();
        assert_eq!(longest.map(|it| COMMON_NAME - it - 1), Some(LONGEST));
    }

    #[test]
    fn names_that_certificates_cannot_tell_apart_are_alike() {
        for (one, other) in
            [("Na", "na"), ("na.example.com", "na.example.org"), ("na", "NA.example.com"), ("::A", "::a")]
        {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in [("na", "nb"), ("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10")] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }
}
