//! Why a certificate is issued again, with which key, and whom that restarts.

use std::fs;

use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    judge::{self, ALL},
};

/// The first word of each reason, with what becomes of the key.
fn reasons(cluster: &Cluster) -> Vec<String> {
    let asked = cluster.request("host1").check().run();
    let describe = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap().to_owned();
        format!(
            "{}/{} {} {}",
            text("credential"),
            text("side"),
            text("reason").split(':').next().unwrap(),
            text("key")
        )
    };
    asked.0["requests"].as_array().unwrap().iter().map(describe).collect()
}

fn cluster() -> Cluster {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    assert_eq!(reasons(&cluster), Vec::<String>::new());
    cluster
}

/// Runs the play; afterwards all is well, and nothing more is to be done.
fn heals(cluster: &Cluster) {
    cluster.run();
    judge::works(cluster, "host1", ALL);
    assert_eq!(reasons(cluster), Vec::<String>::new());
    assert!(cluster.run().is_empty());
}

#[test]
fn a_renewal_keeps_the_key_and_restarts_only_who_uses_it() {
    let mut cluster = cluster();
    let key = cluster.file("host1", "web/server/private_key.pem");
    let certificate = cluster.file("host1", "web/server/cert.pem");
    let (key_before, before) = (fs::read(&key).unwrap(), judge::field(&certificate, "-serial"));
    cluster.services.get_mut("web").unwrap()["service_credentials"][0]["extra_san"] = json!(["www", "shop"]);
    assert_eq!(reasons(&cluster), ["web/server policy keep"]);
    heals(&cluster);
    assert_eq!(key_before, fs::read(&key).unwrap());
    // The serial number is new although the key is not.
    assert_ne!(before, judge::field(&certificate, "-serial"));
    assert!(judge::text(&certificate).contains("DNS:shop.infra.example.com"));
    let restarts = cluster.ledger("host1")["restarts"].clone();
    assert_eq!(restarts, json!({"web.service": "new server certificate 'web'"}));
}

#[test]
fn units_that_only_the_ledger_knows_are_restarted_too() {
    let mut cluster = cluster();
    let web = cluster.services.get_mut("web").unwrap();
    web.as_object_mut().unwrap().remove("units");
    web["service_credentials"][0]["extra_san"] = json!(["www", "shop"]);
    let mut ledger = cluster.ledger("host1");
    ledger["services"]["web"]["units"] = json!(["website.service"]);
    fs::write(cluster.host("host1").join("ledger/ledger.json"), ledger.to_string()).unwrap();
    heals(&cluster);
    let restarts = cluster.ledger("host1")["restarts"].clone();
    assert_eq!(restarts, json!({"website.service": "new server certificate 'web'"}));
}

#[test]
fn a_certificate_is_renewed_when_its_part_is_left() {
    let mut cluster = cluster();
    // Less than 52 minutes old.
    cluster.policy.insert("renew_fraction".into(), json!(0.9999));
    assert_eq!(reasons(&cluster), Vec::<String>::new());
    // A second old.
    cluster.policy.insert("renew_fraction".into(), json!(0.999_999_999));
    assert_eq!(reasons(&cluster).len(), 4);
    assert!(reasons(&cluster).iter().all(|it| it.ends_with(" expiring keep")), "{:?}", reasons(&cluster));
}

#[test]
fn another_policy_reissues_and_the_same_never_does() {
    for (option, value, expected) in [
        ("lifetime", json!("10m"), "policy keep"),
        ("lifetime", json!("730d"), "policy keep"),
        ("key_type", json!("ed25519"), "policy new"),
    ] {
        let mut cluster = cluster();
        cluster.policy.insert(option.into(), value.clone());
        assert!(
            reasons(&cluster).iter().all(|it| it.ends_with(expected)),
            "{option} {value}: {:?}",
            reasons(&cluster)
        );
        assert_eq!(reasons(&cluster).len(), 4);
        heals(&cluster);
    }
    let mut cluster = cluster();
    cluster.services.get_mut("etcd").unwrap()["service_credentials"][0]["server_cert_mode"] = json!("server");
    assert_eq!(reasons(&cluster), ["etcd/server policy keep"]);
    cluster.hosts.insert("host1".into(), vec!["203.0.113.5".into()]);
    assert_eq!(reasons(&cluster), ["etcd/server policy keep", "web/server policy keep"]);
    heals(&cluster);
}

