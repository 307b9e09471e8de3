//! A module as Ansible meets it: arguments in, exactly one JSON object out, whatever happens.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use crate::support::Module;
use serde_json::{Value, json};

const SECRET: &str = "s3cret-passphrase";

/// The probe, to write `file` in a new directory.
fn probe(arguments: &Value) -> (tempfile::TempDir, PathBuf, Module) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let mut module = Module::example("kit_probe", arguments.clone());
    module = module.with("path", path.to_str().unwrap());
    (directory, path, module)
}

fn run_with_file(content: &[u8]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arguments");
    fs::write(&path, content).unwrap();
    let module = Module::example("kit_probe", json!({}));
    module.command().arg(path).output().unwrap()
}

fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["failed"], true);
    answer["msg"].as_str().unwrap().to_owned()
}

#[test]
fn check_run_run_again() {
    let (directory, path, module) = probe(&json!({"content": "text\n", "mode": "0o640"}));
    assert!(module.fail().contains("option 'mode': '0o640' is not an integer"));
    let answer = module.with("mode", "416").converges(directory.path());
    assert_eq!(answer.0["diff"][0]["after"], "text\n");
    assert_eq!(fs::read_to_string(path).unwrap(), "text\n");
}

#[test]
fn no_diff_is_shown_unless_asked_for_and_none_under_no_log() {
    let (_directory, _, module) = probe(&json!({"_ansible_check_mode": true}));
    assert_eq!(module.run().0, json!({"changed": true}));
    assert!(module.clone().with("_ansible_diff", true).run().0["diff"].is_array());
    assert!(module.with("_ansible_diff", true).with("_ansible_no_log", true).run().0["diff"].is_null());
}

#[test]
fn an_unknown_option_is_named_with_the_one_that_was_meant() {
    let (_directory, _, module) = probe(&json!({"contents": "", "_ansible_version": "2.19"}));
    assert_eq!(
        module.fail(),
        "unknown option 'contents'; did you mean 'content'? (options: path, content, key, mode, group, end)"
    );
    module.with("_ansible_ignore_unknown_opts", true).run();
}

#[test]
fn a_secret_is_in_no_answer() {
    let (directory, path, module) = probe(&json!({"key": SECRET, "_ansible_diff": true}));
    for end in ["error", "panic", "thread"] {
        let output = module.clone().with("end", end).output();
        let message = failure(&output);
        assert!(message.contains("********"), "{message}");
        assert!(!format!("{output:?}").contains(SECRET), "{end}: {output:?}");
    }
    let wrong = module.clone().with("mode", SECRET).fail();
    assert!(!wrong.contains(SECRET), "{wrong}");
    let answer = module.converges(directory.path());
    assert!(!answer.0.to_string().contains(SECRET), "{answer:?}");
    assert_eq!(fs::read_to_string(path).unwrap(), SECRET);
}

#[test]
fn a_panic_is_one_failed_answer_that_says_where() {
    for end in ["panic", "thread"] {
        let (_directory, _, module) = probe(&json!({"end": end}));
        let message = module.fail();
        assert!(message.starts_with("kit_probe had an internal error at tests/kit/probe.rs:"), "{message}");
    }
}

#[test]
fn what_is_not_arguments_is_said_clearly() {
    for (content, expected) in [
        (&b""[..], "are not a JSON object: EOF"),
        (b"path=/tmp", "are not a JSON object: expected"),
        (b"[]", "are not a JSON object: invalid type: sequence"),
        (b"{\"path\": \"\xff\"}", "are not a JSON object: invalid unicode"),
        (b"{\"path\": \"\\udc80\"}", "are not a JSON object: "),
        (b"{\"path\": NaN}", "are not a JSON object: expected value"),
        (b"{}", "missing required option 'path'"),
        (b"{\"path\": \"a\\u0000b\"}", "a null character"),
    ] {
        let message = failure(&run_with_file(content));
        assert!(message.contains(expected), "{content:?}: {message}");
    }
    let deep = [b"{\"path\": ".to_vec(), b"[".repeat(1_000_000)].concat();
    assert!(failure(&run_with_file(&deep)).contains("recursion limit"));
    let module = Module::example("kit_probe", json!({}));
    assert!(failure(&module.command().output().unwrap()).contains("see --help"));
    let missing = module.command().arg("/nonexistent/arguments").output().unwrap();
    assert!(failure(&missing).starts_with("cannot read the arguments file /nonexistent/arguments"));
}

#[test]
fn arguments_come_from_standard_input_and_the_nonce_goes_out_first() {
    let (_directory, path, module) = probe(&json!({"content": "x".repeat(20_000_000)}));
    let output = module.clone().environment("MINICLUSTER_NONCE", "00ff").output_from_stdin();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "minicluster-started 00ff\n");
    assert_eq!(fs::metadata(path).unwrap().len(), 20_000_000);
    for (nonce, with_stdin) in [("not hex\n", true), ("", true), ("00ff", false)] {
        let module = module.clone().with("content", "").environment("MINICLUSTER_NONCE", nonce);
        let output = if with_stdin { module.output_from_stdin() } else { module.output() };
        assert_eq!(output.stderr, b"", "{nonce}");
    }
}

