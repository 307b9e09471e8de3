//! Guards on the tree itself: sizes that keep a file readable, words that must not be in it.

use std::{path::Path, process::Command};

/// Files git knows of, with their text; binary files are passed over.
pub fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git lists the tree");
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let files: Vec<_> = names
        .lines()
        .filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(root.join(name)).ok()?)))
        .collect();
    assert!(files.iter().any(|(name, _)| name == "src/lib.rs"), "the guards see the tree");
    files
}

pub fn has_extension(name: &str, extensions: &[&str]) -> bool {
    Path::new(name).extension().is_some_and(|it| extensions.iter().any(|wanted| it == *wanted))
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let long: Vec<_> = files()
        .into_iter()
        .filter(|(name, _)| has_extension(name, &["rs", "yml", "sh", "py"]))
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .collect();
    assert!(long.is_empty(), "split these into named parts: {long:?}");
}

#[test]
fn a_program_is_a_thin_file() {
    let fat: Vec<_> = files()
        .into_iter()
        .filter(|(name, text)| name.starts_with("src/bin/") && text.lines().count() > 60)
        .map(|(name, _)| name)
        .collect();
    assert!(fat.is_empty(), "move what these do into a domain folder: {fat:?}");
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let silent: Vec<_> = files()
        .into_iter()
        .filter(|(name, text)| has_extension(name, &["rs"]) && !text.starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "begin these with `//!`: {silent:?}");
}

/// `module` uses `system`, both use `text`; none of them knows what stands on it.
#[test]
fn the_lowest_rooms_depend_one_way() {
    let files = files();
    let map = &files.iter().find(|(name, _)| name == "src/lib.rs").expect("the map of the crate").1;
    let rooms: Vec<_> = map.lines().filter_map(|it| it.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(rooms.first_chunk(), Some(&["text", "system", "module"]), "in reading order");
    let (mut downward, mut upward) = (0, Vec::new());
    for (name, text) in &files {
        let Some(own) = rooms[..3].iter().position(|it| name.starts_with(&format!("src/{it}/"))) else {
            continue;
        };
        for path in text.split(|it: char| !(it.is_alphanumeric() || "_:".contains(it))) {
            let Some((room, _)) = path.strip_prefix("crate::").unwrap_or(path).split_once("::") else {
                continue;
            };
            match rooms.iter().position(|it| *it == room) {
                Some(other) if other > own => upward.push(format!("{name}: {path}")),
                Some(other) if other < own => downward += 1,
                _ => {}
            }
        }
    }
    assert!(downward > 10, "the guard sees what they use: {downward}");
    assert!(upward.is_empty(), "move what these need down, or the files up: {upward:#?}");
}

/// The one place waits for no pipe and follows no link of another user; a file is there whole or not at all.
#[test]
fn files_are_read_and_written_in_one_place() {
    let direct = [
        "fs::read(",
        "fs::read_to_string(",
        "fs::write(",
        "fs::copy(",
        "fs::rename(",
        "fs::remove_",
        "fs::create_dir",
        "fs::set_permissions(",
        "File::open(",
        "File::create(",
        "OpenOptions",
        "flock(",
    ];
    let mut found = Vec::new();
    for (name, text) in files() {
        let domain = name.starts_with("src/") && !name.starts_with("src/system/files/");
        if !domain || name.contains("/tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| direct.iter().any(|it| line.contains(it)));
        found.extend(lines.map(|line| format!("{name}: {}", line.trim())));
    }
    assert!(found.is_empty(), "go through system::files: {found:#?}");
}

#[test]
fn nothing_unfinished_is_left() {
    // Spelled in two parts, or this file would find itself.
    let marks =
        [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME"), concat!("dbg", "!(")];
    let left: Vec<_> = files()
        .into_iter()
        .filter(|(name, text)| {
            has_extension(name, &["rs", "yml", "sh", "py"]) && marks.iter().any(|it| text.contains(it))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(left.is_empty(), "finish these: {left:?}");
}

/// Installed into `library/`, they would not run on this machine.
#[test]
fn modules_of_another_architecture_are_installed_apart() {
    let dry_run = |target: &str| {
        let make = Command::new("make")
            .args(["--dry-run", "--always-make", "install", &format!("target={target}")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("MAKEFLAGS")
            .output()
            .expect("make is installed");
        assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
        String::from_utf8(make.stdout).expect("make prints UTF-8")
    };
    let foreign = dry_run("riscv64gc-unknown-linux-gnu");
    assert!(foreign.contains(" library_arch/riscv64gc/$it;") && !foreign.contains(" library/"), "{foreign}");
    assert!(!foreign.contains("inventory/minicluster"), "{foreign}");
    let native = dry_run(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    assert!(native.contains(" library/$it;") && native.contains("inventory/minicluster"), "{native}");
}

/// Suites run side by side, see the Makefile.
#[test]
fn every_suite_has_hosts_of_its_own() {
    let mut owners = std::collections::BTreeMap::<String, std::collections::BTreeSet<String>>::new();
    for (name, text) in files() {
        // The files of a scenario are one suite.
        let suite = name.rsplit_once('/').filter(|_| name.starts_with("molecule/")).map_or(&*name, |it| it.0);
        for found in text.split("10.213.").skip(1).filter(|_| !has_extension(&name, &["rs", "md"])) {
            let number = found.chars().take_while(char::is_ascii_digit).collect();
            owners.entry(number).or_default().insert(suite.to_owned());
        }
    }
    assert!(owners.len() > 5, "the guard sees the networks: {owners:?}");
    owners.retain(|_, suites| suites.len() > 1);
    assert!(owners.is_empty(), "give all but one another 10.213.x: {owners:?}");
}
