//! Module `container_images`: the images of a host's containers are there before anything is stopped for them; those that no
//! container has any more go.

pub(super) mod engine;
mod reference;
mod registry;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use self::{
    engine::{Engine, Stored, recorded},
    reference::Reference,
};
use super::{Ledger, Records};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{fault, files},
    text::Diff,
};

crate::arguments! {
    /// The image of one container.
    #[derive(Clone)]
    pub struct Wanted {
        /// The service, as in services.yml.
        pub service: String => Argument::str().required(),
        /// The container's name.
        pub container: String => Argument::str().required(),
        /// The image, as services.yml names it.
        pub image: String => Argument::str().required(),
        /// The id of an image that an archive holds; then no registry is asked.
        pub id: String => Argument::str().default(""),
    }
}

crate::arguments! {
    /// Options of `container_images`.
    pub struct Params {
        /// What runs containers.
        pub engine: String => Argument::str().choices(&["podman", "docker"]).default("podman"),
        /// The images that must be there.
        pub images: Vec<Wanted> => Argument::list(Argument::options::<Wanted>()).default(json!([])),
        /// Whether they must be there, or others of the same services go.
        pub state: String => Argument::str().choices(&["present", "only"]).default("present"),
        /// Whether to load archives that lie in `directory`, as `<id>.tar`; otherwise those that are needed are returned.
        pub load: bool => Argument::bool().default(false),
        /// A registry that has the images of docker.io, and is asked in its place. With `http://` before it, without TLS.
        pub mirror: String => Argument::str().default(""),
        /// Where archives are put.
        pub directory: PathBuf => Argument::path().default("/var/lib/minicluster/images"),
        /// Directory of the host's ledger.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
    }
}

/// The module.
pub struct ContainerImages;

/// What is to be done.
pub struct Plan {
    engine: Engine,
    mirror: String,
    directory: PathBuf,
    ledger: PathBuf,
    images: Vec<(Wanted, Step)>,
    /// By service: images that the ledger has, and no container of the service.
    unused: BTreeMap<String, Vec<String>>,
    removes: bool,
    warnings: Vec<String>,
}

/// What one image needs.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// It is there, under this id.
    Keep(String),
    /// The registry has it, or something else than what is here, under this digest if it says so.
    Pull { before: String, digest: String },
    /// An archive that lies here has it.
    Load,
    /// An archive has it that is not here yet.
    Push,
}

/// Stands for the id of an image that only a real run gets.
const UNKNOWN: &str = "(pulled by a real run)";

impl Module for ContainerImages {
    const NAME: &'static str = "container_images";
    const ABOUT: &'static str =
        "Gets the images of this host's containers, and removes those that none has any more.";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        let Params { engine, images, state, load, mirror, directory, ledger } = params;
        let engine = Engine(engine);
        let is_there = engine.is_there();
        if !is_there && !task.check_mode {
            bail!("there is no {} on this host: install it first, as role containers does", engine.0);
        }
        let stored = if is_there { engine.images()? } else { Vec::new() };
        let mut warnings = Vec::new();
        let images: Vec<_> = images
            .into_iter()
            .map(|it| {
                let step = step(&it, &stored, &mirror, load, &mut warnings);
                (it, step)
            })
            .collect();
        let mut unused = unused(&Records::read(&ledger)?, &images, &engine);
        if state == "only" && is_there && !task.check_mode {
            let in_use = engine.in_use()?;
            for ids in unused.values_mut() {
                ids.retain(|id| !in_use.contains(id));
            }
            unused.retain(|_, it| !it.is_empty());
        }
        Ok(Plan { engine, mirror, directory, ledger, images, unused, removes: state == "only", warnings })
    }

    fn predict(plan: &Plan, task: &Task) -> Outcome {
        plan.outcome(&BTreeMap::new(), task)
    }

    fn apply(mut plan: Plan, mut outcome: Outcome) -> Result<Outcome> {
        if plan.removes {
            plan.remove()?;
            return Ok(outcome);
        }
        let mut failed = BTreeMap::new();
        for (wanted, step) in &plan.images {
            // What one service cannot have must not keep the others from theirs.
            if let Err(error) = plan.get(wanted, step) {
                failed.entry(wanted.service.clone()).or_insert_with(|| {
                    format!("image '{}' of container '{}': {error:#}", wanted.image, wanted.container)
                });
            }
        }
        if plan.images.iter().any(|(_, it)| matches!(it, Step::Pull { .. } | Step::Load)) {
            let stored = plan.engine.images()?;
            for (wanted, step) in &mut plan.images {
                if let Some(id) =
                    find(wanted, &stored).map(|it| it.id.clone()).filter(|_| *step != Step::Push)
                {
                    *step = Step::Keep(id);
                }
            }
        }
        plan.record()?;
        outcome.values = plan.outcome(&failed, &Task::default()).values;
        Ok(outcome)
    }
}