#[test]
fn what_is_broken_on_the_host_is_named_and_healed() {
    let cluster = cluster();
    let path = |it: &str| cluster.file("host1", it);
    let cases: &[(&str, &str)] = &[
        ("rm web/server/cert.pem", "web/server missing keep"),
        ("rm web/server/private_key.pem", "web/server missing new"),
        ("rm -r web/server", "web/server missing new"),
        ("rm -r web", "web/client missing new"),
        ("echo nonsense > web/server/cert.pem", "web/server unreadable keep"),
        ("sed -i s/A/B/ web/server/cert.pem", "web/server unreadable keep"),
        ("truncate -s 300 web/server/cert.pem", "web/server unreadable keep"),
        (": > web/server/cert.pem", "web/server unreadable keep"),
        ("echo nonsense > web/server/private_key.pem", "web/server unreadable new"),
        (": > web/server/private_key.pem", "web/server unreadable new"),
        ("cp etcd/server/cert.pem web/server/cert.pem", "web/server mismatch new"),
        ("cp etcd/server/private_key.pem web/server/private_key.pem", "web/server mismatch new"),
        ("cp etcd/server/* web/server/", "web/server policy new"),
        ("openssl genrsa -out web/server/private_key.pem 2048", "web/server policy new"),
        (
            "openssl ecparam -name prime256v1 -genkey -out web/server/private_key.pem",
            "web/server unreadable new",
        ),
    ];
    for (damage, expected) in cases {
        let done =
            std::process::Command::new("sh").args(["-ec", damage]).current_dir(path("")).output().unwrap();
        assert!(done.status.success(), "{damage}: {done:?}");
        let found = reasons(&cluster);
        assert!(found.iter().any(|it| it == expected), "{damage}: {found:?}");
        assert!(found.iter().all(|it| it.starts_with("web/")), "{damage}: {found:?}");
        heals(&cluster);
    }
}

#[test]
fn a_key_from_openssl_is_kept() {
    let cluster = cluster();
    let key = cluster.file("host1", "web/client/private_key.pem");
    let made = judge::openssl([
        "genpkey".as_ref(),
        "-algorithm".as_ref(),
        "EC".as_ref(),
        "-pkeyopt".as_ref(),
        "ec_paramgen_curve:P-256".as_ref(),
        "-out".as_ref(),
        key.as_os_str(),
    ]);
    assert!(made.status.success(), "{made:?}");
    fs::remove_file(cluster.file("host1", "web/client/cert.pem")).unwrap();
    let before = fs::read(&key).unwrap();
    assert_eq!(reasons(&cluster), ["web/client missing keep"]);
    heals(&cluster);
    assert_eq!(before, fs::read(&key).unwrap());
}

