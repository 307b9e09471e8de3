//! Containers of a service: what `services.yml` says of each, with the values that only they have.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::attribute::{At, Attribute, Place, refuse};
use super::health::Health;
use super::record::record;
use super::text::{
    Capability, ContainerName, ContainerUser, EnvironmentName, FilePath, ImageName, Memory, Processors,
    Source, Target, Word,
};
use super::value::{Port, Restart, Words};
use crate::diagnostic::Diagnostics;
use crate::yaml::{Entry, Node};

record! {
    /// A container that runs on each host of the service.
    pub struct Container {
        /// Name of the container, unique within the service; its unit is `<service>-<name>.service`.
        pub name: At<ContainerName>,
        /// The image to run; without a registry in its name it comes from docker.io.
        pub image: At<ImageName>,
        /// The port it serves, on the host's network interface.
        pub port: Option<At<Port>> = None,
        /// Additional options of the run command.
        pub docker_options: At<Words> = At::built_in(Words(Vec::new())),
        /// Arguments of the container's entry point.
        pub args: Words = Words(Vec::new()),
        /// Environment variables of the container.
        pub env: Environment = Environment(BTreeMap::new()),
        /// Paths of the host to mount: 'source: target'. Those below /var/lib/<service> are made, with the container's user as owner.
        pub volumes: At<Volumes> = At::built_in(Volumes(BTreeMap::new())),
        /// An OCI or docker archive beside this file, in place of a registry.
        pub image_archive: Option<At<FilePath>> = None,
        /// Limits of memory and processors; default: none.
        pub resources: Option<Resources> = None,
        /// The numeric user that runs it; default: the service's user.
        pub user: Option<At<ContainerUser>> = None,
        /// Linux capabilities that it keeps.
        pub capabilities: Vec<At<Capability>> = Vec::new(),
        /// Whether its root file system is read-only.
        pub read_only: bool = true,
        /// Paths in the container that are writable and in memory, with options such as `:size=64m` behind them.
        pub tmpfs: Vec<Target> = Vec::new(),
        /// When it is started again after it has ended.
        pub restart: Restart = Restart::Always,
        /// How to tell whether it works; default: its port accepts connections.
        pub health: Option<At<Health>> = None,
    }
}

record! {
    /// What a container may use at most.
    pub struct Resources {
        /// Memory, such as 512m or 2g; default: no limit.
        pub memory: Option<Memory> = None,
        /// Processors, such as 0.5; default: no limit.
        pub cpus: Option<Processors> = None,
    }
}

/// Environment variables by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment(pub BTreeMap<String, String>);

impl Attribute for Environment {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        pairs::<EnvironmentName, Word>(
            node,
            place,
            ["name", "value"],
            "a dictionary of 'NAME: value'",
            mistakes,
        )
        .map(Self)
    }

    fn schema() -> Json {
        dictionary::<EnvironmentName, Word>()
    }
}

/// Directories mounted into a container, by their path on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volumes(pub BTreeMap<String, String>);

impl Attribute for Volumes {
    fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
        let expected = "a dictionary of 'source: target' paths";
        pairs::<Source, Target>(node, place, ["source", "target"], expected, mistakes).map(Self)
    }

    fn schema() -> Json {
        dictionary::<Source, Target>()
    }
}

/// A dictionary whose keys and values are texts; `names` says what messages call them.
fn pairs<K, V>(
    node: &Node,
    place: &Place,
    names: [&str; 2],
    expected: &str,
    mistakes: &mut Diagnostics,
) -> Option<BTreeMap<String, String>>
where
    K: Attribute + std::ops::Deref<Target = str>,
    V: Attribute + std::ops::Deref<Target = str>,
{
    let Some(entries) = node.entries() else { return refuse(node, place, expected, mistakes) };
    let read = |Entry { key, value }: &Entry| {
        let key = K::read(key, &Place::Attribute(place, names[0]), mistakes);
        let value = V::read(value, &Place::Attribute(place, names[1]), mistakes);
        Some((key?.to_owned(), value?.to_owned()))
    };
    let read: Vec<_> = entries.iter().map(read).collect();
    read.into_iter().collect()
}

fn dictionary<K: Attribute, V: Attribute>() -> Json {
    json!({"type": "object", "propertyNames": K::schema(), "additionalProperties": V::schema()})
}