/// What an image needs, as far as the host and its registry know.
fn step(wanted: &Wanted, stored: &[Stored], mirror: &str, load: bool, warnings: &mut Vec<String>) -> Step {
    let here = find(wanted, stored);
    if !wanted.id.is_empty() {
        return match here {
            Some(it) => Step::Keep(it.id.clone()),
            None if load => Step::Load,
            None => Step::Push,
        };
    }
    let reference = Reference::parse(&wanted.image);
    let Some(here) = here else { return Step::Pull { before: String::new(), digest: String::new() } };
    // A digest never means anything else, and what was made here is nowhere else.
    if !reference.digest.is_empty() || reference.is_local() {
        return Step::Keep(here.id.clone());
    }
    let (source, plain) = source(&reference, mirror);
    match registry::digest(&source, plain) {
        Ok(digest) if here.digests.contains(&digest) => Step::Keep(here.id.clone()),
        Ok(digest) => Step::Pull { before: here.digests.first().cloned().unwrap_or_default(), digest },
        Err(error) => {
            warnings.push(format!(
                "image '{}': whether its tag has moved is not known, so the one that is here stays: {error:#}",
                wanted.image
            ));
            Step::Keep(here.id.clone())
        }
    }
}

/// The image that is here under the wanted id or name.
fn find<'a>(wanted: &Wanted, stored: &'a [Stored]) -> Option<&'a Stored> {
    if !wanted.id.is_empty() {
        return stored.iter().find(|it| it.id == wanted.id);
    }
    let reference = Reference::parse(&wanted.image);
    let name = reference.to_string();
    stored.iter().find(|it| it.names.contains(&name) || it.digests.contains(&reference.digest))
}

/// Where an image is pulled from, and whether without TLS.
fn source(reference: &Reference, mirror: &str) -> (Reference, bool) {
    if mirror.is_empty() || !reference.is_mirrored() {
        return (reference.clone(), false);
    }
    let plain = mirror.strip_prefix("http://");
    let registry = plain.or_else(|| mirror.strip_prefix("https://")).unwrap_or(mirror);
    (reference.of_registry(registry), plain.is_some())
}

/// What the ledger has for the services of these images, and none of their containers.
fn unused(records: &Records, images: &[(Wanted, Step)], engine: &Engine) -> BTreeMap<String, Vec<String>> {
    let services: BTreeSet<_> = images.iter().map(|(it, _)| it.service.as_str()).collect();
    let mut unused = BTreeMap::new();
    for service in services {
        let wanted: BTreeSet<_> =
            images.iter().filter(|(it, _)| it.service == service).map(|(it, step)| id(it, step)).collect();
        let had = records.services.get(service).into_iter().flat_map(|it| &it.images);
        // What another service has, too, is its own.
        let alone = had.filter(|it| !has_another(records, service, it));
        let ids = alone.filter_map(|it| it.strip_prefix(&engine.0)?.strip_prefix(' '));
        let gone: Vec<_> = ids.filter(|it| !wanted.contains(it)).map(str::to_owned).collect();
        if !gone.is_empty() {
            unused.insert(service.to_owned(), gone);
        }
    }
    unused
}

/// Whether a service beside this one has an image.
fn has_another(records: &Records, service: &str, image: &String) -> bool {
    records.services.iter().any(|(other, it)| other != service && it.images.contains(image))
}

fn id<'a>(wanted: &'a Wanted, step: &'a Step) -> &'a str {
    match step {
        Step::Keep(id) => id,
        _ if !wanted.id.is_empty() => &wanted.id,
        _ => UNKNOWN,
    }
}

