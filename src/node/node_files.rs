//! The module `node_files`: directories and files of a host, all in one call.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::publish;
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{
        Secret, fault,
        files::{Attributes, Directory, DirectoryPlan, File, FilePlan, remove},
    },
};

crate::arguments! {
    /// A directory as it shall be.
    #[derive(Clone)]
    pub struct DirectoryOptions {
        /// Where.
        pub path: PathBuf => Argument::path().required(),
        /// Permissions.
        pub mode: String => Argument::str().default("0755"),
        /// Whose it is.
        pub owner: String => Argument::str().default("root"),
        /// Which group's it is.
        pub group: String => Argument::str().default("root"),
    }
}

crate::arguments! {
    /// A file as it shall be.
    #[derive(Clone)]
    pub struct FileOptions {
        /// Where.
        pub path: PathBuf => Argument::path().required(),
        /// What it holds.
        pub content: String => Argument::str().required(),
        /// Permissions.
        pub mode: String => Argument::str().default("0644"),
        /// Whose it is.
        pub owner: String => Argument::str().default("root"),
        /// Which group's it is.
        pub group: String => Argument::str().default("root"),
        /// Whether a diff keeps its content to itself.
        pub sensitive: bool => Argument::bool().default(false),
        /// A command that must succeed with the new file, `%s`, before it takes the place of the old one.
        pub validate: String => Argument::str().default(""),
    }
}

crate::arguments! {
    /// Options of `node_files`.
    pub struct Params {
        /// Directories, made before the files, in this order.
        pub directories: Vec<DirectoryOptions> => Argument::list(Argument::options::<DirectoryOptions>()).default(json!([])),
        /// Files, written in this order.
        pub files: Vec<FileOptions> => Argument::list(Argument::options::<FileOptions>()).default(json!([])),
    }
}

/// The module.
pub struct NodeFiles;

/// What is to be done.
#[derive(Default)]
pub struct Plan {
    directories: Vec<DirectoryPlan>,
    files: Vec<(FileOptions, FilePlan)>,
}

impl Module for NodeFiles {
    const NAME: &'static str = "node_files";
    const ABOUT: &'static str = "Make directories and write files, all in one call";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        Plan::new(params.directories, params.files)
    }

    fn predict(plan: &Plan, task: &Task) -> Outcome {
        plan.outcome(task.check_mode)
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        plan.apply()?;
        Ok(predicted)
    }
}

impl Plan {
    /// Decides, and writes nothing.
    pub(super) fn new(directories: Vec<DirectoryOptions>, files: Vec<FileOptions>) -> Result<Self> {
        let directory = |it: DirectoryOptions| {
            let attributes = attributes(&it.path, &it.mode, &it.owner, &it.group)?;
            Directory { path: it.path, attributes }.plan()
        };
        let file = |it: FileOptions| {
            if !it.validate.is_empty() && !it.validate.split_whitespace().any(|word| word == "%s") {
                bail!("{}: option 'validate' names the new file nowhere: write %s", it.path.display());
            }
            let attributes = attributes(&it.path, &it.mode, &it.owner, &it.group)?;
            let plan = if it.sensitive {
                File::secret(&it.path, Secret::new(it.content.as_bytes()), attributes)
            } else {
                File::public(&it.path, it.content.as_bytes(), attributes)
            };
            Ok((it, plan.plan()?))
        };
        Ok(Self {
            directories: directories.into_iter().map(directory).collect::<Result<_>>()?,
            files: files.into_iter().map(file).collect::<Result<_>>()?,
        })
    }

    /// What applying it will report; in check mode with what later tasks need to know.
    pub(super) fn outcome(&self, check_mode: bool) -> Outcome {
        let directories = self.directories.iter().filter(|it| it.changes()).map(DirectoryPlan::path);
        let files = self.files.iter().filter(|(_, it)| it.changes()).map(|(_, it)| it.path());
        let written: Vec<_> = directories.chain(files).collect();
        let mut outcome = Outcome::new(!written.is_empty())
            .with("written", written)
            .with_diff(self.directories.iter().filter_map(DirectoryPlan::diff))
            .with_diff(self.files.iter().filter_map(|(_, it)| it.diff()))
            .with_warnings(self.files.iter().filter_map(|(_, it)| it.warning()));
        if check_mode && !self.files.is_empty() {
            let all: Vec<_> = self.files.iter().map(|(_, it)| it.path().display().to_string()).collect();
            publish(&mut outcome, &all, &self.contents(), &BTreeMap::new());
        }
        outcome
    }

    /// Files whose content changes. A new mode is not among it: a unit reads the same as before.
    pub(super) fn contents(&self) -> Vec<PathBuf> {
        let files = self.files.iter().map(|(_, it)| it);
        files.filter(|it| it.content_changes()).map(|it| it.path().to_owned()).collect()
    }

    /// Makes the directories, then writes the files, in their order.
    pub(super) fn apply(self) -> Result<()> {
        for directory in self.directories {
            directory.apply()?;
            fault::point("node_files:directory");
        }
        for (options, file) in self.files {
            make_parent(&options.path)?;
            if file.content_changes() && !options.validate.is_empty() {
                validate(&options)?;
            }
            file.apply()?;
            fault::point("node_files:file");
        }
        Ok(())
    }
}

fn attributes(path: &Path, mode: &str, owner: &str, group: &str) -> Result<Attributes> {
    if !path.is_absolute() {
        bail!("path '{}' is not absolute", path.display());
    }
    let bits = (4..=5).contains(&mode.len()) && mode.starts_with('0');
    let bits = bits.then(|| u32::from_str_radix(mode, 8).ok()).flatten().filter(|it| *it <= 0o7777);
    // YAML takes 0644 without quotes for the number 420.
    let bits =
        bits.with_context(|| format!("{}: mode '{mode}' is not like \"0644\", in quotes", path.display()))?;
    Ok(Attributes::mode(bits).owned_by(owner, group))
}

/// Makes the directory in which a file is to be, where it is missing.
pub(super) fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|it| !it.exists()) else { return Ok(()) };
    Directory { path: parent.into(), attributes: Attributes::mode(0o755) }.plan()?.apply()
}

/// Asks a program about the new content, in a file beside the old one that only root can read.
fn validate(options: &FileOptions) -> Result<()> {
    let name = options.path.file_name().context("it names no file")?.to_string_lossy();
    let candidate = options.path.with_file_name(format!(".{name}.candidate"));
    let content = Secret::new(options.content.as_bytes());
    File::secret(&candidate, content, Attributes::mode(0o600)).plan()?.apply()?;
    fault::point("node_files:candidate");
    let mut words = options.validate.split_whitespace();
    let program = words.next().context("option 'validate' is empty")?;
    let arguments = words.map(|it| if it == "%s" { candidate.as_os_str() } else { it.as_ref() });
    let output = Command::new(program).args(arguments).output();
    remove(&candidate)?;
    let output = output.with_context(|| format!("option 'validate': cannot run {program}"))?;
    if !output.status.success() {
        let path = options.path.display();
        if options.sensitive {
            bail!("{path}: `{}` refuses the new content; what it said is not shown", options.validate);
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        bail!("{path}: `{}` refuses the new content: {}", options.validate, said.trim());
    }
    Ok(())
}
