//! Replacing the CA while hosts are away, and beginning anew when it is lost.

use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    judge::{self, ALL},
};

fn active(cluster: &Cluster) -> String {
    state(cluster)["active"].as_str().unwrap().to_owned()
}

fn state(cluster: &Cluster) -> Value {
    let text = std::fs::read_to_string(cluster.private_dir().join("x509/state.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every host accepts what every other shows, with the anchors that each has at this moment.
fn all_accept_all(cluster: &Cluster) {
    for verifier in cluster.hosts.keys() {
        // OpenSSL refuses a certificate for whose CA it has no list.
        let count = |file, what| {
            let text = std::fs::read_to_string(cluster.file(verifier, file)).unwrap();
            text.matches(what).count()
        };
        let lists = count("crl.pem", "BEGIN X509 CRL");
        assert_eq!(lists, count("ca.pem", "BEGIN CERTIFICATE"), "a list of each CA that {verifier} trusts");
        for shower in cluster.hosts.keys() {
            for (path, purpose) in
                [("web/client/cert.pem", "sslclient"), ("web/server/cert.pem", "sslserver")]
            {
                judge::verify(&cluster.file(verifier, "ca.pem"), &cluster.file(shower, path), purpose, &[])
                    .unwrap_or_else(|error| panic!("{verifier} refuses {path} of {shower}: {error}"));
            }
        }
    }
}

#[test]
fn the_ca_is_replaced_while_a_host_is_away() {
    let mut cluster = Cluster::new(&["host1", "host2", "host3"]);
    cluster.run();
    let old = active(&cluster);
    cluster.ca.insert("replace".into(), json!(old[..8]));
    assert!(cluster.check().contains(&"ca".to_owned()));
    assert_eq!(active(&cluster), old);

    // Both are trusted, and everything is accepted everywhere, host3 having missed all of it.
    cluster.run_on(&["host1", "host2"]);
    all_accept_all(&cluster);
    let new = active(&cluster);
    assert!(new != old && state(&cluster)["leaving"] == json!(old));
    let restarts = cluster.ledger("host1")["restarts"].clone();
    assert_eq!(restarts["etcd.service"], json!("new trust anchors"));

    // Leaves of the new CA; host3 accepts them through the cross-certificate.
    cluster.restart("host1");
    cluster.restart("host2");
    cluster.run_on(&["host1", "host2"]);
    all_accept_all(&cluster);
    let chain = std::fs::read_to_string(cluster.file("host1", "web/server/cert.pem")).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "the leaf and the cross-certificate");

    // They confirm, but only once they have been restarted; the old CA waits for host3.
    cluster.run_on(&["host1", "host2"]);
    assert_eq!(state(&cluster)["confirmed"], json!([]));
    cluster.restart("host1");
    cluster.restart("host2");
    cluster.run_on(&["host1", "host2"]);
    assert_eq!(state(&cluster)["confirmed"], json!(["host1", "host2"]));
    assert!(cluster.run_on(&["host1", "host2"]).is_empty(), "waiting is not a change");
    all_accept_all(&cluster);

    // It comes back and catches up.
    for _ in 0..3 {
        cluster.run();
        cluster.restart("host3");
        all_accept_all(&cluster);
    }
    assert_eq!((active(&cluster), &state(&cluster)["leaving"]), (new, &Value::Null));
    for host in ["host1", "host2", "host3"] {
        assert_eq!(
            std::fs::read_to_string(cluster.file(host, "ca.pem")).unwrap().matches("BEGIN").count(),
            1
        );
        judge::works(&cluster, host, ALL);
        cluster.restart(host);
    }
    // The option may stay where it is.
    assert!(cluster.run().is_empty());
}

#[test]
fn a_host_that_never_comes_back_is_abandoned_by_name() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    cluster.ca.insert("replace".into(), json!(active(&cluster)));
    for _ in 0..3 {
        cluster.run_on(&["host1"]);
        cluster.restart("host1");
    }
    let waiting = cluster.authority(&cluster.reports(&["host1"])).run();
    assert_eq!((&waiting.0["phase"], &waiting.0["waiting_for"]), (&json!("rollover"), &json!(["host2"])));
    assert!(waiting.0["msg"].as_str().unwrap().contains("waiting for host2"), "{waiting:?}");
    cluster.ca.insert("abandon".into(), json!(["host2"]));
    cluster.run_on(&["host1"]);
    assert_eq!(state(&cluster)["leaving"], Value::Null);
    // When it comes back all the same, it is known and catches up: its CA was this cluster's.
    cluster.restart("host1");
    cluster.run();
    judge::works(&cluster, "host2", ALL);
}

#[test]
fn a_second_rollover_waits_for_the_first() {
    let mut cluster = Cluster::new(&["host1"]);
    cluster.run();
    let old = active(&cluster);
    cluster.ca.insert("replace".into(), json!(old));
    cluster.run();
    cluster.ca.insert("replace".into(), json!(active(&cluster)));
    let message = cluster.authority(&json!({})).fail();
    assert!(message.contains("is still being replaced") && message.contains("wait for host1"), "{message}");
    cluster.ca.insert("replace".into(), json!("0123456789"));
    assert!(cluster.authority(&json!({})).fail().contains("is still being replaced"));
    cluster.ca.insert("replace".into(), json!("0123"));
    assert!(cluster.authority(&json!({})).fail().contains("at least 8 digits"));
}

#[test]
fn a_lost_ca_is_not_silently_replaced() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    std::fs::remove_dir_all(cluster.private_dir()).unwrap();
    let reports = cluster.reports(&["host1", "host2"]);
    for module in [cluster.authority(&reports), cluster.authority(&reports).check()] {
        let message = module.fail();
        assert!(message.contains("holds no CA, but hosts already trust one (host1, host2)"), "{message}");
        assert!(message.contains("new_ca"), "{message}");
    }
    assert!(!cluster.private_dir().join("x509/state.json").exists());
    cluster.ca.insert("new_ca".into(), json!(true));
    cluster.run();
    // The hosts still trust the lost CA's name only until this run has reached them.
    cluster.run();
    for host in ["host1", "host2"] {
        judge::works(&cluster, host, ALL);
    }
    assert!(cluster.run().is_empty());
}

