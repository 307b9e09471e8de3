//! The boot configuration: made once, never shown, and what cloud-init itself takes.

mod cloud_init;
mod fetch;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::Module;
use serde_json::{Value, json};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Hk6sJXgvHhAaGkE9Ypr8PKIXb0cUvxdiEzUdkYjbR you";

fn user_data(root: &Path) -> Module {
    let arguments = json!({"path": root.join("user-data"), "private_dir": root.join("private"), "cluster": "demo",
        "expect": 3, "authorized_keys": [KEY], "bundle_url": "https://example.com/b.tar.gz",
        "bundle_sha256": "ab".repeat(32)});
    Module::new("user_data", arguments)
}

fn command(root: &Path, more: &[&str]) -> Output {
    let keys = root.join("id.pub");
    if !keys.exists() {
        fs::write(keys, format!("# a comment\n{KEY}\n")).unwrap();
    }
    Command::new(crate::support::built("minicluster"))
        .args([
            "user-data",
            "--cluster",
            "demo",
            "--expect",
            "3",
            "--authorized-keys",
            "id.pub",
            "--private-dir",
            "private",
        ])
        .args(["--bundle-url", "https://example.com/b.tar.gz", "--bundle-sha256", &"ab".repeat(32)])
        .args(more)
        .current_dir(root)
        .output()
        .unwrap()
}

fn read(path: PathBuf) -> String {
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    fs::read_to_string(path).unwrap()
}

#[test]
fn it_is_made_once_and_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let answer = user_data(root.path()).converges(root.path());
    let secret = read(root.path().join("private/cluster_secret"));
    assert_eq!(secret.trim().len(), 64);
    assert!(!answer.0.to_string().contains(secret.trim()), "{answer:?}");
    let text = read(root.path().join("user-data"));
    assert!(text.contains(secret.trim()) && !text.contains("PRIVATE KEY"), "{text}");
    cloud_init::accepts(&root.path().join("user-data"));
    user_data(root.path()).with("role", "worker").run();
    assert_eq!(read(root.path().join("private/cluster_secret")), secret, "the secret is the cluster's");
    assert!(read(root.path().join("user-data")).contains("--role worker"));
}

#[test]
fn the_command_prints_what_the_module_writes() {
    let root = tempfile::tempdir().unwrap();
    let output = command(root.path(), &[]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    user_data(root.path()).run();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), read(root.path().join("user-data")));
}

#[test]
fn a_key_may_have_options_and_a_bad_one_is_named_with_its_line() {
    let root = tempfile::tempdir().unwrap();
    let limited = format!("from=\"10.0.0.0/8\" {KEY}");
    fs::write(root.path().join("id.pub"), format!("# mine\n\n{limited}\nssh-rsa what\n")).unwrap();
    let stderr = String::from_utf8(command(root.path(), &[]).stderr).unwrap();
    assert!(stderr.starts_with("minicluster: id.pub:4 is no public key"), "{stderr}");
    fs::write(root.path().join("id.pub"), format!("{limited}\n")).unwrap();
    let output = command(root.path(), &[]);
    let text: Value = serde_saphyr::from_slice(&output.stdout).unwrap();
    assert_eq!(text["users"][0]["ssh_authorized_keys"], json!([limited]));
    fs::write(root.path().join("user-data"), &output.stdout).unwrap();
    cloud_init::accepts(&root.path().join("user-data"));
}

#[test]
fn a_bootstrap_key_is_one_pair_for_all() {
    let root = tempfile::tempdir().unwrap();
    user_data(root.path()).with("bootstrap_key", true).converges(root.path());
    cloud_init::accepts(&root.path().join("user-data"));
    let key = root.path().join("private/ssh/bootstrap");
    let public = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&key).output().unwrap();
    let public = String::from_utf8(public.stdout).unwrap();
    let text: Value = serde_saphyr::from_str(&read(root.path().join("user-data"))).unwrap();
    assert_eq!(text["users"][0]["ssh_authorized_keys"], json!([KEY, public.trim()]));
    assert_eq!(text["write_files"][1]["content"], read(key.clone()));
    // Once it is not asked for any more, it is in no boot configuration.
    user_data(root.path()).run();
    assert!(!read(root.path().join("user-data")).contains("PRIVATE KEY"));
    assert!(key.exists());
}

#[test]
fn of_ten_commands_at_one_time_all_have_one_secret() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("id.pub"), "").unwrap();
    let texts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..10).map(|_| scope.spawn(|| command(root.path(), &["--bootstrap-key"]).stdout)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(!texts[0].is_empty() && texts.iter().all(|it| *it == texts[0]));
}

#[test]
fn a_secret_that_cannot_be_used_is_named_and_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("private")).unwrap();
    let path = root.path().join("private/cluster_secret");
    for (text, mode, expected) in [
        ("short\n", 0o600, "holds no cluster secret"),
        ("two words which together would be long enough\n", 0o600, "holds no cluster secret"),
        ("0123456789abcdef0123456789abcdef\n", 0o644, "can be read by others"),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let message = user_data(root.path()).fail();
        assert!(message.contains(expected) && !message.contains(text.trim()), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn what_is_refused_names_the_option() {
    let root = tempfile::tempdir().unwrap();
    let message = user_data(root.path()).with("expect", 0).fail();
    assert_eq!(message, "expect is '0'; expected the number of machines, 1 to 1000");
    let output = command(root.path(), &["--domain", "a b"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("domain is 'a b'") && output.stdout.is_empty() && !output.status.success(),
        "{stderr}"
    );
    assert!(!root.path().join("private").exists(), "nothing is made for what is refused");
}

#[test]
fn machines_that_no_person_can_log_in_to_are_warned_of() {
    let root = tempfile::tempdir().unwrap();
    let warning = "authorized_keys is empty: no person will be able to log in to these machines";
    for keys in ["", "# nobody\n"] {
        fs::write(root.path().join("id.pub"), keys).unwrap();
        let output = command(root.path(), &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"#cloud-config\n"), "{stderr}");
        assert!(stderr.starts_with(&format!("warning: {warning}")), "{stderr}");
        assert!(stderr.contains("--authorized-keys") && stderr.lines().count() == 1, "{stderr}");
    }
    let warned = |answer: &crate::support::Answer| answer.0["warnings"].to_string().contains(warning);
    assert!(warned(&user_data(root.path()).with("authorized_keys", json!([])).converges(root.path())));
    assert!(!warned(&user_data(root.path()).run()));
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_there_is_one_secret() {
    for point in ["files:written", "files:renamed", "user_data:secret", "user_data:kept"] {
        let root = tempfile::tempdir().unwrap();
        let module = user_data(root.path()).with("bootstrap_key", true);
        module.killed_at(point);
        let before = fs::read_to_string(root.path().join("private/cluster_secret")).unwrap_or_default();
        module.run();
        let secret = read(root.path().join("private/cluster_secret"));
        assert!(before.is_empty() || before == secret, "{point}");
        assert!(read(root.path().join("user-data")).contains(secret.trim()), "{point}");
        assert!(!module.run().changed(), "{point}");
    }
}
