//! `minicluster certs` over what a play has issued.

use std::process::Command;

use serde_json::{Value, json};

use super::{cluster::Cluster, judge};

fn certs(cluster: &Cluster, arguments: &[&str]) -> String {
    ends(cluster, arguments, 0)
}

/// The same, with this exit status.
fn ends(cluster: &Cluster, arguments: &[&str], status: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_minicluster"))
        .args(["certs", "--private-dir"])
        .arg(cluster.private_dir())
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.code() == Some(status) && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn certificates_are_listed_by_host_and_by_their_end() {
    let mut cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    assert!(certs(&cluster, &[]).ends_with("8 certificates\n"));
    let text = certs(&cluster, &["host2"]);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("host2  etcd        client  "), "{text}");
    assert_eq!(certs(&cluster, &["--expiring", "30d", "--json"]), "[]\n");
    assert!(ends(&cluster, &["--expiring", "366d"], 3).ends_with("8 certificates\n"));

    // A shorter life: what it replaces is not listed any more.
    cluster.policy.insert("lifetime".into(), json!("20d"));
    cluster.run_on(&["host1"]);
    let soon: Value = serde_json::from_str(&ends(&cluster, &["--expiring", "30d", "--json"], 3)).unwrap();
    let soon = soon.as_array().unwrap();
    assert!(
        soon.len() == 4 && soon.iter().all(|it| it["host"] == "host1" && it["status"] == "valid"),
        "{soon:?}"
    );
    let serial = judge::field(&cluster.file("host1", "web/client/cert.pem"), "-serial")
        .replace("serial=", "")
        .to_lowercase();
    assert!(soon.iter().any(|it| it["serial"] == json!(serial)), "{serial}: {soon:?}");

    cluster.hosts.remove("host2");
    cluster.run();
    assert!(certs(&cluster, &["host2"]).contains("revoked"));
}

#[test]
fn a_folder_without_a_ca_is_no_empty_list() {
    let cluster = Cluster::new(&["host1"]);
    for arguments in [&["--json"][..], &[]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minicluster"));
        let output = command
            .args(["certs", "--private-dir"])
            .arg(cluster.private_dir())
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("there is no CA in"), "{said}");
    }
}

#[test]
fn the_folder_is_found_through_the_inventory() {
    let cluster = Cluster::new(&["host1"]);
    cluster.run();
    let list = |hosts: &str| {
        std::fs::write(cluster.root().join("hosts"), hosts).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_minicluster"));
        command
            .arg("certs")
            .current_dir(cluster.root())
            .env("HOME", cluster.root())
            .env_remove("XDG_DATA_HOME");
        String::from_utf8(command.env_remove("MINICLUSTER_PRIVATE_DIR").output().unwrap().stdout).unwrap()
    };
    let group = "host1\n[core]\nhost1\n[all:vars]\n";
    let private = cluster.private_dir();
    assert!(list(&format!("{group}private_dir={}\n", private.display())).ends_with("4 certificates\n"));
    assert!(list(&format!("{group}private_dir=~/private\n")).ends_with("4 certificates\n"));
    let usual = cluster.root().join(".local/share/minicluster");
    std::fs::create_dir_all(&usual).unwrap();
    std::fs::rename(private, usual.join("infra.example.com")).unwrap();
    assert!(list(&format!("{group}domain=infra.example.com\n")).ends_with("4 certificates\n"));
    assert!(list(group).ends_with("4 certificates\n"), "the only one there");
}
