//! First issue: what is made, with which names, modes and records.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use super::{
    cluster::{Cluster, DOMAIN},
    judge::{self, ALL},
};

#[test]
fn check_run_and_run_again() {
    let cluster = Cluster::new(&["host1", "host2"]);
    let before = crate::support::snapshot(cluster.root());
    let everything = ["request host1", "request host2", "ca", "sign", "install host1", "install host2"];
    assert_eq!(cluster.check(), everything);
    assert_eq!(before, crate::support::snapshot(cluster.root()), "check mode wrote something");
    assert_eq!(cluster.run(), everything);
    for host in ["host1", "host2"] {
        judge::works(&cluster, host, ALL);
    }
    let after = crate::support::snapshot(cluster.host("host1").as_path());
    assert!(cluster.run().is_empty());
    assert!(cluster.check().is_empty());
    assert_eq!(after, crate::support::snapshot(cluster.host("host1").as_path()));
}

#[test]
fn a_server_certificate_has_every_name_and_its_purpose_alone() {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    let server = cluster.file("host1", "web/server/cert.pem");
    assert_eq!(judge::field(&server, "-subject"), "subject=CN = web@host1");
    let names = judge::says([
        "x509".as_ref(),
        "-noout".as_ref(),
        "-ext".as_ref(),
        "subjectAltName".as_ref(),
        "-in".as_ref(),
        server.as_os_str(),
    ]);
    let found: BTreeSet<_> = names.lines().nth(1).unwrap().split(',').map(str::trim).collect();
    let expected = [
        format!("DNS:web.{DOMAIN}"),
        "DNS:host1".into(),
        format!("DNS:host1.{DOMAIN}"),
        "DNS:localhost".into(),
        format!("DNS:www.{DOMAIN}"),
        "IP Address:192.0.2.1".into(),
        "IP Address:2001:DB8:0:0:0:0:0:1".into(),
        "IP Address:127.0.0.1".into(),
        "IP Address:0:0:0:0:0:0:0:1".into(),
    ];
    assert_eq!(found, expected.iter().map(String::as_str).collect());
    let anchors = cluster.file("host1", "ca.pem");
    let of = |path: &str| cluster.file("host1", path);
    for (path, purpose, expected) in [
        ("web/client/cert.pem", "sslclient", true),
        ("web/client/cert.pem", "sslserver", false),
        ("web/server/cert.pem", "sslserver", true),
        ("web/server/cert.pem", "sslclient", false),
        ("etcd/server/cert.pem", "sslserver", true),
        ("etcd/server/cert.pem", "sslclient", true),
    ] {
        let said = judge::verify(&anchors, &of(path), purpose, &[]);
        assert_eq!(said.is_ok(), expected, "{path} as {purpose}: {said:?}");
    }
    for name in
        ["web.infra.example.com", "host1", "host1.infra.example.com", "localhost", "www.infra.example.com"]
    {
        judge::verify(&anchors, &server, "sslserver", &["-verify_hostname", name]).unwrap();
    }
    for address in ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"] {
        judge::verify(&anchors, &server, "sslserver", &["-verify_ip", address]).unwrap();
    }
    judge::verify(&anchors, &server, "sslserver", &["-verify_hostname", "host2"]).unwrap_err();
}

