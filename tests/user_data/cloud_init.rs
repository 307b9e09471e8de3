//! cloud-init as the judge: the one that is installed, or Debian's packages, unpacked and run in place.

use std::{fs, path::Path, process::Command};

/// cloud-init and the Python modules that it imports.
const PACKAGES: &str = "cloud-init python3-attr python3-certifi python3-chardet python3-charset-normalizer \
    python3-configobj python3-idna python3-jinja2 python3-json-pointer python3-jsonpatch python3-jsonschema \
    python3-markupsafe python3-netifaces python3-oauthlib python3-pkg-resources python3-pyrsistent python3-requests \
    python3-serial python3-six python3-urllib3 python3-yaml";

/// Asserts that `cloud-init schema` takes the file, and that it refuses the same file with a mistake in it.
pub fn accepts(user_data: &Path) {
    let (taken, said) = schema(user_data);
    assert!(taken, "{said}");
    let broken = user_data.with_extension("broken");
    let text = fs::read_to_string(user_data).unwrap().replace("ssh_authorized_keys:", "ssh_authorised_keys:");
    fs::write(&broken, text.replace("runcmd:\n", "runcmd: 5\nbootcmd:\n")).unwrap();
    assert!(!schema(&broken).0, "the judge takes everything");
    fs::remove_file(broken).unwrap();
}

fn schema(file: &Path) -> (bool, String) {
    let mut command = if Command::new("cloud-init").arg("--version").output().is_ok() {
        Command::new("cloud-init")
    } else {
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-m", "cloudinit.cmd.main"]).env("PYTHONPATH", unpacked());
        python
    };
    let output = command.args(["schema", "--config-file"]).arg(file).output().unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    (output.status.success(), said)
}

fn unpacked() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cloud-init");
    if !folder.exists() {
        let fresh = tempfile::tempdir_in(folder.parent().unwrap()).unwrap();
        let script = format!(
            "apt-get --quiet download {PACKAGES} && for it in *.deb; do dpkg-deb --extract $it . && rm $it; done"
        );
        let fetched = Command::new("sh").args(["-ec", &script]).current_dir(fresh.path()).output().unwrap();
        assert!(fetched.status.success(), "no cloud-init, and Debian's cannot be fetched: {fetched:?}");
        // Another test may have been faster.
        let _ = fs::rename(fresh.path(), &folder);
    }
    folder.join("usr/lib/python3/dist-packages").display().to_string()
}
