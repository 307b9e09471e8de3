//! What the control node refuses: one host is told why, the others get their certificates.

use std::{fs, process::Command};

use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    judge::{self, ALL},
};

/// Signs `reports`; the first host is refused with this message, the second is served.
fn refused(cluster: &Cluster, reports: &Value, expected: &str) {
    let authority = cluster.authority(reports).run();
    let signed = cluster.sign(reports).run();
    let hosts = &signed.0["hosts"];
    let why = hosts["host1"]["refused"].to_string();
    assert!(why.contains(expected), "expected '{expected}': {why}");
    assert_eq!(hosts["host1"]["certificates"], json!([]));
    assert_eq!(hosts["host2"]["refused"], json!([]));
    assert_eq!(hosts["host2"]["certificates"].as_array().unwrap().len(), 4);
    let message = cluster.install("host1", &authority, &signed).fail();
    assert!(message.contains(expected), "{message}");
    cluster.install("host2", &authority, &signed).run();
    judge::works(cluster, "host2", ALL);
    assert!(!cluster.file("host1", "web/server").exists());
}

fn csr(program: &str) -> String {
    let output =
        Command::new("sh").args(["-ec", program]).current_dir(std::env::temp_dir()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const EC: &str = "openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout /dev/null";

#[test]
fn a_request_that_is_none() {
    let mut flipped = csr(&format!("{EC} -subj /CN=x"));
    // One digit of the signature, near the end.
    let at = flipped.rfind("-----END").unwrap() - 12;
    let other = if &flipped[at..=at] == "A" { "B" } else { "A" };
    flipped.replace_range(at..=at, other);
    for (bad, expected) in [
        ("nonsense".to_owned(), "is not a CSR"),
        (flipped, "has a wrong signature"),
        (
            csr("openssl req -new -nodes -newkey rsa:2048 -keyout /dev/null -subj /CN=x 2>/dev/null"),
            "another type of key than ecdsa_p256",
        ),
        (
            csr(
                "openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-384 -keyout /dev/null -subj /CN=x",
            ),
            "another type of key",
        ),
        (csr("openssl req -new -nodes -newkey ed25519 -keyout /dev/null -subj /CN=x"), "another type of key"),
    ] {
        let cluster = Cluster::new(&["host1", "host2"]);
        let mut reports = cluster.reports(&["host1", "host2"]);
        reports["host1"]["requests"][0]["csr"] = json!(bad);
        refused(&cluster, &reports, expected);
    }
}

#[test]
fn a_host_that_asks_for_what_is_not_its_own() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.groups.insert("etcd".into(), vec!["host2".into()]);
    let with = |cluster: &Cluster, change: &dyn Fn(&mut Value)| {
        let mut reports = cluster.reports(&["host1", "host2"]);
        change(&mut reports["host1"]);
        reports
    };
    for (expected, change) in [
        (
            "the inventory gives this host no server certificate 'etcd'",
            (|it: &mut Value| it["requests"][0]["credential"] = json!("etcd")) as fn(&mut Value),
        ),
        ("no client certificate '../x'", |it| it["requests"][0]["credential"] = json!("../x")),
        ("is requested twice", |it| it["requests"][1] = it["requests"][0].clone()),
        ("what the host reported is not understood", |it| *it = json!("nonsense")),
        ("what the host reported is not understood", |it| *it = json!(r#"{"zzz": NaN}"#)),
        ("what the host reported is not understood", |it| it["requests"] = json!([{"credential": 5}])),
        ("trusts another cluster's CA", |it| it["anchors"] = json!(["00ff"])),
    ] {
        let mut cluster = Cluster::new(&["host1", "host2"]);
        cluster.groups.insert("etcd".into(), vec!["host2".into()]);
        // Another CA counts only once there is one of our own.
        cluster.authority(&json!({})).run();
        let mut reports = with(&cluster, &change);
        if expected.contains("no server certificate") {
            reports["host1"]["requests"][0]["side"] = json!("server");
        }
        let signed = cluster.sign(&reports).run();
        let why = signed.0["hosts"]["host1"]["refused"].to_string();
        assert!(why.contains(expected), "expected '{expected}': {why}");
        assert_eq!(signed.0["hosts"]["host2"]["certificates"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn what_a_request_asks_for_is_never_looked_at() {
    let cluster = Cluster::new(&["host1"]);
    let configuration = cluster.root().join("openssl.cnf");
    fs::write(
        &configuration,
        "[req]\ndistinguished_name=d\nreq_extensions=e\nprompt=no\n[d]\nCN=root@everything\n[e]\nbasicConstraints=critical,CA:TRUE\n\
         keyUsage=keyCertSign\nextendedKeyUsage=serverAuth,codeSigning,1.2.3.4\nsubjectAltName=DNS:bank.example,IP:203.0.113.1\n\
         subjectKeyIdentifier=hash\n1.2.3.4.5=ASN1:UTF8String:x\n",
    )
    .unwrap();
    let mut reports = cluster.reports(&["host1"]);
    let key = cluster.file("host1", ".pending/web/client/private_key.pem");
    let made = judge::says([
        "req".as_ref(),
        "-new".as_ref(),
        "-config".as_ref(),
        configuration.as_os_str(),
        "-key".as_ref(),
        key.as_os_str(),
    ]);
    let requests = reports["host1"]["requests"].as_array_mut().unwrap();
    let one = requests.iter_mut().find(|it| it["credential"] == "web" && it["side"] == "client").unwrap();
    one["csr"] = json!(made);
    let authority = cluster.authority(&reports).run();
    let signed = cluster.sign(&reports).run();
    cluster.install("host1", &authority, &signed).run();
    judge::works(&cluster, "host1", ALL);
    let certificate = cluster.file("host1", "web/client/cert.pem");
    assert_eq!(judge::field(&certificate, "-subject"), "subject=CN = web@host1");
    let text = judge::text(&certificate);
    for asked in [
        "bank.example",
        "203.0.113.1",
        "CA:TRUE",
        "Certificate Sign",
        "Code Signing",
        "1.2.3.4",
        "Server Authentication",
    ] {
        assert!(!text.contains(asked), "{asked} is in {text}");
    }
    assert!(cluster.run().is_empty());
}

#[test]
fn two_hosts_with_one_short_name() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.hosts.insert("host1.example.org".into(), vec![]);
    let reports = cluster.reports(&["host1", "host2"]);
    refused(&cluster, &reports, "hosts 'host1' and 'host1.example.org' have the same short name");
}

#[test]
fn a_name_that_belongs_to_another() {
    // Of the two hosts, the first is refused; etcd runs only on the second.
    let cases: &[(&str, &[&str], &str)] = &[
        ("etcd.infra.example.com", &[], "'etcd.infra.example.com', the name of service 'etcd'"),
        ("ETCD.infra.example.com.", &[], "'etcd.infra.example.com', the name of service 'etcd'"),
        ("Etcd", &[], "'etcd.infra.example.com', the name of service 'etcd'"),
        ("host1", &["etcd"], "'etcd.infra.example.com', the name of service 'etcd'"),
        ("host1", &["host2"], "'host2.infra.example.com', a name of host 'host2'"),
        ("host1", &["*"], "'*.infra.example.com', which also stands for"),
    ];
    for (name, extra_san, expected) in cases {
        let mut cluster = Cluster::new(&[name, "host2"]);
        cluster.groups.insert("etcd".into(), vec!["host2".into()]);
        cluster.services.get_mut("web").unwrap()["service_credentials"][0]["extra_san"] = json!(extra_san);
        let reports = cluster.reports(&[name, "host2"]);
        cluster.authority(&reports).run();
        let signed = cluster.sign(&reports).run();
        let hosts = &signed.0["hosts"];
        let why = hosts[name]["refused"].to_string();
        assert!(why.contains(expected), "{name} {extra_san:?}: expected '{expected}': {why}");
        assert_eq!(hosts[name]["certificates"], json!([]));
        // The other has a right to these names, except to all of them.
        let all = extra_san == &["*"];
        assert_eq!(
            hosts["host2"]["certificates"].as_array().unwrap().len(),
            if all { 0 } else { 4 },
            "{signed:?}"
        );
    }
}

#[test]
fn a_name_of_its_own_may_be_given_twice() {
    for extra_san in ["web", "etcd", "host1", "*.apps"] {
        let mut cluster = Cluster::new(&["host1"]);
        cluster.services.get_mut("web").unwrap()["service_credentials"][0]["extra_san"] = json!([extra_san]);
        cluster.run();
        judge::works(&cluster, "host1", ALL);
    }
}

#[test]
fn a_host_whose_variables_are_others() {
    let cluster = Cluster::new(&["host1", "host2"]);
    let with = |host: &str, lifetime: &str| {
        let settings = json!({"common_certificate_lifetime": lifetime, "cluster_networks": []});
        cluster.request(host).with("settings", settings).run().0
    };
    let sign = |reports: Value| {
        let settings = json!({"common_certificate_lifetime": "365d", "cluster_networks": []});
        cluster.sign(&reports).with("settings", settings).run().0["hosts"].clone()
    };
    cluster.authority(&json!({})).run();
    let hosts = sign(json!({"host1": with("host1", "30d"), "host2": with("host2", "365d")}));
    let expected = "the variable 'common_certificate_lifetime' is \"30d\" for host 'host1', but certificates are \
                    signed with \"365d\"";
    let why = hosts["host1"]["refused"][0].as_str().unwrap();
    assert!(why.starts_with(expected) && hosts["host1"]["certificates"] == json!([]), "{why}");
    assert_eq!(hosts["host2"]["certificates"].as_array().unwrap().len(), 4);
    // One that keeps quiet of it is refused too.
    let hosts = sign(json!({"host1": cluster.request("host1").run().0}));
    assert!(hosts["host1"]["refused"].to_string().contains("is null for host 'host1'"), "{hosts}");
}

#[test]
fn facts_that_stand_as_variables() {
    let cluster = Cluster::new(&["host1", "host2"]);
    let reports = cluster.reports(&["host1", "host2"]);
    let private_dir = cluster.private_dir();
    for module in [cluster.authority(&reports), cluster.sign(&reports)] {
        let message = module.clone().with("inject_facts_as_vars", true).fail();
        assert!(message.contains("set `inject_facts_as_vars = false`"), "{message}");
        let message = module.clone().check().with("inject_facts_as_vars", "True").fail();
        assert!(message.contains("set `inject_facts_as_vars = false`"), "{message}");
        // A relative path would be another directory for another playbook.
        let message = module.with("private_dir", "private").fail();
        assert!(message.contains("option 'private_dir': 'private' is a relative path"), "{message}");
    }
    assert!(!private_dir.exists());
}

#[test]
fn a_common_name_that_is_too_long() {
    let cluster = Cluster::new(&["a-host-whose-name-is-so-long-that-it-does-not-fit-with-a-service"]);
    let message = cluster.request("a-host-whose-name-is-so-long-that-it-does-not-fit-with-a-service").fail();
    assert!(message.contains("longer than 64 characters"), "{message}");
}

#[test]
fn a_key_that_lies_on_another_host() {
    let cluster = Cluster::new(&["host1", "host2"]);
    cluster.run_on(&["host1"]);
    // A copied machine: everything of host1 lies on host2, and the host asks for new keys by itself.
    let copy =
        Command::new("cp").arg("-a").arg(cluster.host("host1")).arg(cluster.host("host2")).status().unwrap();
    assert!(copy.success());
    let reports = cluster.reports(&["host2"]);
    let requests = reports["host2"]["requests"].as_array().unwrap();
    assert!(requests.len() == 4 && requests.iter().all(|it| it["key"] == "new"), "{requests:?}");
    // One that keeps the key all the same is refused.
    let key = cluster.file("host1", "web/client/private_key.pem");
    let made = judge::says([
        "req".as_ref(),
        "-new".as_ref(),
        "-subj".as_ref(),
        "/CN=x".as_ref(),
        "-key".as_ref(),
        key.as_os_str(),
    ]);
    let mut stolen = reports.clone();
    stolen["host2"]["requests"][0]["csr"] = json!(made);
    let signed = cluster.sign(&stolen).run();
    let why = signed.0["hosts"]["host2"]["refused"].to_string();
    assert!(why.contains("is for a key of host 'host1'"), "{why}");
    cluster.run();
    judge::works(&cluster, "host2", ALL);
}

#[test]
fn a_key_that_lies_on_two_hosts_which_ask_at_the_same_time() {
    let cluster = Cluster::new(&["host1", "host2"]);
    let mut reports = cluster.reports(&["host1", "host2"]);
    cluster.authority(&reports).run();
    reports["host2"]["requests"][0]["csr"] = reports["host1"]["requests"][0]["csr"].clone();
    let hosts = &cluster.sign(&reports).run().0["hosts"];
    assert_eq!(hosts["host1"]["certificates"].as_array().unwrap().len(), 4);
    let why = hosts["host2"]["refused"].to_string();
    assert!(
        why.contains("is for a key of host 'host1'") && hosts["host2"]["certificates"] == json!([]),
        "{why}"
    );
}

#[test]
fn a_private_dir_in_which_others_can_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = Cluster::new(&["host1"]);
    fs::create_dir(cluster.private_dir()).unwrap();
    for mode in [0o770, 0o702] {
        fs::set_permissions(cluster.private_dir(), fs::Permissions::from_mode(mode)).unwrap();
        let message = cluster.authority(&json!({})).fail();
        assert!(message.contains("others can write in") && message.contains("chmod go-w"), "{message}");
    }
    fs::set_permissions(cluster.private_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    cluster.authority(&json!({})).run();
}

#[test]
fn addresses_that_a_host_reports_of_itself() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    let reported = |cluster: &Cluster, address: &str| {
        let mut reports = cluster.reports(&["host1", "host2"]);
        reports["host1"]["reported_addresses"] = json!([address]);
        reports["host2"]["reported_addresses"] = json!([]);
        let signed = cluster.sign(&reports).run();
        let names = |it: &Value| it["issued"]["names"].to_string();
        let issued: Vec<_> =
            cluster.index().iter().filter(|it| it["issued"]["host"] == "host1").map(names).collect();
        (signed.0["hosts"]["host1"]["refused"].to_string(), issued.concat())
    };
    cluster.authority(&json!({})).run();
    let (refused, names) = reported(&cluster, "198.51.100.7");
    assert!(
        refused == "[]" && !names.contains("198.51.100.7"),
        "without the option it is not looked at: {names}"
    );
    cluster.policy.insert("report_addresses".into(), json!(true));
    cluster.policy.insert("cluster_networks".into(), json!(["198.51.100.0/24", "192.0.2.0/24"]));
    let (refused, _) = reported(&cluster, "203.0.113.7");
    assert!(refused.contains("not within cluster_networks"), "{refused}");
    let (refused, _) = reported(&cluster, "192.0.2.2");
    assert!(refused.contains("belongs to host 'host2'"), "the inventory says so: {refused}");
    cluster.policy.insert("cluster_networks".into(), json!(["198.51.100.0/24", "0.0.0.0/0", "::/0"]));
    // host2's address written otherwise, and addresses that are no host's alone.
    for (address, expected) in [
        ("::ffff:192.0.2.2", "written as an IPv6 one"),
        ("::192.0.2.2", "written as an IPv6 one"),
        ("0.0.0.0", "unspecified"),
        ("127.0.0.2", "loopback"),
        ("fe80::1", "link-local"),
        ("ff02::1", "multicast"),
    ] {
        let (refused, names) = reported(&cluster, address);
        assert!(refused.contains(expected) && !names.contains(address), "{address}: {refused} {names}");
    }
    cluster.policy.insert("cluster_networks".into(), json!(["198.51.100.0/24", "192.0.2.0/24"]));
    let (refused, names) = reported(&cluster, "198.51.100.7");
    assert!(refused == "[]" && names.contains("198.51.100.7"), "{refused} {names}");
    // Now it is host1's: another that reports it is refused, also when host1 does not take part.
    let mut reports = cluster.reports(&["host2"]);
    reports["host2"]["reported_addresses"] = json!(["198.51.100.7"]);
    let signed = cluster.sign(&reports).run();
    let why = signed.0["hosts"]["host2"]["refused"].to_string();
    assert!(why.contains("belongs to host 'host1'"), "{why}");
}
