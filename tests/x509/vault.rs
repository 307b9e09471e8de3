//! The CA's key encrypted at rest by Ansible's own vault.

use std::{fs, path::PathBuf, process::Command};

use serde_json::json;

use super::{
    cluster::Cluster,
    judge::{self, ALL},
};

fn ansible_vault() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/ansible-vault")
}

#[test]
fn the_key_is_encrypted_and_signs() {
    let mut cluster = Cluster::new(&["host1"]);
    let password = cluster.root().join("vault password");
    fs::write(&password, "correct horse\n").unwrap();
    cluster.ca.insert("vault_password_file".into(), json!(password));
    cluster.ca.insert("vault_command".into(), json!(ansible_vault()));
    cluster.run();
    judge::works(&cluster, "host1", ALL);
    let folder =
        fs::read_dir(cluster.private_dir().join("x509/authorities")).unwrap().next().unwrap().unwrap().path();
    let key = folder.join("private_key.pem");
    assert!(fs::read_to_string(&key).unwrap().starts_with("$ANSIBLE_VAULT;1."));
    let shown = Command::new(ansible_vault())
        .arg("view")
        .arg("--vault-password-file")
        .arg(&password)
        .arg(&key)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).starts_with("-----BEGIN PRIVATE KEY-----"), "{shown:?}");

    // Without the password nothing is signed, and the message says what to do.
    let host1 = cluster.file("host1", "web");
    fs::remove_dir_all(host1).unwrap();
    let reports = cluster.reports(&["host1"]);
    fs::write(&password, "wrong\n").unwrap();
    assert!(cluster.sign(&reports).fail().contains("cannot decrypt"));
    let plain = cluster.ca.clone();
    cluster.ca.clear();
    assert!(cluster.sign(&reports).fail().contains("set the option 'vault_password_file'"));
    cluster.ca = plain;
    fs::write(&password, "correct horse\n").unwrap();
    cluster.run();
    judge::works(&cluster, "host1", ALL);
}