#[test]
fn a_ca_whose_key_others_may_know_or_whose_certificate_is_damaged_signs_nothing() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let cluster = Cluster::new(&["host1"]);
    let reports = cluster.reports(&["host1"]);
    cluster.authority(&reports).run();
    let folder = cluster.private_dir().join("x509/authorities").join(active(&cluster));
    let key = folder.join("private_key.pem");
    for mode in [0o666, 0o640] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let message = cluster.sign(&reports).fail();
        assert!(message.contains("can be read by others") && message.contains("chmod 600"), "{message}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for damaged in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(folder.join("certificate.pem"), damaged).unwrap();
        let message = cluster.authority(&reports).fail();
        assert!(message.contains("certificate.pem is damaged") && message.contains("restore"), "{message}");
    }
}

#[test]
fn ca_files_that_do_not_belong_together_sign_nothing() {
    let cluster = Cluster::new(&["host1"]);
    let reports = cluster.reports(&["host1"]);
    cluster.authority(&reports).run();
    let folder = cluster.private_dir().join("x509/authorities").join(active(&cluster));
    let key = folder.join("private_key.pem");
    let other = [
        "genpkey".as_ref(),
        "-algorithm".as_ref(),
        "EC".as_ref(),
        "-pkeyopt".as_ref(),
        "ec_paramgen_curve:P-256".as_ref(),
        "-out".as_ref(),
        key.as_os_str(),
    ];
    assert!(judge::openssl(other).status.success());
    let message = cluster.sign(&reports).fail();
    assert!(message.contains("the private key does not belong to the certificate"), "{message}");
    assert!(cluster.index().is_empty());
}
