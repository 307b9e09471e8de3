//! Whole outputs of `minicluster`, as a person sees them: one folder a case, with the files of a cluster and
//! a `session.txt` of commands and what they print. `MINICLUSTER_BLESS=1 cargo nextest run golden` rewrites
//! the sessions.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs one command line in `directory` and returns everything it printed.
fn run(line: &str, directory: &Path) -> String {
    let (line, pretty) = match line.strip_suffix(" | json") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    if let Some(rest) = line.strip_prefix("edit ") {
        let (file, text) = rest.split_once(": ").expect("edit FILE: TEXT");
        fs::write(directory.join(file), text.replace("\\n", "\n")).expect("the directory is writable");
        return String::new();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_minicluster"))
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("HOME", "/home/operator")
        .output()
        .expect("the program starts");
    let mut text = String::from_utf8(output.stdout).expect("output is UTF-8");
    if pretty {
        let value: serde_json::Value = serde_json::from_str(&text).expect("output is JSON");
        text = format!("{value:#}\n");
    }
    text += &String::from_utf8(output.stderr).expect("output is UTF-8");
    let here = directory.canonicalize().expect("the directory exists");
    text = text.replace(&here.display().to_string(), "[HERE]");
    match output.status.code() {
        Some(0) => text,
        code => format!("{text}[exit status {}]\n", code.map_or("none".into(), |code| code.to_string())),
    }
}

/// A session with its commands run again.
fn replay(session: &str, directory: &Path) -> String {
    let commands = session.lines().filter_map(|line| line.strip_prefix("$ "));
    let parts: Vec<String> = commands.map(|line| format!("$ {line}\n{}", run(line, directory))).collect();
    parts.join("\n")
}

#[test]
fn golden() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for case in fs::read_dir(cases).expect("there are cases") {
        let case = case.expect("it can be read").path();
        let name = case.file_name().expect("it has a name").to_string_lossy().into_owned();
        let directory = tempfile::tempdir().expect("a temporary directory");
        for file in fs::read_dir(&case).expect("it can be read") {
            let file = file.expect("it can be read").path();
            fs::copy(&file, directory.path().join(file.file_name().expect("it has a name")))
                .expect("it is copied");
        }
        let session = fs::read_to_string(case.join("session.txt")).expect("a case has a session");
        let now = replay(&session, directory.path());
        seen += 1;
        if now == session {
            continue;
        }
        if std::env::var_os("MINICLUSTER_BLESS").is_some() {
            fs::write(case.join("session.txt"), &now).expect("the session is written");
        } else {
            wrong.push(format!("=== {name}: expected\n{session}\n=== {name}: now\n{now}"));
        }
    }
    assert!(seen > 3, "the cases are found");
    assert!(
        wrong.is_empty(),
        "{}\nrewrite with MINICLUSTER_BLESS=1 if this is what it should be",
        wrong.join("\n")
    );
}
