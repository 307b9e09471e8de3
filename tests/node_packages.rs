//! `node_packages`: what dpkg says is installed.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::support::Module;

fn module(dpkg: &str) -> (tempfile::TempDir, Module) {
    let bin = tempfile::tempdir().unwrap();
    let program = bin.path().join("dpkg-query");
    fs::write(&program, format!("#!/bin/sh -eu\n{dpkg}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let module = Module::new("node_packages", json!({})).environment("PATH", path);
    (bin, module)
}

#[test]
fn what_is_installed_is_listed() {
    let said = "printf 'installed etcd-server\\nconfig-files nginx\\nhalf-configured prometheus\\ninstalled openssl\\n'";
    let (_bin, module) = module(said);
    for answer in [module.run(), module.check().run()] {
        assert!(!answer.changed());
        assert_eq!(answer.0["installed"], json!(["etcd-server", "openssl"]));
    }
}

#[test]
fn a_dpkg_that_cannot_answer_is_an_error() {
    let (_bin, module) = module("echo 'the database is locked' >&2; exit 2");
    assert_eq!(module.fail(), "dpkg-query: the database is locked");
}
