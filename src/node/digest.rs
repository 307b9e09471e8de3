//! What a unit is started with, as digests: its definition, and the files it reads.

use std::{
    fs,
    io::{ErrorKind, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::system::files;

/// What a unit was, or would be, started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// SHA-256 over the unit file and its drop-ins.
    pub definition: String,
    /// SHA-256 over the input files.
    pub inputs: String,
}

impl Digest {
    /// What `unit` would be started with now. What does not exist counts as that.
    pub fn of(unit: &str, unit_path: &[PathBuf], inputs: &[PathBuf]) -> Result<Self> {
        let mut inputs = inputs.to_vec();
        inputs.sort();
        Ok(Self { definition: digest(&definition(unit, unit_path))?, inputs: digest(&inputs)? })
    }
}

impl Digest {
    /// Makes it differ from any other where one of `written`, files that are about to be written, is among what
    /// `unit` is started with.
    pub fn after(
        mut self,
        unit: &str,
        unit_path: &[PathBuf],
        inputs: &[PathBuf],
        written: &[PathBuf],
    ) -> Self {
        let names = names(unit);
        let folders = folders(unit);
        for path in written.iter().map(|it| real(it)) {
            if unit_path.iter().any(|it| defines(&path, &real(it), &names, &folders)) {
                self.definition = TO_COME.into();
            }
            if inputs.iter().any(|it| path.starts_with(real(it))) {
                self.inputs = TO_COME.into();
            }
        }
        self
    }

    /// What it will be when an input, nobody says which, is about to be written.
    pub fn with_new_inputs(self) -> Self {
        Self { inputs: TO_COME.into(), ..self }
    }
}

/// Stands for a digest that only a real run can know.
const TO_COME: &str = "to come";

/// A path, which may not exist yet, without symbolic links on the way: `/lib` and `/usr/lib` are one.
fn real(path: &Path) -> PathBuf {
    let known = path.ancestors().find_map(|it| Some((it, fs::canonicalize(it).ok()?)));
    match known {
        Some((ancestor, found)) if ancestor != path => {
            path.strip_prefix(ancestor).map_or(found.clone(), |it| found.join(it))
        }
        Some((_, found)) => found,
        None => path.into(),
    }
}

/// Whether `path` is a unit file or a drop-in of the unit with these names, in the directory `place`.
fn defines(path: &Path, place: &Path, names: &[String], folders: &[String]) -> bool {
    if names.iter().any(|it| path == place.join(it)) {
        return true;
    }
    path.extension().is_some_and(|it| it == "conf")
        && folders.iter().any(|it| path.parent() == Some(&place.join(it)))
}

fn digest(paths: &[PathBuf]) -> Result<String> {
    let mut context = Context::new(&SHA256);
    for path in paths {
        add(&mut context, path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let bytes = context.finish();
    Ok(bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat())
}

/// Adds a file, or everything in a directory by name. Each part comes with its length, so that no two
/// trees look alike.
fn add(context: &mut Context, path: &Path) -> Result<()> {
    let mut part = |what: &str, bytes: &[u8]| {
        context.update(format!("{what}{}:", bytes.len()).as_bytes());
        context.update(bytes);
    };
    part("path", path.as_os_str().as_bytes());
    // Links are followed: what a program reads counts. One that leads nowhere is nothing.
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if found.is_dir() {
        let mut entries: Vec<_> =
            fs::read_dir(path)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
        entries.sort();
        part("entries", &entries.len().to_le_bytes());
        for entry in entries {
            // A link inside could lead around in a circle.
            if fs::symlink_metadata(&entry)?.is_symlink() && entry.is_dir() {
                continue;
            }
            add(context, &entry)?;
        }
    } else if found.is_file() {
        // No longer than it was: it may grow while it is read.
        let mut file = files::open(path)?.take(found.len());
        let mut buffer = vec![0; 1 << 16];
        part("file", &found.len().to_le_bytes());
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            context.update(&buffer[..count]);
        }
    }
    Ok(())
}

/// The files that define a unit (systemd.unit(5), "Unit file load path"): the first unit file found,
/// and the drop-ins of its name, its template, its prefixes and its kind.
fn definition(unit: &str, unit_path: &[PathBuf]) -> Vec<PathBuf> {
    let names = names(unit);
    // A masked unit is a link to nothing: what it will be when it is unmasked counts.
    let is_definition = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|it| it != Path::new("/dev/null"));
    let candidates =
        unit_path.iter().flat_map(|directory| names.iter().map(move |name| directory.join(name)));
    let mut files: Vec<PathBuf> = candidates.filter(is_definition).take(1).collect();

    let folders = folders(unit);
    let mut drop_ins: Vec<PathBuf> = unit_path
        .iter()
        .flat_map(|directory| folders.iter().map(move |folder| directory.join(folder)))
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).map(|it| it.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "conf"))
        .collect();
    drop_ins.sort();
    files.extend(drop_ins);
    files
}

