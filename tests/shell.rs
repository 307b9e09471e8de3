//! Guards on shell text wherever it stands: of several commands each one counts, not only the last.

use crate::tree::{files, has_extension};

/// Programs, playbooks and whatever has shell in its strings; not the examples below.
fn with_shell() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|(name, text)| {
        name != "tests/shell.rs" && (has_extension(name, &["rs", "py", "yml"]) || text.starts_with("#!"))
    })
}

fn is_shell(text: &str) -> bool {
    text.lines().next().is_some_and(|it| it.starts_with("#!") && it.ends_with("sh"))
}

#[test]
fn a_program_ends_at_its_first_failure() {
    let loose: Vec<_> = files()
        .into_iter()
        .filter(|(_, text)| is_shell(text))
        .filter(|(_, text)| {
            let strict =
                if text.lines().next().unwrap().ends_with("bash") { "set -euo pipefail" } else { "set -eu" };
            !text.lines().any(|it| it == strict)
        })
        .map(|(name, _)| name)
        .collect();
    assert!(loose.is_empty(), "`set -eu`, with bash `set -euo pipefail`: {loose:?}");
}

/// `sh -c` and `bash -s`, in a shell, in a list of Python's or a call of Rust's.
#[test]
fn a_script_that_is_handed_over_ends_at_its_first_failure() {
    let loose: Vec<_> =
        with_shell().filter_map(|(name, text)| Some((name, handed_loosely(&text)?))).collect();
    assert!(loose.is_empty(), "-ec, -es: {loose:?}");
    assert_eq!(handed_loosely(r#"Command::new("sh").args(["-c", script])"#).as_deref(), Some("sh -c"));
    assert_eq!(handed_loosely(r#"["ssh", host, "sudo", "bash", "-s"]"#).as_deref(), Some("bash -s"));
    assert_eq!(handed_loosely(r#"["bash", "-euo", "pipefail", "-s"] sh -eu -c 'true'"#), None);
}

fn handed_loosely(text: &str) -> Option<String> {
    let plain = text.replace(|it: char| "\"'`,;()[]&\\".contains(it), " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.iter().enumerate().find_map(|(at, shell)| {
        if !matches!(shell.rsplit('/').next(), Some("sh" | "bash")) {
            return None;
        }
        let options = words[at + 1..]
            .iter()
            .filter(|it| !matches!(it.rsplit('.').next(), Some("args" | "arg" | "pipefail")))
            .take_while(|it| it.starts_with('-') && it[1..].chars().all(char::is_alphabetic));
        let options: Vec<&str> = options.copied().collect();
        let takes_a_script = options.iter().any(|it| it.ends_with(['c', 's']));
        (takes_a_script && !options.iter().any(|it| it.contains('e')))
            .then(|| format!("{shell} {}", options.join(" ")))
    })
}

#[test]
fn no_command_is_void() {
    let mut void = vec![];
    for (name, text) in with_shell() {
        void.extend(text.lines().filter_map(void_line).map(|why| format!("{name}: {why}")));
    }
    assert!(void.is_empty(), "these fail nothing:\n{}", void.join("\n"));
    for line in ["    ! grep x y", r#"on("host", "cd z; ! a && b")"#, "if ! ls a b; then exit 1; fi"] {
        assert!(void_line(line).is_some(), "{line}");
    }
    for line in ["if ! a && ! b; then", "! a || complain", "assert!(x) // it is: ! not", "until ! ls a; do"] {
        assert!(void_line(line).is_none(), "{line}");
    }
}

/// Why a line has a command that never ends its script.
fn void_line(line: &str) -> Option<String> {
    let negated = line.match_indices("! ").any(|(at, _)| {
        let (before, after) = (line[..at].trim_end(), &line[at + 2..]);
        let begins = before.is_empty()
            || before.ends_with(['"', '\'', ';', '{'])
            || ["then", "do", "else"].iter().any(|it| before.ends_with(&format!("; {it}")));
        begins && after.starts_with(|it: char| it.is_ascii_lowercase()) && !after.contains(" || ")
    });
    if negated {
        return Some(format!("`set -e` passes over `!`, say `if …; then exit 1; fi`: {}", line.trim()));
    }
    // `ls` of several paths also fails where only one is missing.
    let condition = line.trim().strip_prefix("if ")?.split(';').next()?;
    let mut words = condition.split_whitespace().skip_while(|it| *it != "ls").skip(1);
    let paths = words.by_ref().filter(|it| !it.starts_with('-') && !it.contains('>')).count();
    (paths > 1).then(|| format!("`ls` fails where one of these is missing: {}", line.trim()))
}

#[test]
fn a_shell_task_ends_at_its_first_failure() {
    let mut seen = 0;
    let mut loose = vec![];
    for (name, text) in files().into_iter().filter(|(name, _)| has_extension(name, &["yml"])) {
        for task in text.split("ansible.builtin.shell:").skip(1) {
            seen += 1;
            let task = task.split("\n- ").next().unwrap().trim_start();
            let script = task.strip_prefix("cmd:").unwrap_or(task).trim_start();
            let (first, rest) = script.split_once('\n').unwrap_or((script, ""));
            let (begins, all) =
                if first.starts_with('|') { (rest.trim_start(), rest) } else { (first, first) };
            let several = first.starts_with('|') || first.contains("; ");
            if several && !begins.starts_with("set -eu") || all.contains(" | ") && !all.contains("pipefail") {
                loose.push(format!("{name}: {begins:.60}"));
            }
        }
    }
    assert!(seen > 3, "the guard sees the tasks");
    assert!(loose.is_empty(), "`set -eu` first, and pipefail where there is a pipe: {loose:?}");
}

/// Only a dry run reads the recipes of targets that the other tests never reach.
#[test]
fn every_target_of_make_can_be_read() {
    let make = |target: &str| {
        let output =
            std::process::Command::new("make").args(["--dry-run", "--always-make", target]).output().unwrap();
        assert!(output.status.success(), "make {target}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for target in ["dist", "bench", "demo", "demo-bootstrap", "soak", "molecule", "check"] {
        make(target);
    }
    let all = make("test");
    for (name, _) in files() {
        if let Some(suite) = name.strip_prefix("tests/faults/").and_then(|it| it.strip_suffix(".py"))
            && suite.starts_with("test_")
        {
            assert!(all.contains(suite), "make test does not run {name}");
        }
    }
}

#[test]
fn what_is_missing_to_build_is_one_line() {
    let bin = tempfile::tempdir().unwrap();
    for name in ["bash", "env", "id"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|it| it.join(name))
            .find(|it| it.exists());
        std::os::unix::fs::symlink(found.unwrap(), bin.path().join(name)).unwrap();
    }
    let tools = |what: &str| {
        let mut command =
            std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/molecule/node/tools"));
        let output = command.arg(what).env("PATH", bin.path()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let line = "apt-get install --yes --no-install-recommends gcc libc6-dev openssh-client python3-venv";
    let said = tools("build");
    assert!(said.contains(&format!("{line}\n")) && said.contains("https://rustup.rs"), "{said}");
    assert!(tools("docker").contains(&format!("{line} docker.io\n")));
}
