//! Removing a host revokes what it held; the revocation lists are OpenSSL's to judge.

use serde_json::json;

use super::{
    cluster::Cluster,
    judge::{self, ALL},
};

#[test]
fn a_removed_host_is_revoked_and_may_come_back_with_new_keys() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    let left = cluster.hosts.remove("host2").unwrap();
    assert_eq!(cluster.check(), ["ca", "install host1"]);
    assert_eq!(cluster.run(), ["ca", "install host1"]);
    assert_eq!(
        cluster.ledger("host1")["restarts"],
        json!({}),
        "programs read revocation lists by themselves"
    );
    judge::works(&cluster, "host1", ALL);
    let (anchors, crl) = (cluster.file("host1", "ca.pem"), cluster.file("host1", "crl.pem"));
    let gone = cluster.file("host2", "web/client/cert.pem");
    let said =
        judge::verify(&anchors, &gone, "sslclient", &["-crl_check", "-CRLfile", crl.to_str().unwrap()])
            .unwrap_err();
    assert!(said.contains("certificate revoked"), "{said}");
    let text = judge::says([
        "crl".as_ref(),
        "-noout".as_ref(),
        "-text".as_ref(),
        "-CAfile".as_ref(),
        anchors.as_os_str(),
        "-in".as_ref(),
        crl.as_os_str(),
    ]);
    assert_eq!(text.matches("Serial Number").count(), 4, "{text}");
    assert!(cluster.run().is_empty());

    cluster.hosts.insert("host2".into(), left);
    let requests = cluster.request("host2").check().run().0["requests"].clone();
    let all = requests.as_array().unwrap();
    assert!(
        all.len() == 4 && all.iter().all(|it| it["reason"] == "revoked" && it["key"] == "new"),
        "{requests}"
    );
    cluster.run();
    judge::works(&cluster, "host2", ALL);
    assert!(cluster.run().is_empty());
}

#[test]
fn the_inventory_of_another_cluster_revokes_nothing() {
    let mut cluster = Cluster::new(&["host1"]);
    cluster.run();
    cluster.hosts = [("other1".to_owned(), vec![])].into();
    let message = cluster.authority(&json!({})).fail();
    assert!(message.contains("is this the inventory of another cluster?"), "{message}");
    assert!(cluster.index().iter().all(|it| it["revoked"].is_null()));
}

#[test]
fn a_list_is_made_anew_before_it_ends_or_when_it_is_damaged() {
    let mut cluster = Cluster::new(&["host1"]);
    cluster.ca.insert("crl_lifetime".into(), json!("1s"));
    cluster.run();
    let crl = cluster.private_dir().join("x509/crl.pem");
    // A list of one second is always in its last third.
    cluster.ca.insert("crl_lifetime".into(), json!("365d"));
    let due = || cluster.authority(&json!({})).run().changed();
    while !due() {
        std::thread::yield_now();
    }
    assert!(!due());
    std::fs::write(&crl, "nonsense").unwrap();
    assert!(due() && !due());
}
