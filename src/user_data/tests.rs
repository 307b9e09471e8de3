//! What a boot configuration says, and what is refused.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::*;

fn request() -> BootRequest {
    BootRequest {
        cluster: "demo".into(),
        role: "manager".into(),
        expect: 3,
        interfaces: vec!["eth0".into(), "enp1s0.4".into()],
        timeout: 600,
        domain: String::new(),
        authorized_keys: Vec::new(),
        allowed_ids: Vec::new(),
        bundle: None,
        bootstrap_key: false,
    }
}

fn shared() -> Shared {
    Shared { secret: "5ec2e7".repeat(8).into(), bootstrap_key: None, new: false }
}

fn rendered(request: BootRequest) -> (String, Value) {
    let text = render(&request.validated().unwrap(), &shared()).unwrap();
    (text.to_string(), serde_saphyr::from_str(&text).unwrap())
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Hk6sJXgvHhAaGkE9Ypr8PKIXb0cUvxdiEzUdkYjbR \"you\": # me\\";

#[test]
fn values_come_out_as_they_went_in() {
    let url = "https://example.com/a%20b/bundle.tar.gz?x=1&y=2".to_owned();
    let bundle = Some(Bundle { url, sha256: "ab".repeat(32) });
    let asked = BootRequest {
        authorized_keys: vec![KEY.into()],
        allowed_ids: vec!["ab12cd34".into()],
        bundle,
        ..request()
    };
    let (text, read) = rendered(asked);
    assert_eq!(read["users"][0]["ssh_authorized_keys"][0], KEY);
    let limited = format!("from=\"10.0.0.0/8\",command=\"echo a b\" {KEY}");
    let (_, read) = rendered(BootRequest { authorized_keys: vec![limited.clone()], ..request() });
    assert_eq!(read["users"][0]["ssh_authorized_keys"][0], limited);
    assert!(text.contains(
        "ExecStart=/opt/minicluster/boot --cluster demo --role manager --expect 3 --timeout 600 --iface eth0 \
         --iface enp1s0.4 --allow ab12cd34\n"
    ));
    assert!(text.contains("Environment=MINICLUSTER_DOMAIN=demo.internal\n"));
    // A percent sign begins a specifier of systemd.
    assert!(
        text.contains("minicluster-fetch https://example.com/a%%20b/bundle.tar.gz?x=1&y=2 abab"),
        "{text}"
    );
    assert!(!text.contains("PRIVATE KEY") && !text.contains("@{") && !text.contains("@["), "{text}");
}

#[test]
fn what_is_not_asked_for_is_not_there() {
    let (text, read) = rendered(request());
    let paths: Vec<_> = read["write_files"].as_array().unwrap().iter().map(|it| it["path"].clone()).collect();
    assert_eq!(paths, [render::SECRET_PATH, "/etc/systemd/system/minicluster-bootstrap.service"]);
    assert!(!text.contains("ExecStartPre"), "{text}");
    assert_eq!(read["users"][0]["ssh_authorized_keys"], Value::Array(Vec::new()));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_name() {
    let bundle = |url: &str, sha256: &str| Some(Bundle { url: url.into(), sha256: sha256.into() });
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk".to_owned();
    for (asked, expected) in [
        (BootRequest { cluster: "de mo".into(), ..request() }, "cluster is 'de mo'"),
        (BootRequest { cluster: "x\nExecStart=/bin/sh".into(), ..request() }, "cluster is"),
        (BootRequest { domain: "a..b".into(), ..request() }, "domain is 'a..b'"),
        (BootRequest { role: "master".into(), ..request() }, "role is 'master'; expected manager or worker"),
        (BootRequest { expect: 0, ..request() }, "expect is '0'"),
        (BootRequest { timeout: 0, ..request() }, "timeout is '0'"),
        (BootRequest { interfaces: Vec::new(), ..request() }, "at least one interface"),
        (BootRequest { interfaces: vec!["eth0 --expect 1".into()], ..request() }, "interfaces is"),
        (BootRequest { interfaces: vec!["-x".into()], ..request() }, "interfaces is '-x'"),
        (BootRequest { allowed_ids: vec!["me".into()], ..request() }, "allowed_ids is 'me'"),
        (BootRequest { authorized_keys: vec![private], ..request() }, "give the public one"),
        (BootRequest { authorized_keys: vec!["ssh-ed25519 AAAA".into()], ..request() }, "authorized_keys"),
        (
            BootRequest { authorized_keys: vec![KEY.into(), "from=\"x\"".into()], ..request() },
            "entry 2 of authorized_keys",
        ),
        (BootRequest { authorized_keys: vec![format!("{KEY}\n{KEY}")], ..request() }, "authorized_keys"),
        (BootRequest { bundle: bundle("ftp://x", &"ab".repeat(32)), ..request() }, "bundle_url is 'ftp://x'"),
        (BootRequest { bundle: bundle("https://x/$(id)", &"ab".repeat(32)), ..request() }, "bundle_url is"),
        (BootRequest { bundle: bundle("https://x/a b", &"ab".repeat(32)), ..request() }, "bundle_url is"),
        (BootRequest { bundle: bundle("https://x", "abc"), ..request() }, "bundle_sha256 is 'abc'"),
    ] {
        let error = asked.validated().unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("b3Blbn"), "{expected}: {error}");
    }
    assert!(Bundle::new("https://x", "").is_err() && Bundle::new("", "ab").is_err());
}

#[test]
fn it_stays_below_what_clouds_take() {
    let asked = BootRequest { authorized_keys: vec![KEY.into(); 200], ..request() };
    let error = render(&asked.validated().unwrap(), &shared()).unwrap_err().to_string();
    assert!(error.contains("give fewer authorized_keys"), "{error}");
}
