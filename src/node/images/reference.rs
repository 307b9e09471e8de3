//! Names of images as people write them, and what they mean: `redis` is `docker.io/library/redis:latest`.

use std::fmt;

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) registry: String,
    pub(super) repository: String,
    /// Empty where a digest says it all.
    tag: String,
    /// `sha256:…`, or empty.
    pub(super) digest: String,
}

/// What a name without a registry means.
const DOCKER: &str = "docker.io";

impl Reference {
    /// What `name` means, as docker reads it.
    pub(super) fn parse(name: &str) -> Self {
        let (name, digest) = name.split_once('@').unwrap_or((name, ""));
        let is_registry = |it: &str| it == "localhost" || it.contains(['.', ':']);
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (DOCKER, name),
        };
        // docker's own names of itself.
        let registry = if registry == "index.docker.io" { DOCKER } else { registry };
        let (repository, tag) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        let library = if registry == DOCKER && !repository.contains('/') { "library/" } else { "" };
        Self {
            registry: registry.into(),
            repository: format!("{library}{repository}"),
            tag: tag.into(),
            digest: digest.into(),
        }
    }

    /// The same image elsewhere.
    pub(super) fn of_registry(&self, registry: &str) -> Self {
        Self { registry: registry.trim_end_matches('/').into(), ..self.clone() }
    }

    /// Whether a mirror of docker.io has it.
    pub(super) fn is_mirrored(&self) -> bool {
        self.registry == DOCKER
    }

    /// Whether it never leaves its host, as what `podman import` makes.
    pub(super) fn is_local(&self) -> bool {
        self.registry == "localhost"
    }

    /// What a registry is asked for: the digest, where there is one, for a tag may move.
    pub(super) fn version(&self) -> &str {
        if self.digest.is_empty() { &self.tag } else { &self.digest }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if self.digest.is_empty() {
            return write!(formatter, ":{}", self.tag);
        }
        write!(formatter, "@{}", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_docker_means_by_them() {
        for (name, full) in [
            ("redis", "docker.io/library/redis:latest"),
            ("redis:7", "docker.io/library/redis:7"),
            ("me/app", "docker.io/me/app:latest"),
            ("index.docker.io/me/app:1", "docker.io/me/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("registry.example.com/a/b:2", "registry.example.com/a/b:2"),
            ("10.0.0.1:5000/app", "10.0.0.1:5000/app:latest"),
            ("redis@sha256:ab", "docker.io/library/redis@sha256:ab"),
            ("redis:7@sha256:ab", "docker.io/library/redis@sha256:ab"),
        ] {
            let reference = Reference::parse(name);
            assert_eq!(reference.to_string(), full, "{name}");
            assert_eq!(Reference::parse(full), Reference::parse(&reference.to_string()), "{name}");
        }
        let mirrored = Reference::parse("redis:7").of_registry("10.0.0.2:5000/hub/");
        assert_eq!(mirrored.to_string(), "10.0.0.2:5000/hub/library/redis:7");
    }
}
