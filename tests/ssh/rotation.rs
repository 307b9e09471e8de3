//! The host's part of a rotation, where things go wrong in the middle of a step: some key opens at every moment, and
//! the next run, or the host alone, brings it to an end.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::keygen;
use crate::support::{Host, Module};

const UNRELATED: &str = "from=\"10.0.0.0/8\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO6muNyOxWojosm+3A2SZcbzB7lXe0xIhVqYMCl78k2/ alice";
/// What sshd says of its configuration; the rest of it is not asked for.
const SSHD: &str = r#"#!/bin/sh
[ "$3" = -T ] || exit 0
here=$(dirname "$2")
echo "pubkeyauthentication yes"
echo "authorizedkeysfile $here/keys/%u"
sed -n 's/^RevokedKeys /revokedkeys /p' "$here"/sshd_config.d/*.conf 2>/dev/null || true
"#;

/// A host that is opened by an old key, which is to be exchanged.
struct Rotation {
    host: Host,
    for_good: bool,
}

impl Rotation {
    fn new(for_good: bool) -> Self {
        let host = Host::new();
        let sshd = host.write("bin/sshd", SSHD);
        fs::set_permissions(sshd, fs::Permissions::from_mode(0o755)).unwrap();
        host.write("sshd_config", "");
        fs::create_dir(host.path("sshd_config.d")).unwrap();
        for name in ["old", "new", "recovery"] {
            let path = host.path(name);
            keygen(&["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path.to_str().unwrap()]);
        }
        let it = Self { host, for_good };
        it.host.write("keys/root", &format!("{UNRELATED}\n{}\n", it.public("old")));
        it.host.write("journal", &it.login());
        it
    }

    fn public(&self, name: &str) -> String {
        fs::read_to_string(self.host.path(name).with_extension("pub")).unwrap().trim().into()
    }

    fn fingerprint(&self, name: &str) -> String {
        let path = self.host.path(name).with_extension("pub");
        keygen(&["-lf", path.to_str().unwrap()]).split(' ').nth(1).unwrap().into()
    }

    /// The line of the journal that proves the new key.
    fn login(&self) -> String {
        let message = format!(
            "Accepted publickey for root from 192.0.2.1 port 4711 ssh2: ED25519 {}",
            self.fingerprint("new")
        );
        json!({"MESSAGE": message, "_PID": "4000000000", "__MONOTONIC_TIMESTAMP": "1"}).to_string() + "\n"
    }

    fn step(&self, step: &str) -> Module {
        let connection =
            json!({"client": "192.0.2.1", "client_port": 4711, "server": "192.0.2.2", "server_port": 22});
        let module = Module::new(
            "ssh_key_rotation",
            json!({
                "step": step, "id": "first", "for_good": self.for_good, "connection": connection,
                "keys": [{"user": "root", "new": [self.public("new")], "old": [self.public("old")]}],
                "proof": {"user": "root", "fingerprint": self.fingerprint("new"), "connection": connection},
                // In this form an operator would not write it, but ssh_control_key does.
                "recovery": self.public("recovery").replace(" recovery", " minicluster recovery first"),
                "remove": [self.host.path("copy")],
                "directory": self.host.path("rotation"), "unit_directory": self.host.path("etc"),
                "sshd": self.host.path("bin/sshd"), "sshd_config": self.host.path("sshd_config"),
            }),
        );
        self.host.run_on(module)
    }

    fn copy_of_the_old_key(&self) -> PathBuf {
        self.host.write("copy", "private half")
    }

    fn keys(&self) -> String {
        fs::read_to_string(self.host.path("keys/root")).unwrap()
    }

    /// Whether sshd would let this key in.
    fn opens(&self, name: &str) -> bool {
        let key = self.public(name);
        let blob = key.split(' ').nth(1).unwrap();
        let setting = self.host.path("sshd_config.d/00-minicluster-revoked.conf");
        let (list, public) =
            (self.host.path("minicluster_revoked_keys"), self.host.path(name).with_extension("pub"));
        let revoked = setting.exists()
            && Command::new("ssh-keygen").arg("-Qf").args([list, public]).output().unwrap().status.code()
                == Some(1);
        self.keys().contains(blob) && !revoked
    }

    /// The steps before this one.
    fn run_until(&self, step: &str) {
        let steps: &[&str] = match step {
            "add" => &[],
            "revoke" => &["add"],
            _ => &["add", "revoke"],
        };
        for step in steps {
            self.step(step).run();
        }
    }

    /// What systemd runs at the deadline, as long as it is armed.
    fn deadline(&self) -> Option<Command> {
        let timer = self.host.path("etc/minicluster-ssh-rollback.timer");
        timer.exists().then(|| {
            let unit = fs::read_to_string(self.host.path("etc/minicluster-ssh-rollback.service")).unwrap();
            let run = unit.lines().find_map(|it| it.strip_prefix("ExecStart=")).unwrap();
            let (program, arguments) = run.split_once(' ').unwrap();
            let mut command = Command::new(program);
            command.args(arguments.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped());
            self.host.environment(&mut command);
            command
        })
    }

    /// Runs that.
    fn expires(&self) -> Option<Output> {
        self.deadline().map(|mut it| it.output().unwrap())
    }

    /// The host and whoever confirmed agree on what happened; says whether it was the confirmation.
    fn decided(&self, confirmed: &Output, expired: Option<Output>) -> bool {
        let said = String::from_utf8_lossy(&confirmed.stdout).into_owned();
        let state: Value =
            serde_json::from_slice(&fs::read(self.host.path("rotation/rotation.json")).unwrap()).unwrap();
        let kept = state["state"] == "confirmed";
        assert!(kept || state["state"] == "rolled_back", "{state}");
        assert_eq!(confirmed.status.success(), kept, "who confirms is told the truth: {said}");
        assert_eq!(
            (self.opens("new"), self.opens("old"), self.opens("recovery")),
            (true, !kept, !kept),
            "{said}"
        );
        assert!(kept || said.contains("restored because nobody confirmed in time"), "{said}");
        let restored = expired.is_some_and(|it| String::from_utf8_lossy(&it.stdout).contains("are restored"));
        assert_eq!(restored, !kept, "the host says what it did");
        kept
    }

    /// A whole run, as `rotate.yml` does it.
    fn finishes(&self, what: &str) {
        for step in ["add", "revoke", "confirm"] {
            self.step(step).run();
        }
        assert!(
            self.opens("new") && !self.opens("old") && !self.opens("recovery"),
            "{what}: {}",
            self.keys()
        );
        assert!(self.keys().contains(UNRELATED), "{what}");
        assert!(!self.host.path("copy").exists(), "{what}");
        for it in ["etc/minicluster-ssh-rollback.timer", "rotation/program", "rotation/expire.json"] {
            assert!(!self.host.path(it).exists(), "{what}: {it}");
        }
        let state: Value =
            serde_json::from_slice(&fs::read(self.host.path("rotation/rotation.json")).unwrap()).unwrap();
        assert_eq!(state["state"], "confirmed", "{what}");
        assert!(!self.step("confirm").run().changed(), "{what}");
    }
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_some_key_opens_and_the_next_run_or_the_host_alone_ends_it() {
    let points = [
        ("add", "files:written", false),
        ("add", "ssh_key_rotation:edited", false),
        ("revoke", "files:renamed", false),
        ("revoke", "ssh_key_rotation:program", false),
        ("revoke", "ssh_key_rotation:timer", false),
        ("revoke", "ssh_key_rotation:armed", false),
        ("revoke", "ssh_key_rotation:edited", false),
        ("revoke", "ssh_key_rotation:list", true),
        ("revoke", "ssh_key_rotation:setting", true),
        ("revoke", "ssh_key_rotation:revoked", true),
        ("revoke", "ssh_key_rotation:edited", true),
        ("confirm", "ssh_key_rotation:sessions", false),
        ("confirm", "ssh_key_rotation:confirmed", false),
        ("confirm", "ssh_key_rotation:removed", true),
        ("rollback", "ssh_key_rotation:restored", false),
        ("rollback", "ssh_key_rotation:restored", true),
    ];
    for (step, point, for_good) in points {
        for somebody_returns in [true, false] {
            let what =
                format!("{step} at {point}, for good: {for_good}, somebody returns: {somebody_returns}");
            let it = Rotation::new(for_good);
            it.copy_of_the_old_key();
            it.run_until(step);
            it.step(step).killed_at(point);
            let open: Vec<_> = ["old", "new", "recovery"].into_iter().filter(|name| it.opens(name)).collect();
            assert!(open.contains(&"new") || open.contains(&"old"), "{what}: {open:?}");
            if !somebody_returns {
                let done = it.expires();
                assert!(done.is_none_or(|it| it.status.success()), "{what}");
                let state = fs::read_to_string(it.host.path("rotation/rotation.json")).unwrap_or_default();
                assert!(!state.contains("\"armed\""), "{what}: the host has decided: {state}");
                let restored = state.contains("rolled_back");
                assert_eq!(it.opens("recovery"), restored, "{what}");
                assert!(it.opens("new") || step == "add", "{what}");
                assert!(!restored || for_good || it.opens("old"), "{what}");
            }
            it.finishes(&what);
        }
    }
}

#[test]
fn of_a_confirmation_and_the_deadline_the_first_happens() {
    for confirms_first in [true, false] {
        let it = Rotation::new(false);
        it.run_until("confirm");
        let early = if confirms_first { None } else { it.expires() };
        let confirmed = it.step("confirm").output();
        assert_eq!(it.decided(&confirmed, early.or_else(|| it.expires())), confirms_first);
    }
}

#[test]
fn a_deadline_in_the_middle_of_a_confirmation_waits_for_it() {
    let it = Rotation::new(false);
    it.run_until("confirm");
    // It is asked for sessions of the old key, and does not answer yet.
    let slow = "#!/bin/sh\ncd \"$FAKE_SYSTEMD\"; touch asked; until [ -e answer ]; do sleep 0.01; done; cat journal\n";
    fs::remove_file(it.host.path("bin/journalctl")).unwrap();
    let journal = it.host.write("bin/journalctl", slow);
    fs::set_permissions(journal, fs::Permissions::from_mode(0o755)).unwrap();
    std::thread::scope(|scope| {
        let confirmed = scope.spawn(|| it.step("confirm").output());
        wait_until("the journal is asked", || it.host.path("asked").exists());
        let mut deadline = it.deadline().unwrap().spawn().unwrap();
        wait_until("the deadline waits for the lock", || {
            let waits =
                |line: &str| line.contains("->") && line.split(' ').any(|it| it == deadline.id().to_string());
            fs::read_to_string("/proc/locks").unwrap().lines().any(waits)
                || deadline.try_wait().unwrap().is_some()
        });
        it.host.write("answer", "");
        let confirmed = confirmed.join().unwrap();
        assert!(
            it.decided(&confirmed, Some(deadline.wait_with_output().unwrap())),
            "the confirmation was first"
        );
    });
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_full_disk_costs_no_key() {
    for step in ["add", "revoke", "rollback"] {
        let it = Rotation::new(false);
        it.run_until(step);
        let keys = it.keys();
        let module = it.step(step);
        let arguments = it.host.write("arguments.json", &json!(module.arguments()).to_string());
        // No file may grow: writing fails as on a full disk.
        let mut command = Command::new("sh");
        command.args(["-ec", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$1\""]);
        command.arg(module.command().get_program()).arg(arguments);
        let output = it.host.environment(&mut command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("\"failed\":true") && said.contains("cannot"), "{step}: {output:?}");
        assert_eq!(it.keys(), keys, "{step}: {said}");
        it.finishes(step);
    }
}

#[test]
fn a_file_of_keys_that_is_a_link_stays_one_where_nobody_else_could_make_it() {
    let it = Rotation::new(false);
    fs::create_dir(it.host.path("dotfiles")).unwrap();
    fs::rename(it.host.path("keys/root"), it.host.path("dotfiles/keys")).unwrap();
    let link = || fs::read_link(it.host.path("keys/root")).ok();
    symlink("../dotfiles/keys", it.host.path("keys/root")).unwrap();
    it.run_until("revoke");
    assert!(it.opens("new") && it.opens("old") && link().is_some());
    fs::set_permissions(it.host.path("keys"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = it.step("revoke").fail();
    assert!(
        said.contains("keys/root is a link to ../dotfiles/keys") && said.contains("others can write"),
        "{said}"
    );
    assert!(it.opens("old"));
    fs::set_permissions(it.host.path("keys"), fs::Permissions::from_mode(0o755)).unwrap();
    it.finishes("a link");
    assert!(link().is_some());
}

#[test]
fn a_file_of_keys_that_never_ends_is_refused_by_name() {
    let it = Rotation::new(false);
    for device in ["/dev/zero", "pipe"] {
        let path = it.host.path("keys/root");
        fs::remove_file(&path).unwrap();
        if device == "pipe" {
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        } else {
            symlink(device, &path).unwrap();
        }
        let said = it.step("add").fail();
        assert!(said.contains("it is not a regular file"), "{device}: {said}");
    }
}