/// The names of its unit file: its own, and its template's.
fn names(unit: &str) -> Vec<String> {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, "service"));
    let template = stem.split_once('@').map(|(template, _)| format!("{template}@.{kind}"));
    [unit.to_owned()].into_iter().chain(template).collect()
}

/// The names of the directories of its drop-ins.
fn folders(unit: &str) -> Vec<String> {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, "service"));
    let prefixes = stem.match_indices('-').map(|(at, _)| format!("{}.{kind}", &stem[..=at]));
    names(unit).into_iter().chain(prefixes).chain([kind.to_owned()]).map(|it| it + ".d").collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_unit_is_started_with_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let (high, low) = (root.join("etc"), root.join("lib"));
        for folder in ["etc/web-.service.d", "lib", "inputs/sub"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(low.join("web-a.service"), "[Service]").unwrap();
        fs::write(root.join("inputs/sub/config"), "1").unwrap();
        let now =
            || Digest::of("web-a.service", &[high.clone(), low.clone()], &[root.join("inputs")]).unwrap();

        let first = now();
        assert_eq!(first, now());
        std::os::unix::fs::symlink("/dev/null", high.join("web-a.service")).unwrap();
        fs::write(low.join("other.service"), "").unwrap();
        fs::write(high.join("web-.service.d/README"), "").unwrap();
        assert_eq!(first, now(), "a mask, another unit and a stray file are not what it is started with");

        fs::write(root.join("inputs/sub/config"), "2").unwrap();
        let second = now();
        assert!(second.inputs != first.inputs && second.definition == first.definition);
        fs::write(high.join("web-.service.d/limits.conf"), "").unwrap();
        let third = now();
        assert!(third.inputs == second.inputs && third.definition != second.definition);
        fs::remove_dir_all(root.join("inputs")).unwrap();
        assert_ne!(now().inputs, third.inputs);
    }

    #[test]
    fn what_will_be_written_counts_where_the_unit_reads_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("units")).unwrap();
        std::os::unix::fs::symlink("units", root.join("link")).unwrap();
        let now = Digest { definition: "a".into(), inputs: "b".into() };
        for (written, definition, inputs) in [
            ("units/web-a@1.service", true, false),
            ("link/web-a@1.service", true, false),
            ("units/web-a@.service", true, false),
            ("units/web-.service.d/more.conf", true, false),
            ("units/web-a@1.service.d/README", false, false),
            ("units/other.service", false, false),
            ("etc/web/cert.pem", false, true),
            ("etc/web.conf", false, false),
        ] {
            let (places, inputs_of) = ([root.join("link")], [root.join("etc/web")]);
            let then = now.clone().after("web-a@1.service", &places, &inputs_of, &[root.join(written)]);
            let changed = (then.definition != now.definition, then.inputs != now.inputs);
            assert_eq!(changed, (definition, inputs), "{written}");
        }
    }

    #[test]
    fn names_that_are_not_text_and_links_in_a_circle_are_read() {
        use std::{ffi::OsStr, os::unix::fs::symlink};
        let root = tempfile::tempdir().unwrap();
        let strange = root.path().join(OsStr::from_bytes(b"\xff\xfe"));
        fs::write(&strange, "1").unwrap();
        symlink(root.path(), root.path().join("circle")).unwrap();
        symlink("nowhere", root.path().join("broken")).unwrap();
        let now = || Digest::of("u.service", &[], &[root.path().into()]).unwrap().inputs;
        let before = now();
        fs::write(&strange, "2").unwrap();
        assert_ne!(now(), before);
    }
}
