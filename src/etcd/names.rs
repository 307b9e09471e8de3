//! Whether a host finds the others by the names in their URLs.

use std::{collections::BTreeSet, net::IpAddr, process::Command, thread};

/// Exit statuses of `timeout` and of `getent` for a name that nobody knows.
const UNKNOWN: [Option<i32>; 2] = [Some(124), Some(2)];

/// The host in a URL, without the brackets of an IPv6 address.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match rest.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((address, _)) => address,
        None => rest.rsplit_once(':').map_or(rest, |(host, _)| host),
    }
}

/// The names in `urls` that the system cannot resolve, within eight seconds. It is asked through `getent`: a static
/// program knows nothing of what `nsswitch.conf` names.
pub(super) fn unresolved<'a>(urls: impl Iterator<Item = &'a String>) -> Vec<String> {
    let names: BTreeSet<&str> =
        urls.map(|it| host_of(it)).filter(|it| it.parse::<IpAddr>().is_err()).collect();
    let is_unknown = |name: &str| {
        let asked = Command::new("timeout").args(["8", "getent", "ahosts", "--", name]).output();
        // Where nobody can be asked nothing is known against the name.
        asked.is_ok_and(|it| UNKNOWN.contains(&it.status.code()))
    };
    thread::scope(|scope| {
        let asked: Vec<_> = names.iter().map(|it| (it, scope.spawn(move || is_unknown(it)))).collect();
        let unknown =
            asked.into_iter().filter_map(|(name, it)| it.join().unwrap_or(false).then(|| (*name).to_owned()));
        unknown.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_asked_for_and_those_that_nobody_knows_are_told() {
        let hosts = ["https://10.0.0.1:2380", "https://[fd00::1]:2380", "http://localhost:2380"];
        assert_eq!(hosts.map(host_of), ["10.0.0.1", "fd00::1", "localhost"]);
        let urls =
            hosts.into_iter().chain(["https://nobody.invalid:2380"]).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(unresolved(urls.iter()), ["nobody.invalid"]);
    }
}