impl Plan {
    fn get(&self, wanted: &Wanted, step: &Step) -> Result<()> {
        match step {
            Step::Keep(_) | Step::Push => Ok(()),
            Step::Load => {
                let path = self.archive(&wanted.id);
                // Two containers may have the same.
                if !path.exists() && self.engine.images()?.iter().any(|it| it.id == wanted.id) {
                    return Ok(());
                }
                self.engine.load(&path)?;
                fault::point("container_images:loaded");
                files::remove(&path)?;
                let there = self.engine.images()?.iter().any(|it| it.id == wanted.id);
                if there { Ok(()) } else { bail!("the archive holds another image than {}", wanted.id) }
            }
            Step::Pull { .. } => {
                let reference = Reference::parse(&wanted.image);
                if reference.is_local() {
                    bail!(
                        "it is not on this host, and no registry has it: say image_archive, or load it here"
                    );
                }
                let (source, plain) = source(&reference, &self.mirror);
                self.engine.pull(&source, plain).context("cannot get it")?;
                fault::point("container_images:pulled");
                if source != reference && reference.digest.is_empty() {
                    self.engine.tag(&source, &reference)?;
                    self.engine.untag(&source)?;
                }
                Ok(())
            }
        }
    }

    fn archive(&self, id: &str) -> PathBuf {
        Path::new(&self.directory).join(format!("{id}.tar"))
    }

    /// That they are here because of these services.
    fn record(&self) -> Result<()> {
        let mut ledger = Ledger::open(&self.ledger)?;
        for (wanted, step) in &self.images {
            if let Step::Keep(id) = step {
                ledger.records.service(&wanted.service).images.insert(recorded(&self.engine.0, id));
            }
        }
        // One that another service has, and this one no more, is left to that.
        let before = ledger.records.clone();
        for (service, holdings) in &mut ledger.records.services {
            let wanted = |image: &String| {
                self.images.iter().any(|(it, step)| {
                    it.service == *service && recorded(&self.engine.0, id(it, step)) == *image
                })
            };
            if self.images.iter().any(|(it, _)| it.service == *service) {
                holdings.images.retain(|it| wanted(it) || !has_another(&before, service, it));
            }
        }
        ledger.save()
    }

    fn remove(self) -> Result<()> {
        let mut ledger = Ledger::open(&self.ledger)?;
        for (service, ids) in &self.unused {
            for id in ids {
                let image = recorded(&self.engine.0, id);
                let mut others = ledger.records.services.iter().filter(|(other, _)| *other != service);
                if others.any(|(_, it)| it.images.contains(&image)) || self.engine.remove(id)? {
                    ledger.records.service(service).images.remove(&image);
                    ledger.save()?;
                    fault::point("container_images:removed");
                }
            }
        }
        Ok(())
    }

    fn outcome(&self, failed: &BTreeMap<String, String>, task: &Task) -> Outcome {
        let mut outcome = Outcome { warnings: self.warnings.clone(), ..Outcome::default() };
        let mut images: BTreeMap<&str, BTreeMap<&str, serde_json::Value>> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        let mut diff = |name: &str, before: &str, after: String| {
            let header = format!("image {name}");
            outcome.diff.push(Diff {
                before: if before.is_empty() { String::new() } else { format!("{before}\n") },
                after: if after.is_empty() { after } else { after + "\n" },
                before_header: header.clone(),
                after_header: header,
            });
        };
        for (wanted, step) in &self.images {
            let of_service = images.entry(&wanted.service).or_default();
            of_service.insert(&wanted.container, json!({"id": id(wanted, step), "name": wanted.image}));
            match step {
                Step::Pull { before, digest } if !self.removes => {
                    diff(
                        &wanted.image,
                        before,
                        if digest.is_empty() { UNKNOWN.into() } else { digest.clone() },
                    );
                }
                Step::Load => diff(&wanted.image, "", wanted.id.clone()),
                Step::Push => drop(missing.insert(wanted.id.clone())),
                _ => {}
            }
        }
        if self.removes {
            for (service, ids) in &self.unused {
                for id in ids {
                    diff(&format!("of {service}"), id, String::new());
                }
            }
        }
        outcome.changed = !outcome.diff.is_empty();
        if !task.diff {
            outcome.diff.clear();
        }
        outcome.values.insert("images".into(), json!(images));
        outcome.values.insert("missing".into(), json!(missing));
        outcome.values.insert("failed_services".into(), json!(failed));
        outcome.values.insert("unused".into(), json!(self.unused));
        outcome
    }
}