#[test]
fn the_mode_of_a_key_is_corrected_without_a_new_certificate() {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = cluster();
    let key = cluster.file("host1", "web/client/private_key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(cluster.run(), ["install host1"]);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(cluster.run().is_empty());
}

#[test]
fn a_credential_that_a_service_gives_up_stays_until_its_program_is_configured_without_it() {
    let mut cluster = cluster();
    let before = cluster.services["web"].clone();
    let held = |cluster: &Cluster| cluster.ledger("host1")["services"]["web"].clone();
    let (old, new) = (cluster.file("host1", "web"), cluster.file("host1", "web-new"));
    cluster.services.get_mut("web").unwrap()["service_credentials"] =
        json!([{"name": "web-new", "enable_client": false}]);
    let asked = cluster.reports(&["host1"]);
    let (authority, signed) = (cluster.authority(&asked).run(), cluster.sign(&asked).run());
    let diff = cluster.install("host1", &authority, &signed).with("_ansible_diff", true).check().run();
    assert!(diff.0["diff"].to_string().contains("unused, removed at the end of a run"), "{diff:?}");
    cluster.run();
    judge::works(&cluster, "host1", ALL);
    assert!(new.join("server/cert.pem").exists());
    assert_eq!(
        (&held(&cluster)["credentials"], &held(&cluster)["unused"]),
        (&json!([old, new]), &json!([old]))
    );
    assert!(cluster.run().is_empty(), "it is marked once");

    // Its role has not run, or has failed.
    assert!(!cluster.turndown("host1", &["etcd"]).run().changed());
    // Named again in time, it is not removed.
    let meanwhile = cluster.services.insert("web".into(), before).unwrap();
    assert_eq!(cluster.run(), ["install host1"]);
    assert_eq!(held(&cluster)["unused"], json!([new]));
    cluster.services.insert("web".into(), meanwhile);
    cluster.run();

    let done = cluster.turndown("host1", &["web", "etcd"]).converges(&cluster.host("host1"));
    assert_eq!(done.0["unused"], json!([old]));
    assert!(!old.exists() && new.join("server/cert.pem").exists());
    assert_eq!((&held(&cluster)["credentials"], &held(&cluster)["unused"]), (&json!([new]), &json!([])));

    cluster.services.get_mut("etcd").unwrap()["service_credentials"][0]["enable_client"] = json!(false);
    cluster.run();
    assert!(cluster.file("host1", "etcd/client").exists());
    cluster.turndown("host1", &["web", "etcd"]).run();
    assert!(!cluster.file("host1", "etcd/client").exists() && cluster.file("host1", "etcd/server").exists());
    // What belongs to a service that leaves the host is not this module's.
    cluster.groups.insert("etcd".into(), vec![]);
    cluster.run();
    assert!(cluster.file("host1", "etcd/server/cert.pem").exists());
    assert!(cluster.run().is_empty());
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_while_it_removes_credentials_turndown_finishes() {
    let mut cluster = cluster();
    cluster.services.get_mut("web").unwrap()["service_credentials"] = json!([{"name": "new"}]);
    cluster.services.get_mut("etcd").unwrap()["service_credentials"][0]["enable_client"] = json!(false);
    cluster.run();
    let turndown = cluster.turndown("host1", &["web", "etcd"]);
    turndown.killed_at("service_turndown:unused");
    assert!(turndown.run().changed() && !turndown.run().changed());
    assert!(!cluster.file("host1", "web").exists() && !cluster.file("host1", "etcd/client").exists());
    assert!(cluster.run().is_empty());
}

/// Each wants keys of another kind, so that each always puts new keys beside those in use.
#[test]
fn two_control_nodes_at_the_same_time_leave_keys_and_certificates_that_fit() {
    let cluster = cluster();
    let run = |kind: &str| {
        let reports = json!({"host1": cluster.request("host1").with("key_type", kind).run().0});
        let signed = cluster.sign(&reports).with("key_type", kind).run();
        let authority = cluster.authority(&json!({})).run();
        // It may find another run's keys; then it changes nothing, and says so.
        let said = String::from_utf8(cluster.install("host1", &authority, &signed).output().stdout).unwrap();
        assert!(
            !said.contains("\"failed\":true") || said.contains("another run may have made new requests"),
            "{said}"
        );
        // The lock that the modules take.
        let folder = fs::File::open(cluster.file("host1", ".lock")).unwrap();
        rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).unwrap();
        for (name, side) in ALL {
            judge::are_a_pair(&cluster.file("host1", &format!("{name}/{side}")));
        }
    };
    std::thread::scope(|scope| {
        for kind in ["ed25519", "ecdsa_p256", "ed25519"] {
            let run = &run;
            scope.spawn(move || (0..4).for_each(|_| run(kind)));
        }
    });
    heals(&cluster);
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let mut cluster = cluster();
    cluster.policy.insert("key_type".into(), json!("ed25519"));
    let reports = cluster.reports(&["host1"]);
    let authority = cluster.authority(&reports).run();
    let signed = cluster.sign(&reports).run();
    let arguments = cluster.install("host1", &authority, &signed);
    let file = cluster.root().join("arguments.json");
    fs::write(&file, json!(arguments.arguments()).to_string()).unwrap();
    // No file may grow: writing fails as on a full disk.
    let program = arguments.command().get_program().to_owned();
    let output = std::process::Command::new("sh")
        .args(["-ec", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$1\""])
        .arg(program)
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\"failed\":true") && said.contains("cannot write"), "{output:?}");
    judge::works(&cluster, "host1", ALL);
    heals(&cluster);
}

/// What is mounted into containers, where a file that is replaced beside it would never arrive.
#[test]
fn copies_for_containers_follow_the_authority() {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    let copies = cluster.host("host1").join("credentials/containers/web");
    std::fs::create_dir_all(&copies).unwrap();
    cluster.run();
    assert!(!copies.join("ca.pem").exists(), "no container has started there");
    std::fs::write(copies.join("ca.pem"), "old").unwrap();
    assert!(cluster.check().contains(&"install host1".to_owned()));
    cluster.run();
    for name in ["ca.pem", "crl.pem"] {
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(copies.join(name)), read(cluster.file("host1", name)), "{name}");
    }
    assert_eq!(cluster.check(), Vec::<String>::new());
}