#[test]
fn what_rewrites_a_terminal_is_shown_and_not_sent() {
    let (_directory, path, module) = probe(&json!({"content": "\u{1b}]0;title\u{7}\rnew\n"}));
    fs::write(path, "\u{9b}2Jold\n").unwrap();
    let answer = module.with("_ansible_diff", true).run().0;
    assert_eq!(
        (&answer["diff"][0]["before"], &answer["diff"][0]["after"]),
        (&json!("<U+009B>2Jold\n"), &json!("^[]0;title^G^Mnew\n"))
    );
    let (_directory, _, module) = probe(&json!({"\u{1b}[2J": "x"}));
    assert!(module.fail().contains("'^[[2J'"), "{}", module.fail());
}

/// Its answer ends when the program that it waits for has ended, too.
#[test]
fn a_module_that_never_returns_is_stopped_with_what_it_waits_for() {
    let (_directory, _, module) = probe(&json!({"end": "wait"}));
    let said = module.environment("MINICLUSTER_TIMEOUT", "1").fail();
    assert!(said.starts_with("kit_probe was not done after 1 s and was stopped"), "{said}");
}

#[test]
fn an_answer_that_nobody_reads_is_not_a_success() {
    let (_directory, _, module) = probe(&json!({}));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = module.command().arg("-").stdin(Stdio::piped()).stdout(full).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"{\"path\": \"/nonexistent/x\", \"_ansible_check_mode\": true}")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
}

/// Runs a script as root of a new user namespace with mounts of its own; `$probe` is the program.
fn in_own_mounts(script: &str) -> String {
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "bash", "-euc", script])
        .env("probe", crate::support::built("examples/kit_probe"))
        .current_dir(Path::new("/"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_mount_point_is_written_in_place_with_a_warning() {
    let said = in_own_mounts(
        r#"d=$(mktemp -d); mount -t tmpfs tmpfs "$d"; cd "$d"
        echo a longer old text > source; echo old > file; mount --bind source file
        echo "{\"path\": \"$d/file\", \"content\": \"new\", \"mode\": 384, \"_ansible_check_mode\": true}" | $probe -
        echo "{\"path\": \"$d/file\", \"content\": \"new\", \"mode\": 384}" | $probe -
        echo "{\"path\": \"$d/file\", \"content\": \"new\", \"mode\": 384}" | $probe -
        cat source; stat -c ' %a' source; umount file; cat file; ls -A"#,
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], lines[1], "check mode predicts the run");
    assert!(lines[0].contains("is a mount point: it is written in place"), "{said}");
    assert_eq!(lines[2..], ["{\"changed\":false}", "new 600", "old", "file", "source"]);
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let said = in_own_mounts(
        r#"d=$(mktemp -d); mount -t tmpfs -o size=64k tmpfs "$d"; cd "$d"
        echo old > file; echo old > mounted; echo old > source; mount --bind source mounted
        for path in file mounted; do
            { printf '{"path": "%s/%s", "content": "' "$d" $path; head -c 200000 /dev/zero | tr '\0' x; echo '"}'; } | $probe - || true
            cat $path
        done
        ls -A"#,
    );
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].contains("No space left on device") && lines[2].contains("No space left on device"),
        "{said}"
    );
    assert_eq!([lines[1], lines[3]], ["old", "old"]);
    assert_eq!(lines[4..], ["file", "mounted", "source"], "a temporary file is left");
}

/// A group that this user may give files to, beside the one new files have.
fn other_group() -> Option<String> {
    let id = |option| {
        let output = std::process::Command::new("id").arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    if id("-u") == "0" {
        return Some("adm".into());
    }
    id("-Gn").split(' ').map(ToOwned::to_owned).find(|it| *it != id("-gn"))
}

#[test]
fn a_group_is_given_by_name_and_corrected() {
    use std::os::unix::fs::MetadataExt as _;
    let Some(group) = other_group() else { return println!("this user has one group only") };
    let (directory, path, module) = probe(&json!({"group": group, "mode": 0o640}));
    let answer = module.converges(directory.path());
    let header = answer.0["diff"][0]["after_header"].as_str().unwrap().to_owned();
    assert!(header.ends_with(&format!("(mode 0640, group {group})")), "{header}");
    let given = fs::metadata(&path).unwrap();

    std::os::unix::fs::chown(&path, None, Some(fs::metadata(directory.path()).unwrap().gid())).unwrap();
    let answer = module.converges(directory.path());
    assert_eq!(answer.0["diff"][0]["after"], format!("mode 0640, group {group}\n"));
    let corrected = fs::metadata(&path).unwrap();
    assert_eq!((corrected.gid(), corrected.ino()), (given.gid(), given.ino()));

    // Without the option the group stays, also when the file is replaced.
    probe(&json!({})).2.with("path", path.to_str().unwrap()).with("content", "new").run();
    assert_eq!(fs::metadata(&path).unwrap().gid(), given.gid());
}

#[cfg(feature = "fault_points")]
#[test]
fn a_key_is_never_readable_by_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, path, module) = probe(&json!({"key": SECRET, "mode": 0o640}));
    fs::write(&path, "old").unwrap();
    for point in ["files:created", "files:written", "files:renamed"] {
        module.killed_at(point);
        for entry in fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
            let holds_it = fs::read_to_string(entry.path()).unwrap().contains(SECRET);
            let mode = entry.metadata().unwrap().permissions().mode() & 0o007;
            assert!(!holds_it || mode == 0, "{point}: {:?} is open to others: {mode:o}", entry.file_name());
        }
    }
    assert!(!module.run().changed());
}
