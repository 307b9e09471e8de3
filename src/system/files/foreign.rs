//! What a user does to root's writing and reading in a directory of their own.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::{
    fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with},
    process::geteuid,
};

use super::*;

const USER: u32 = 65534;

/// A directory `home` and, beside it, `etc`, where nothing may change.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["home", "etc"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("etc/precious"), "precious").unwrap();
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A link in `home`, and whose link and directory are; none where only root could make them.
    fn link(&self, link: Option<u32>, home: Option<u32>, mode: u32) -> Option<()> {
        if (link.is_some() || home.is_some()) && !geteuid().is_root() {
            return None;
        }
        symlink(self.path("etc"), self.path("home/d")).unwrap();
        lchown(self.path("home/d"), link, link).unwrap();
        chown(self.path("home"), home, home).unwrap();
        fs::set_permissions(self.path("home"), fs::Permissions::from_mode(mode)).unwrap();
        Some(())
    }
}

fn write(path: &Path) -> anyhow::Result<()> {
    File::public(path, "new", Attributes::mode(0o644)).plan()?.apply()
}

/// Everything that changes a path, by name.
fn operations(path: &Path, aside: &Path) -> Vec<(&'static str, anyhow::Result<()>)> {
    let directory = || Directory { path: path.join("deep"), attributes: Attributes::mode(0o755) };
    vec![
        ("plan a file", File::public(path, "new", Attributes::mode(0o644)).plan().map(drop)),
        ("write", write(path)),
        ("write below", write(&path.join("x"))),
        ("plan a directory", directory().plan().map(drop)),
        ("make", directory().plan().and_then(DirectoryPlan::apply)),
        ("append", JsonLines::default().append(path, vec![1])),
        ("lock", lock(path).map(drop)),
        ("rename", rename(path, aside)),
        ("exchange", exchange(path, aside)),
        ("remove", remove(path).map(drop)),
        ("remove a directory", remove_empty(path).map(drop)),
        ("sync", sync_directory(path)),
    ]
}

#[test]
fn a_link_above_the_last_name_is_followed_only_where_nobody_else_could_make_it() {
    let (user, own) = (Some(USER), None);
    let table = [
        (own, own, 0o755, None),
        (own, own, 0o775, None),
        (own, own, 0o777, Some("others can write in its directory (mode 0777)")),
        (own, own, 0o1777, Some("others can write in its directory (mode 1777)")),
        (user, own, 0o755, Some("it belongs to user 'nobody'")),
        (own, user, 0o755, Some("its directory belongs to user 'nobody'")),
        (user, user, 0o755, Some("it belongs to user 'nobody'")),
    ];
    for (link, home, mode, refused) in table {
        let machine = Machine::new();
        if machine.link(link, home, mode).is_none() {
            continue;
        }
        let row = format!("link {link:?}, home {home:?} {mode:o}");
        let Some(reason) = refused else {
            write(&machine.path("home/d/web/new")).unwrap_err();
            write(&machine.path("home/d/new")).unwrap();
            assert_eq!(fs::read_to_string(machine.path("etc/new")).unwrap(), "new", "{row}");
            continue;
        };
        for name in ["home/d/precious", "home/d/new"] {
            for (what, done) in operations(&machine.path(name), &machine.path("aside")) {
                let error = format!("{:#}", done.expect_err(&format!("{row}: {what} {name}")));
                let link = format!(
                    "{} is a link to {}",
                    machine.path("home/d").display(),
                    machine.path("etc").display()
                );
                assert!(error.contains(&link) && error.contains(reason), "{row}: {what}: {error}");
                assert!(error.contains("give the path without the link"), "{error}");
            }
        }
        let names: Vec<_> = fs::read_dir(machine.path("etc")).unwrap().collect();
        assert_eq!(names.len(), 1, "{row}");
        assert_eq!(fs::read_to_string(machine.path("etc/precious")).unwrap(), "precious", "{row}");
    }
}

