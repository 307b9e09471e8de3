//! Archives of images that `services.yml` names: they are there, and each holds one image whose id is known before any host has it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::diagnostic::Diagnostics;
use crate::services::Services;
use crate::system::files;

/// An archive of a container image.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// Digest of the image's configuration: what podman and docker call its id.
    id: String,
}

impl Archive {
    /// For playbooks.
    pub fn json(&self) -> Json {
        json!({"path": self.path, "id": self.id})
    }
}

/// The archives of enabled services by the path that these name, relative to `directory`; and what is wrong with them.
pub(super) fn read(services: &Services, directory: &Path) -> (BTreeMap<String, Archive>, Diagnostics) {
    let (mut archives, mut mistakes) = (BTreeMap::new(), Diagnostics::new());
    let enabled = services.services.values().filter(|it| it.service.enabled);
    for named in enabled.flat_map(|it| &it.service.containers).filter_map(|it| it.image_archive.as_ref()) {
        let name = &*named.value;
        if archives.contains_key(name) {
            continue;
        }
        let path = directory.join(name);
        match id(&path) {
            Ok(id) => drop(archives.insert(name.to_owned(), Archive { path, id })),
            Err(error) => mistakes.push(named.position.mistake(format!(
                "image_archive {}: {error:#}; make it with `podman save --format oci-archive`, or `docker save`",
                path.display()
            ))),
        }
    }
    (archives, mistakes)
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
}

/// The id of the only image in an archive, as podman and docker compute it.
fn id(path: &Path) -> Result<String> {
    let mut archive = Tar::open(path)?;
    // docker 25 and newer write both; what they load is the same.
    if let Some(text) = archive.file("manifest.json")? {
        let images: Vec<DockerManifest> = serde_json::from_slice(&text).context("manifest.json in it")?;
        let [image] = &images[..] else { bail!("it holds {} images, and must hold one", images.len()) };
        let name = image.config.rsplit('/').next().unwrap_or_default();
        return digest(name.strip_suffix(".json").unwrap_or(name));
    }
    let Some(text) = archive.file("index.json")? else {
        bail!("it is neither an OCI archive nor one of docker's: it has no index.json or manifest.json");
    };
    let index: Index = serde_json::from_slice(&text).context("index.json in it")?;
    let [image] = &index.manifests[..] else {
        bail!("it holds {} images, and must hold one", index.manifests.len())
    };
    let blob = format!("blobs/sha256/{}", digest(&image.digest)?);
    let text = archive.file(&blob)?.with_context(|| format!("it lacks {blob}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).context("its image has no manifest of one architecture")?;
    digest(&manifest.config.digest)
}

/// The hexadecimal part of a SHA-256 digest.
fn digest(text: &str) -> Result<String> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        bail!("'{}' in it is not a SHA-256 digest", text.escape_debug());
    }
    Ok(text.to_ascii_lowercase())
}

/// A tar file (POSIX.1-1988): enough of it to find a small file by its name.
struct Tar {
    file: File,
}

const BLOCK: u64 = 512;
/// Lists and manifests are far smaller.
const LARGEST: u64 = 4 << 20;

impl Tar {
    fn open(path: &Path) -> Result<Self> {
        let file = files::open(path).context("it cannot be read")?;
        Ok(Self { file })
    }

    fn file(&mut self, wanted: &str) -> Result<Option<Vec<u8>>> {
        let end = self.file.seek(SeekFrom::End(0))?;
        let mut at = 0;
        let mut header = [0; 512];
        while at + BLOCK <= end {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(&mut header)?;
            if header.iter().all(|it| *it == 0) {
                break;
            }
            if header.starts_with(&[0x1f, 0x8b]) {
                bail!("it is compressed: run gunzip on it");
            }
            if &header[257..262] != b"ustar" {
                bail!("it is not a tar file");
            }
            let size = size(&header[124..136])?;
            let name = String::from_utf8_lossy(header[..100].split(|it| *it == 0).next().unwrap_or_default());
            if name.strip_prefix("./").unwrap_or(&name) == wanted {
                if size > LARGEST {
                    bail!("{wanted} in it has {size} bytes");
                }
                let mut text = vec![0; usize::try_from(size)?];
                self.file.read_exact(&mut text).context("it ends too early")?;
                return Ok(Some(text));
            }
            at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
        }
        Ok(None)
    }
}

/// A number in octal; a large one in the base-256 of GNU tar.
fn size(field: &[u8]) -> Result<u64> {
    if field[0] & 0x80 != 0 {
        let tail = field[field.len() - 8..].try_into().unwrap_or_default();
        return Ok(u64::from_be_bytes(tail).min(1 << 50));
    }
    let text = String::from_utf8_lossy(field);
    let text = text.trim_matches(|it: char| it == '\0' || it == ' ');
    u64::from_str_radix(text, 8).context("it is not a tar file")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222222222222222222222222222";

    /// A tar file of these, by tar itself.
    fn archive(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("in");
        for (name, text) in files {
            let path = inside.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let path = directory.path().join("image.tar");
        let names = files.iter().map(|(name, _)| *name);
        let status = std::process::Command::new("tar")
            .arg("--create")
            .arg("--file")
            .arg(&path)
            .arg("--directory")
            .arg(&inside)
            .args(names)
            .status();
        assert!(status.unwrap().success());
        (directory, path)
    }

    #[test]
    fn the_id_is_that_of_the_configuration() {
        let manifest = format!("{{\"config\": {{\"digest\": \"sha256:{TWO}\"}}, \"layers\": []}}");
        let index = format!("{{\"manifests\": [{{\"digest\": \"sha256:{ONE}\"}}]}}");
        let blob = format!("blobs/sha256/{ONE}");
        let padding = "x".repeat(1300);
        let oci = archive(&[("padding", &padding), (&blob, &manifest), ("index.json", &index)]);
        assert_eq!(id(&oci.1).unwrap(), TWO);
        let docker =
            archive(&[("manifest.json", &format!("[{{\"Config\": \"{ONE}.json\", \"Layers\": []}}]"))]);
        assert_eq!(id(&docker.1).unwrap(), ONE);
        let newer = archive(&[("manifest.json", &format!("[{{\"Config\": \"blobs/sha256/{TWO}\"}}]"))]);
        assert_eq!(id(&newer.1).unwrap(), TWO);
    }

    #[test]
    fn what_is_no_archive_of_one_image_is_refused() {
        for (files, expected) in [
            (&[("other", "")][..], "neither an OCI archive nor one of docker's"),
            (&[("manifest.json", "[]")], "it holds 0 images, and must hold one"),
            (&[("manifest.json", "[{\"Config\": \"x.json\"}]")], "is not a SHA-256 digest"),
            (&[("index.json", "{\"manifests\": []}")], "it holds 0 images"),
            (&[("index.json", "{}")], "index.json in it"),
        ] {
            let (_directory, path) = archive(files);
            let error = format!("{:#}", id(&path).unwrap_err());
            assert!(error.contains(expected), "{files:?}: {error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        assert!(format!("{:#}", id(&path).unwrap_err()).contains("cannot be read"));
        std::fs::write(&path, [0x1f, 0x8b].repeat(400)).unwrap();
        assert_eq!(id(&path).unwrap_err().to_string(), "it is compressed: run gunzip on it");
        std::fs::write(&path, "x".repeat(600)).unwrap();
        assert_eq!(id(&path).unwrap_err().to_string(), "it is not a tar file");
    }
}