#[test]
fn nothing_of_the_crates_defaults_is_in_a_certificate() {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    let leaf = judge::text(&cluster.file("host1", "web/server/cert.pem"));
    let ca = judge::text(&cluster.file("host1", "ca.pem"));
    for (text, expected) in [
        (&leaf, "CA:FALSE"),
        (&leaf, "X509v3 Authority Key Identifier"),
        (&leaf, "Digital Signature"),
        (&ca, "CA:TRUE, pathlen:1"),
        (&ca, "Certificate Sign, CRL Sign"),
        (&ca, "X509v3 Subject Key Identifier"),
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    for text in [&leaf, &ca] {
        assert!(!text.contains("rcgen") && !text.contains("1975") && !text.contains("4096"), "{text}");
    }
    let (issuer, subject) = (
        judge::field(&cluster.file("host1", "web/server/cert.pem"), "-issuer"),
        judge::field(&cluster.file("host1", "ca.pem"), "-subject"),
    );
    assert_eq!(issuer.replace("issuer=", ""), subject.replace("subject=", ""));
    // `-checkend` fails when the certificate ends within these seconds.
    let ends = |path: &str, days: u32| {
        let path = cluster.file("host1", path);
        let seconds = (days * 86_400).to_string();
        !judge::openssl([
            "x509".as_ref(),
            "-noout".as_ref(),
            "-checkend".as_ref(),
            seconds.as_ref(),
            "-in".as_ref(),
            path.as_os_str(),
        ])
        .status
        .success()
    };
    assert!(!ends("web/server/cert.pem", 364) && ends("web/server/cert.pem", 366), "leaves live a year");
    assert!(!ends("ca.pem", 3649) && ends("ca.pem", 3651), "a CA lives ten years");
}

#[test]
fn keys_and_secrets_are_closed_to_others() {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(cluster.file("host1", "web/server/private_key.pem")), 0o640);
    assert_eq!(mode(cluster.file("host1", "web/server/cert.pem")), 0o644);
    assert!(!cluster.file("host1", ".pending").exists());
    let store = cluster.private_dir().join("x509");
    assert_eq!(mode(store.clone()), 0o700);
    let active = fs::read_dir(store.join("authorities")).unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(active.clone()), mode(active.join("private_key.pem"))), (0o700, 0o600));
}

#[test]
fn the_index_and_the_ledger_know_what_was_issued() {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    let index = cluster.index();
    assert_eq!(index.len(), 4);
    let serials: BTreeSet<_> = index.iter().map(|it| it["issued"]["serial"].as_str().unwrap()).collect();
    assert!(serials.iter().all(|it| it.len() == 32), "128 bits: {serials:?}");
    for (name, side) in ALL {
        let serial = judge::field(&cluster.file("host1", &format!("{name}/{side}/cert.pem")), "-serial");
        assert!(
            serials.contains(&*serial.replace("serial=", "").to_lowercase()),
            "{serial} is not in the index"
        );
    }
    let ledger = cluster.ledger("host1");
    assert_eq!(ledger["services"]["web"]["credentials"], json!([cluster.file("host1", "web")]));
    assert_eq!(ledger["restarts"], json!({}), "nothing ran before");
}

#[test]
fn ed25519_by_choice() {
    let mut cluster = Cluster::new(&["host1"]);
    cluster.policy.insert("key_type".into(), json!("ed25519"));
    cluster.ca.insert("key_type".into(), json!("ed25519"));
    cluster.run();
    judge::works(&cluster, "host1", ALL);
    assert!(
        judge::text(&cluster.file("host1", "web/client/cert.pem")).contains("Public Key Algorithm: ED25519")
    );
    assert!(cluster.run().is_empty());
}

#[test]
fn a_virgin_cluster_with_one_dead_host_serves_the_other() {
    let cluster = Cluster::new(&["host1", "host2"]);
    cluster.run_on(&["host2"]);
    judge::works(&cluster, "host2", ALL);
    assert!(!cluster.file("host1", "web").exists());
    cluster.run();
    judge::works(&cluster, "host1", ALL);
}

#[test]
fn runs_at_the_same_time_wait_for_each_other() {
    let hosts = ["host1", "host2", "host3", "host4"];
    let cluster = Cluster::new(&hosts);
    cluster.authority(&json!({})).run();
    let signing: Vec<_> = hosts.iter().map(|host| cluster.sign(&cluster.reports(&[host]))).collect();
    std::thread::scope(|scope| {
        for module in &signing {
            scope.spawn(|| (0..3).for_each(|_| drop(module.run())));
        }
    });
    let index = cluster.index();
    let serials: BTreeSet<_> = index.iter().map(|it| it["issued"]["serial"].to_string()).collect();
    assert_eq!((index.len(), serials.len()), (48, 48), "every certificate is in the index, whole");
}
