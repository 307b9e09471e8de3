//! Killed between any two writes: the old credentials work, and the next run finishes.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    judge::{self, ALL},
};

/// Every fault point in the sources.
fn points() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/x509");
    let texts = fs::read_dir(folder).unwrap().map(|it| fs::read_to_string(it.unwrap().path()).unwrap());
    let all = texts.collect::<String>();
    let found = all.split("fault::point(\"").skip(1).map(|it| it.split('"').next().unwrap().to_owned());
    found.collect()
}

/// A cluster in which a run has everything to do at once: a CA to replace, a host to revoke, a key
/// that is gone, names that change, a mode to correct, a credential to mark as unused.
fn eventful() -> Cluster {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.services.insert(
        "old".into(),
        json!({"units": ["old.service"], "service_credentials": [{"name": "old"}, {"name": "kept"}]}),
    );
    cluster.run();
    let state: Value =
        serde_json::from_slice(&fs::read(cluster.private_dir().join("x509/state.json")).unwrap()).unwrap();
    cluster.ca.insert("replace".into(), state["active"].clone());
    cluster.hosts.remove("host2");
    cluster
        .services
        .insert("old".into(), json!({"units": ["old.service"], "service_credentials": [{"name": "kept"}]}));
    cluster.services.get_mut("etcd").unwrap()["service_credentials"][0]["extra_san"] = json!(["more"]);
    fs::remove_file(cluster.file("host1", "web/server/private_key.pem")).unwrap();
    let key = cluster.file("host1", "kept/client/private_key.pem");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    cluster
}

/// The play over host1, in which the module that has `point` dies there.
fn killed_at(cluster: &Cluster, point: &str) {
    let dies = |name: &str| point.starts_with(&format!("{name}:"));
    let request = cluster.request("host1");
    if dies("x509_request") {
        return request.killed_at(point);
    }
    let reports = json!({"host1": request.run().0});
    if dies("x509_ca") {
        return cluster.authority(&reports).killed_at(point);
    }
    let authority = cluster.authority(&reports).run();
    if dies("x509_sign") {
        return cluster.sign(&reports).killed_at(point);
    }
    let signed = cluster.sign(&reports).run();
    cluster.install("host1", &authority, &signed).killed_at(point);
}

#[test]
fn killed_in_request_the_next_run_finishes() {
    the_old_credentials_work_and_the_next_run_finishes("x509_request:");
}

#[test]
fn killed_in_ca_the_next_run_finishes() {
    the_old_credentials_work_and_the_next_run_finishes("x509_ca:");
}

#[test]
fn killed_in_sign_the_next_run_finishes() {
    the_old_credentials_work_and_the_next_run_finishes("x509_sign:");
}

#[test]
fn killed_in_install_the_next_run_finishes() {
    the_old_credentials_work_and_the_next_run_finishes("x509_install:");
}

fn the_old_credentials_work_and_the_next_run_finishes(module: &str) {
    let points: Vec<_> = points().into_iter().filter(|it| it.starts_with(module)).collect();
    assert!(points.len() >= 2, "{module} has fault points: {points:?}");
    for point in points {
        let cluster = eventful();
        killed_at(&cluster, &point);
        // Its key was gone before; everything else works as it did.
        let still = [
            ("web", "client"),
            ("etcd", "client"),
            ("etcd", "server"),
            ("kept", "client"),
            ("kept", "server"),
        ];
        judge::works(&cluster, "host1", &still);
        // It finishes: this run, one for the leaves of the new CA, and one that confirms.
        for _ in 0..3 {
            cluster.run();
            cluster.restart("host1");
        }
        judge::works(&cluster, "host1", ALL);
        judge::works(&cluster, "host1", &still);
        assert!(cluster.run().is_empty(), "{point}: there is more to do");
        let unused = &cluster.ledger("host1")["services"]["old"]["unused"];
        assert_eq!(unused, &json!([cluster.file("host1", "old")]), "{point}");
        assert!(!cluster.file("host1", ".pending").exists(), "{point}");
        every_certificate_is_in_the_index(&cluster);
    }
}

#[test]
fn a_restart_is_owed_before_a_certificate_changes() {
    for point in points().into_iter().filter(|it| it.starts_with("x509_install:")) {
        let cluster = eventful();
        killed_at(&cluster, &point);
        let owed = cluster.ledger("host1")["restarts"].clone();
        assert!(!owed["etcd.service"].is_null() && !owed["old.service"].is_null(), "{point}: {owed}");
        // The next run does not forget it, whatever it still has to do.
        cluster.run();
        assert!(!cluster.ledger("host1")["restarts"]["etcd.service"].is_null(), "{point}");
    }
}

#[test]
fn a_first_run_may_die_anywhere() {
    for point in points() {
        let cluster = Cluster::new(&["host1"]);
        // Points of renewals and rollovers are not on the way of a first run.
        let unreached = ["x509_ca:certificate", "x509_install:correction"];
        if unreached.contains(&point.as_str()) {
            continue;
        }
        killed_at(&cluster, &point);
        cluster.run();
        judge::works(&cluster, "host1", ALL);
        assert!(cluster.run().is_empty(), "{point}");
        every_certificate_is_in_the_index(&cluster);
    }
}

fn every_certificate_is_in_the_index(cluster: &Cluster) {
    let index: BTreeSet<_> =
        cluster.index().iter().filter_map(|it| Some(it["issued"]["serial"].as_str()?.to_owned())).collect();
    for (name, side) in ALL {
        let serial = judge::field(&cluster.file("host1", &format!("{name}/{side}/cert.pem")), "-serial");
        assert!(index.contains(&serial.replace("serial=", "").to_lowercase()), "{serial}");
    }
}
