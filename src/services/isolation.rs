//! What undoes the isolation of a container: allowed, and never silently.

use super::container::Container;
use super::load::Services;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::Position;

/// Capabilities that docker leaves to every container: what they allow stays inside.
const ORDINARY: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A warning for each way out of a container that an enabled service asks for.
pub fn isolation(services: &Services) -> Diagnostics {
    let enabled = services.services.iter().filter(|(_, it)| it.service.enabled);
    let containers = enabled.flat_map(|(name, it)| it.service.containers.iter().map(move |one| (name, one)));
    containers.flat_map(|(service, container)| warnings(service, container)).collect()
}

fn warnings(service: &str, container: &Container) -> Vec<Diagnostic> {
    let name = &*container.name.value;
    let about = |at: &Position, what: &str| {
        at.mistake(format!("container '{name}' of service '{service}' is not isolated from its host: {what}"))
    };
    let mut found = Vec::new();
    for it in container.capabilities.iter().filter(|it| !is_ordinary(&it.value)) {
        found.push(about(&it.position, &format!("it keeps the capability {}", &*it.value)));
    }
    if let Some(user) = container.user.as_ref().filter(|it| it.value.split(':').any(|it| it == "0")) {
        found.push(about(&user.position, "it runs as root, or in root's group, which is the host's root"));
    }
    for source in container.volumes.value.0.keys().filter(|it| !is_own(service, it)) {
        found
            .push(about(&container.volumes.position, &format!("'{source}' is not below /var/lib/{service}")));
    }
    let options = &container.docker_options;
    found.extend(ways_out(service, &options.value.0).iter().map(|it| about(&options.position, it)));
    found
}

fn is_ordinary(capability: &str) -> bool {
    ORDINARY.contains(&capability.strip_prefix("CAP_").unwrap_or(capability))
}

/// Whether a mounted path is the service's own. What climbs out of it is not.
fn is_own(service: &str, source: &str) -> bool {
    let below = source.strip_prefix("/var/lib/").and_then(|it| it.strip_prefix(service));
    source == "tmpfs"
        || below
            .is_some_and(|it| (it.is_empty() || it.starts_with('/')) && !it.split('/').any(|it| it == ".."))
}

/// What options of `podman run` and `docker run` open.
fn ways_out(service: &str, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).map_or("", String::as_str);
        let (option, value) = word.split_once('=').unwrap_or((word, next));
        let is_open = match option {
            "--privileged" => word != "--privileged=false",
            "--cap-add" => !value.split(',').all(|it| is_ordinary(&it.to_uppercase())),
            "--pid" | "--ipc" | "--uts" | "--cgroupns" | "--userns" => {
                value == "host" || value.starts_with("ns:")
            }
            "--device" | "--gpus" | "--rootfs" | "--cgroup-parent" | "--group-add" => true,
            "--security-opt" => !value.starts_with("no-new-privileges"),
            "-v" | "--volume" => !is_own(service, value.split(':').next().unwrap_or_default()),
            "--mount" => value.contains("type=bind") || !value.contains("type="),
            "-u" | "--user" => value.split(':').any(|it| matches!(it, "0" | "root")),
            _ => short(option).is_some_and(|it| !is_own(service, it.split(':').next().unwrap_or_default())),
        };
        if is_open {
            let shown = if word.contains('=') || value.starts_with('-') || option == "--privileged" {
                option.to_owned()
            } else {
                format!("{option} {value}")
            };
            found.push(format!("docker_options has '{}'", if word.contains('=') { word } else { &shown }));
        }
    }
    found
}

/// The path in `-v/path:/path`, written in one word.
fn short(word: &str) -> Option<&str> {
    word.strip_prefix("-v").filter(|it| it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_open_a_container_are_known() {
        let ways = |text: &str| ways_out("web", &text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for open in [
            "--privileged",
            "--privileged=true",
            "--cap-add SYS_ADMIN",
            "--cap-add=chown,net_admin",
            "--pid=host",
            "--ipc host",
            "--device /dev/kvm",
            "--security-opt seccomp=unconfined",
            "-v /:/host",
            "-v/:/host",
            "--volume=/etc:/etc:ro",
            "--volume /var/lib/web-2:/x",
            "-v /var/lib/web/../other:/x",
            "--mount type=bind,source=/,target=/x",
            "--user=root",
        ] {
            assert_eq!(ways(open).len(), 1, "{open}");
        }
        for shut in [
            "--privileged=false",
            "--cap-add NET_BIND_SERVICE",
            "--cap-add=CAP_CHOWN",
            "--env A=b",
            "--pid=private",
            "-v /var/lib/web/data:/data",
            "--security-opt=no-new-privileges",
            "--mount type=tmpfs,target=/x",
            "--user 7",
        ] {
            assert_eq!(ways(shut), Vec::<String>::new(), "{shut}");
        }
    }
}
