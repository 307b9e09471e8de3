//! What only its owner may read or replace: keys, secrets, and the folders that hold them.

use std::{
    fs::Metadata,
    io::{ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::open;
use crate::system::Secret;

/// The content; none where there is no file.
pub fn read_private(path: &Path) -> Result<Option<Secret>> {
    let name = path.display();
    let mut file = match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("cannot read {name}"))?,
    };
    let found = file.metadata()?;
    check_owner(&found, path)?;
    if found.mode() & 0o077 != 0 {
        bail!(
            "{name} can be read by others (mode {:04o}); chmod 600 {name}, and if somebody may have done so, make a new one",
            found.mode() & 0o7777
        );
    }
    // Its size at once, so that no copy is left behind where it grows.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(found.len())? + 1));
    file.read_to_end(&mut content).with_context(|| format!("cannot read {name}"))?;
    Ok(Some(Secret::new(&**content)))
}

fn check_owner(found: &Metadata, path: &Path) -> Result<()> {
    let own = geteuid().as_raw();
    if found.uid() != own && found.uid() != 0 {
        bail!(
            "{} belongs to the user with the id {}, who could have put anything there; if what it holds is right, chown {own} {0}",
            path.display(),
            found.uid()
        );
    }
    Ok(())
}

/// A folder of secrets, where there is one: whoever can write there could put other keys in their place.
pub fn check_private_directory(path: &Path) -> Result<bool> {
    let Ok(found) = std::fs::metadata(path) else { return Ok(false) };
    if found.mode() & 0o022 != 0 {
        bail!("others can write in {}: take that from them with chmod go-w {0}", path.display());
    }
    check_owner(&found, path)?;
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_others_could_read_or_replace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = || read_private(&path);
        assert!(read().unwrap().is_none());
        fs::write(&path, "secret").unwrap();
        for (mode, expected) in [
            (0o600, None),
            (0o400, None),
            (0o666, Some("mode 0666")),
            (0o640, Some("chmod 600")),
            (0o602, Some("mode 0602")),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match expected {
                None => assert_eq!(read().unwrap().unwrap().expose(), b"secret", "{mode:o}"),
                Some(expected) => {
                    let error = read().err().unwrap().to_string();
                    assert!(error.contains(expected) && !error.contains("secret"), "{error}");
                }
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // Only root can give files away.
        if geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
            assert!(read().err().unwrap().to_string().contains("belongs to the user with the id 12345"));
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(read().is_err());
    }
}
