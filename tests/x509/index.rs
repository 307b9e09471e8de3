//! An index that was cut, emptied, deleted or filled with zeros by a power cut: what was revoked never comes back.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{cluster::Cluster, judge};
use crate::support::Module;

/// A cluster that host2 has left.
fn revoking() -> Cluster {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    cluster.hosts.remove("host2");
    cluster.run();
    cluster
}

fn index(cluster: &Cluster) -> PathBuf {
    cluster.private_dir().join("x509/issued.jsonl")
}

fn head(cluster: &Cluster) -> PathBuf {
    cluster.private_dir().join("x509/issued.jsonl.head")
}

/// Whether host1 refuses what host2 held.
fn is_refused(cluster: &Cluster) -> bool {
    let (anchors, crl) = (cluster.file("host1", "ca.pem"), cluster.file("host1", "crl.pem"));
    let gone = cluster.file("host2", "web/client/cert.pem");
    judge::verify(&anchors, &gone, "sslclient", &["-crl_check", "-CRLfile", crl.to_str().unwrap()]).is_err()
}

/// What host1 would be asked in the run after.
fn evidence(cluster: &Cluster) -> serde_json::Value {
    json!({"host1": cluster.request("host1").with("evidence", true).run().0.to_string()})
}

/// What becomes of a file that held this text; none: it is gone.
type Loss = fn(&str) -> Option<Vec<u8>>;

/// Ways to lose an index, with what is left of it.
fn losses() -> Vec<(&'static str, Loss)> {
    vec![
        ("emptied", |_| Some(Vec::new())),
        ("deleted", |_| None),
        ("zeros", |text| Some(vec![0; text.len()])),
        ("cut after the first line", |text| Some(text.lines().next().unwrap().as_bytes().to_vec())),
        ("a line less", |text| {
            let lines: Vec<_> = text.lines().collect();
            Some((lines[..lines.len() - 1].join("\n") + "\n").into_bytes())
        }),
    ]
}

fn lose(cluster: &Cluster, left: fn(&str) -> Option<Vec<u8>>) {
    let path = index(cluster);
    match left(&fs::read_to_string(&path).unwrap()) {
        Some(left) => fs::write(path, left).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn a_damaged_index_is_refused_and_rebuilt_from_the_hosts() {
    for (how, left) in losses() {
        let cluster = revoking();
        lose(&cluster, left);
        for module in [
            cluster.authority(&evidence(&cluster)),
            cluster.authority(&evidence(&cluster)).check(),
            cluster.sign(&json!({})),
        ] {
            let said = module.fail();
            assert!(
                said.contains("issued.jsonl") && said.contains("common_index_rebuild=true"),
                "{how}: {said}"
            );
        }
        let rebuilds = || cluster.authority(&evidence(&cluster)).with("rebuild_index", true);
        assert!(rebuilds().check().run().changed());
        cluster.sign(&json!({})).with("rebuild_index", true).check().run();
        rebuilds().run();
        assert_eq!(cluster.run(), ["install host1"], "{how}: a new list, and nothing is issued anew");
        assert!(cluster.run().is_empty(), "{how}");
        assert!(is_refused(&cluster), "{how}");
        // What it issued is known again: it can be revoked.
        let known = cluster.index();
        let serial = judge::field(&cluster.file("host1", "web/client/cert.pem"), "-serial");
        let serial = json!(serial.replace("serial=", "").to_lowercase());
        assert!(known.iter().any(|it| it["issued"]["serial"] == serial), "{how}: {known:?}");
    }
}

#[test]
fn an_index_from_before_there_was_a_head_is_compared_with_the_hosts_and_adopted() {
    let cluster = revoking();
    fs::remove_file(head(&cluster)).unwrap();
    cluster.authority(&json!({})).run();
    assert!(!head(&cluster).exists(), "there is nothing yet to compare it with");
    cluster.authority(&evidence(&cluster)).check().run();
    assert!(!head(&cluster).exists());
    assert!(!cluster.authority(&evidence(&cluster)).run().changed());
    assert!(head(&cluster).exists());
    assert!(cluster.run().is_empty());
    for (how, left) in losses() {
        let cluster = revoking();
        fs::remove_file(head(&cluster)).unwrap();
        lose(&cluster, left);
        let said = cluster.authority(&evidence(&cluster)).fail();
        assert!(said.contains("issued.jsonl") && said.contains("common_index_rebuild=true"), "{how}: {said}");
    }
    // host2 was down when it was adopted, and is back.
    let cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    fs::remove_file(head(&cluster)).unwrap();
    assert!(!cluster.authority(&evidence(&cluster)).run().changed() && head(&cluster).exists());
    assert!(cluster.run().is_empty());
    // A certificate that host1 holds, and no list tells of.
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    fs::remove_file(head(&cluster)).unwrap();
    lose(&cluster, |text| Some((text.lines().next().unwrap().to_owned() + "\n").into_bytes()));
    let said = cluster.authority(&evidence(&cluster)).fail();
    assert!(said.contains("lacks 3 records") && said.contains("of host 'host1'"), "{said}");
}

#[test]
fn what_a_host_invents_is_no_evidence() {
    let (cluster, other) = (revoking(), Cluster::new(&["host1", "host2"]));
    other.run();
    let (ours, theirs) = (cluster.request("host1"), other.request("host1"));
    let [mut lying, foreign] = [ours, theirs].map(|it| it.with("evidence", true).run().0);
    lying["held"].as_array_mut().unwrap().extend(foreign["held"].as_array().unwrap().clone());
    lying["crl"] = json!(other.published("crl.pem"));
    assert!(!cluster.authority(&json!({"host1": lying})).run().changed());
    // The certificates of another host of the cluster are not its own to show.
    fs::remove_file(head(&cluster)).unwrap();
    lose(&cluster, |text| Some((text.lines().next().unwrap().to_owned() + "\n").into_bytes()));
    let mut lying = cluster.request("host1").with("evidence", true).run().0;
    lying["crl"] = json!("nonsense");
    let other = cluster.private_dir().join("x509/crl.pem");
    fs::remove_file(other).unwrap();
    let said = cluster.authority(&json!({"host2": lying})).run();
    assert!(said.changed(), "host2 shows what is host1's: {said:?}");
}

#[test]
fn an_older_private_dir_is_noticed_and_an_older_list_refused() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    let backup = cluster.root().join("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy(&cluster.private_dir(), &backup);
    let older = cluster.published("crl.pem");
    cluster.hosts.remove("host2");
    cluster.run();
    fs::remove_dir_all(cluster.private_dir()).unwrap();
    copy(&backup, &cluster.private_dir());
    // host1 reports its list because it is the newer one.
    let reports = json!({"host1": cluster.request("host1").run().0});
    let said = cluster.authority(&reports).fail();
    assert!(said.contains("lacks 4 records") && said.contains("the list that host 'host1' holds"), "{said}");
    let bundle = cluster.published("ca.pem");
    let install = Module::new(
        "x509_install",
        json!({
            "host": "host1", "services": {}, "certificates": [], "bundle": bundle, "crl": older,
            "directory": cluster.host("host1").join("credentials"), "ledger": cluster.host("host1").join("ledger"),
        }),
    );
    let said = install.fail();
    assert!(said.contains("holds the newer revocation list"), "{said}");
    cluster.authority(&reports).with("rebuild_index", true).run();
    cluster.run();
    assert!(is_refused(&cluster) && cluster.run().is_empty());
}