#[test]
fn a_group_that_others_are_in_can_make_links() {
    if geteuid().is_root() {
        let machine = Machine::new();
        machine.link(None, None, 0o775).unwrap();
        chown(machine.path("home"), None, Some(USER)).unwrap();
        assert!(write(&machine.path("home/d/new")).is_err());
    }
}

#[test]
fn links_in_a_circle_and_through_files_end() {
    let machine = Machine::new();
    symlink("b", machine.path("home/a")).unwrap();
    symlink("a", machine.path("home/b")).unwrap();
    symlink("../etc/./../home/../etc", machine.path("home/far")).unwrap();
    assert!(write(&machine.path("home/a/x")).is_err());
    assert!(write(&machine.path("etc/precious/x")).is_err());
    write(&machine.path("home/far/x")).unwrap();
    assert!(machine.path("etc/x").is_file());
}

/// The listing says `directory`, and a moment later it is a link.
#[test]
fn who_exchanges_directory_and_link_all_the_time_leads_nobody_astray() {
    let machine = Machine::new();
    let mode = if geteuid().is_root() { 0o755 } else { 0o777 };
    let home = geteuid().is_root().then_some(USER);
    machine.link(home, home, mode);
    fs::create_dir(machine.path("home/other")).unwrap();
    let end = AtomicBool::new(false);
    let (mut written, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (machine.path("home/d"), machine.path("home/other"));
            while !end.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..400 {
            let (precious, aside) = (machine.path("home/d/precious"), machine.path("home/aside"));
            let attributes = || Attributes::mode(0o666);
            for done in [
                write(&machine.path("home/d/new")),
                File::public(&precious, "precious", attributes()).plan().and_then(FilePlan::apply),
                Directory { path: machine.path("home/d/deep"), attributes: attributes() }
                    .plan()
                    .and_then(DirectoryPlan::apply),
                JsonLines::default().append(&precious, vec![1]),
                rename(&precious, &aside),
                remove(&precious).map(drop),
            ] {
                *if done.is_ok() { &mut written } else { &mut refused } += 1;
            }
        }
        end.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(machine.path("etc")).unwrap().count(), 1, "{written} written, {refused} refused");
    assert_eq!(fs::read_to_string(machine.path("etc/precious")).unwrap(), "precious");
    assert_ne!(fs::metadata(machine.path("etc/precious")).unwrap().mode() & 0o777, 0o666);
    assert!(written > 0 && refused > 0, "{written} written, {refused} refused");
}

#[test]
fn a_second_name_of_a_file_does_not_hand_it_over() {
    let machine = Machine::new();
    let (path, precious) = (machine.path("home/file"), machine.path("etc/precious"));
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&precious, &path).unwrap();
    File::public(&path, "precious", Attributes::mode(0o644)).plan().unwrap().apply().unwrap();
    assert_eq!(fs::metadata(&precious).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn only_regular_files_are_read_and_no_more_than_fits() {
    let machine = Machine::new();
    let pipe = machine.path("home/pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    symlink("/dev/zero", machine.path("home/zero")).unwrap();
    fs::File::create(machine.path("home/huge")).unwrap().set_len(1 << 40).unwrap();
    for (name, expected) in [
        ("pipe", "not a regular file"),
        ("zero", "not a regular file"),
        ("", "not a regular file"),
        ("huge", "more than 1024 bytes"),
    ] {
        let path = machine.path("home").join(name);
        let error = format!("{:#}", read_text_up_to(&path, 1024).unwrap_err());
        assert!(error.contains(expected) && error.contains("cannot read /"), "{name}: {error}");
        assert!(content(&path).is_err() && text(&path).is_err() && read(&path).is_err(), "{name}");
    }
    assert!(open(machine.path("home/zero")).is_err());
    // What shall be written over is compared, and only that much of it is read.
    let planned = File::public(machine.path("home/huge"), "small", Attributes::mode(0o644)).plan().unwrap();
    assert_eq!(planned.diff().unwrap().before, "(content before: 1099511627776 bytes, not shown)\n");
    assert_eq!(text("/proc/self/comm").unwrap().lines().count(), 1, "its length says 0");
}
