//! podman or docker: which images it has, and telling it what to do with them.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::reference::Reference;

/// The program.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::node) struct Engine(pub(super) String);

/// An image that it has.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Digest of its configuration, in hexadecimal.
    pub(super) id: String,
    /// Its tags, written out.
    pub(super) names: Vec<String>,
    /// What registries call it: digests of manifests.
    pub(super) digests: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InUse {
    image: String,
}

impl Engine {
    /// Whether it is installed here.
    pub(super) fn is_there(&self) -> bool {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|it| it.join(&self.0).exists())
    }

    /// All of its images.
    pub(super) fn images(&self) -> Result<Vec<Stored>> {
        let inspected: Vec<Inspected> = self.inspect("image", &["image", "ls", "--quiet", "--no-trunc"])?;
        let full = |name: &String| Reference::parse(name).to_string();
        let digest = |name: &String| name.split_once('@').map(|(_, digest)| digest.to_owned());
        let stored = |it: Inspected| Stored {
            id: hexadecimal(&it.id).to_owned(),
            names: it.repo_tags.iter().flatten().map(full).collect(),
            digests: it.repo_digests.iter().flatten().filter_map(digest).collect(),
        };
        Ok(inspected.into_iter().map(stored).collect())
    }

    /// Ids of the images of which there are containers, running or not.
    pub(super) fn in_use(&self) -> Result<BTreeSet<String>> {
        let containers: Vec<InUse> = self.inspect("container", &["ps", "--all", "--quiet", "--no-trunc"])?;
        Ok(containers.into_iter().map(|it| hexadecimal(&it.image).to_owned()).collect())
    }

    fn inspect<T: for<'a> Deserialize<'a>>(&self, kind: &str, list: &[&str]) -> Result<Vec<T>> {
        let listed = self.run(list)?;
        let ids: BTreeSet<_> = listed.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.into_iter().collect();
        let text = self.run(&[&[kind, "inspect"], ids.as_slice()].concat())?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} {kind} inspect does not answer with JSON", self.0))
    }

    /// Gets an image from a registry, without TLS if that is `plain`.
    pub(super) fn pull(&self, reference: &Reference, plain: bool) -> Result<()> {
        let name = reference.to_string();
        let insecure: &[&str] = if plain && self.0 == "podman" { &["--tls-verify=false"] } else { &[] };
        self.run(&[&["pull", "--quiet"], insecure, &[&name]].concat()).map(drop)
    }

    /// Gives an image a further name.
    pub(super) fn tag(&self, from: &Reference, to: &Reference) -> Result<()> {
        self.run(&["tag", &from.to_string(), &to.to_string()]).map(drop)
    }

    /// Takes a name away again. The image stays, for it has another one.
    pub(super) fn untag(&self, name: &Reference) -> Result<()> {
        let verb: &[&str] = if self.0 == "podman" { &["untag"] } else { &["rmi", "--no-prune"] };
        let name = name.to_string();
        let both = [name.as_str(), name.as_str()];
        let names = if self.0 == "podman" { &both[..] } else { &both[..1] };
        self.run(&[verb, names].concat()).map(drop)
    }

    /// Reads an archive.
    pub(super) fn load(&self, path: &Path) -> Result<()> {
        self.run(&["load", "--quiet", "--input", &path.display().to_string()]).map(drop)
    }

    /// Removes an image with all its names, unless a container of it is left, and says whether it is gone.
    pub(in crate::node) fn remove(&self, id: &str) -> Result<bool> {
        if self.in_use()?.contains(id) {
            return Ok(false);
        }
        if self.images()?.iter().any(|it| it.id == id) {
            self.run(&["rmi", "--force", id])?;
        }
        Ok(true)
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let what = || format!("{} {}", self.0, arguments.join(" "));
        let output = Command::new(&self.0).args(arguments).env("LC_ALL", "C.UTF-8").output();
        let output = output.with_context(|| format!("cannot run {}", what()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed: {}", what(), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// docker writes `sha256:` before it.
fn hexadecimal(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// How the ledger writes an image, and back.
pub(in crate::node) fn recorded(engine: &str, id: &str) -> String {
    format!("{engine} {id}")
}

/// Removes an image as the ledger has it; one of an engine that is gone is gone, too.
pub(in crate::node) fn remove_recorded(image: &str) -> Result<bool> {
    let Some((engine, id)) = image.split_once(' ') else { return Ok(true) };
    let engine = Engine(engine.to_owned());
    if engine.is_there() { engine.remove(id) } else { Ok(true) }
}
