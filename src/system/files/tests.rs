//! What the writing of files promises, on a real file system.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use super::*;
use crate::system::Secret;

fn plan(path: &Path, text: &str, mode: u32) -> FilePlan {
    File::public(path, text, Attributes::mode(mode)).plan().unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_new_file_has_its_content_and_mode_and_nothing_else_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let planned = plan(&path, "text\n", 0o640);
    let diff = planned.diff().unwrap();
    assert!(planned.changes() && planned.content_changes() && planned.creates());
    assert_eq!(names(directory.path()), [""; 0], "a plan writes nothing");
    planned.apply().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "text\n");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(names(directory.path()), ["key"]);
    assert_eq!((diff.before.as_str(), diff.after.as_str()), ("", "text\n"));
    assert_eq!(diff.after_header, format!("{} (mode 0640)", path.display()));
}

#[test]
fn an_unchanged_file_is_not_touched_and_drift_is_corrected_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    plan(&path, "text", 0o600).apply().unwrap();
    let before = fs::metadata(&path).unwrap();

    let again = plan(&path, "text", 0o600);
    assert!(!again.changes() && again.diff().is_none());
    again.apply().unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let drifted = plan(&path, "text", 0o600);
    assert!(drifted.changes() && !drifted.content_changes());
    let diff = drifted.diff().unwrap();
    assert_eq!((diff.before.as_str(), diff.after.as_str()), ("mode 0644\n", "mode 0600\n"));
    drifted.apply().unwrap();
    let corrected = fs::metadata(&path).unwrap();
    assert_eq!((corrected.mode() & 0o7777, corrected.ino()), (0o600, before.ino()));
}

#[test]
fn a_link_is_replaced_and_its_target_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, target) = (directory.path().join("file"), directory.path().join("target"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &path).unwrap();
    // The same content as the target's is still a change: the file itself is wanted.
    let planned = plan(&path, "precious", 0o644);
    assert!(planned.changes());
    planned.apply().unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    plan(&path, "new", 0o644).apply().unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn what_is_not_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let plan = File::public(path, "", Attributes::mode(0o600)).plan();
        format!("{:#}", plan.err().unwrap())
    };
    let error = refused(directory.path());
    assert!(error.contains("it is a directory; remove it or choose another path"), "{error}");
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert!(refused(&pipe).contains("neither a file nor a link"));
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refused(&file.join("below")).contains("Not a directory"));
    assert!(refused(Path::new("/")).contains("names no file"));
}

#[test]
fn a_missing_directory_is_predicted_and_fails_when_written() {
    let directory = tempfile::tempdir().unwrap();
    let planned = plan(&directory.path().join("no/file"), "", 0o600);
    assert!(planned.changes());
    assert!(format!("{:#}", planned.apply().unwrap_err()).contains("cannot open the directory"));
}

#[test]
fn an_account_that_does_not_exist_is_predicted_and_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "old").unwrap();
    let attributes = Attributes { group: Some("no-such-group".into()), ..Attributes::mode(0o640) };
    let planned = File::public(&path, "new", attributes).plan().unwrap();
    assert!(planned.changes());
    let error = format!("{:#}", planned.apply().unwrap_err());
    assert!(error.contains("there is no group 'no-such-group'; create it first"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn a_secret_is_never_in_a_diff() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(&path, "old s3cret").unwrap();
    let planned = File::secret(&path, Secret::new("new s3cret"), Attributes::mode(0o600)).plan().unwrap();
    let diff = planned.diff().unwrap();
    assert_ne!(diff.before, diff.after);
    assert!(!format!("{diff:?}").contains("s3cret"), "{diff:?}");
}

#[test]
fn writers_at_the_same_time_leave_one_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..20 {
                    plan(path, &format!("{writer}").repeat(100_000), 0o600).apply().unwrap();
                }
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, text[..1].repeat(100_000));
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn what_a_killed_writer_left_is_swept_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (dead, living) = (".minicluster-0000000000000001.tmp", ".minicluster-0000000000000002.tmp");
    fs::write(directory.path().join(dead), "left").unwrap();
    let held = fs::File::create(directory.path().join(living)).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    plan(&directory.path().join("file"), "", 0o600).apply().unwrap();
    assert_eq!(names(directory.path()), [living, "file"]);
}

#[test]
fn a_directory_is_made_with_its_parents_and_corrected() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    let wanted = || Directory { path: path.clone(), attributes: Attributes::mode(0o750) }.plan().unwrap();
    wanted().apply().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o750);
    assert!(!wanted().changes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(wanted().diff().unwrap().before, "mode 0777\n");
    wanted().apply().unwrap();
    assert!(!wanted().changes());
    symlink(&path, root.path().join("link")).unwrap();
    let link = Directory { path: root.path().join("link"), attributes: Attributes::mode(0o750) };
    assert!(link.plan().err().unwrap().to_string().contains("is not a directory"));
}

#[test]
fn removing_takes_links_not_their_targets_and_refuses_the_heights() {
    let directory = tempfile::tempdir().unwrap();
    let (tree, target) = (directory.path().join("tree"), directory.path().join("target"));
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(&target, "precious").unwrap();
    symlink(directory.path(), tree.join("sub/link")).unwrap();
    assert!(remove(&tree).unwrap());
    assert!(!remove(&tree).unwrap());
    assert_eq!(names(directory.path()), ["target"]);
    for path in ["/", "/etc", "etc/passwd", "/etc/../passwd", ""] {
        assert!(remove(Path::new(path)).unwrap_err().to_string().starts_with("refusing"), "{path}");
    }
}
