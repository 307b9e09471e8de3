//! `minicluster enrol` and `members`: what a machine does around its election, in a directory that is the machine.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::Module;
use serde_json::{Value, json};

const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Hk6sJXgvHhAaGkE9Ypr8PKIXb0cUvxdiEzUdkYjbR",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC9kUzq0a7BqQ6hXq6N0W8V3Zq1x5mXJr7v9N4mI2cQe",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmZ0k7y1n3hQy5yqjEo0m1lY2cV9oT8sR4fPq6dWx3b",
];
const SECRET: &str = "a0b1c2d3a0b1c2d3a0b1c2d3a0b1c2d3";

/// A machine just before its enrolment.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.write("etc/minicluster/cluster_secret", &format!("{SECRET}\n"));
        machine.write("etc/cloud/cloud.cfg", "");
        machine.write("var/lib/minicluster/private/ssh/control", "private half");
        machine.write("var/lib/cloud/seed/nocloud/user-data", SECRET);
        machine.write("var/lib/cloud/instances/i1/user-data.txt", SECRET);
        machine.write("var/lib/cloud/instances/i1/sem/config_ssh", "");
        machine.write("run/cloud-init/instance-data-sensitive.json", SECRET);
        machine.write("root/.ssh/authorized_keys", &format!("{} operator", KEYS[2]));
        fs::create_dir_all(machine.path("etc/ssh")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, arguments: &[&str], election: &Value) -> Output {
        Command::new(crate::support::built("minicluster"))
            .args(arguments)
            .arg("--root")
            .arg(self.root.path())
            .env("MINICLUSTER_ELECTION", election.to_string())
            .current_dir(self.root.path())
            .output()
            .unwrap()
    }

    fn succeed(&self, arguments: &[&str], election: &Value) -> String {
        let output = self.run(arguments, election);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fail(&self, arguments: &[&str], election: &Value) -> String {
        let output = self.run(arguments, election);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn node(&self) -> Value {
        serde_json::from_str(&self.read("var/lib/minicluster/node.json")).unwrap()
    }
}

/// The election as machine `own` of two sees it; the first leads.
fn election(own: usize) -> Value {
    let member = |it: usize| {
        json!({"id": format!("id{it}"), "name": format!("host{it}"), "role": "manager", "election_id": "1",
            "addresses": [format!("10.0.0.{it}")], "host_key": KEYS[it - 1], "user_key": format!("{} x", KEYS[it - 1])})
    };
    json!({"cluster": "demo", "term": 1, "digest": "d1", "leader": "id1", "self": format!("id{own}"),
        "members": [member(1), member(2)]})
}

const ENROL: &[&str] = &["enrol", "--user", "root"];

#[test]
fn a_follower_lets_the_leader_in_and_keeps_no_key_of_its_own() {
    let machine = Machine::new();
    let said = machine.succeed(ENROL, &election(2));
    assert!(said.contains("led by host1") && !said.contains(SECRET), "{said}");
    let node = machine.node();
    assert_eq!((&node["node_id"], &node["came_in"]), (&json!("id2"), &json!("election")));
    assert_eq!(
        machine.read("root/.ssh/authorized_keys"),
        format!("{} operator\n{} minicluster control\n", KEYS[2], KEYS[0])
    );
    let known = machine.read("etc/ssh/ssh_known_hosts");
    assert_eq!(known, format!("host1,10.0.0.1 {}\nhost2,10.0.0.2 {}\n", KEYS[0], KEYS[1]));
    let found = Command::new("ssh-keygen")
        .args(["-F", "10.0.0.2", "-f"])
        .arg(machine.path("etc/ssh/ssh_known_hosts"))
        .output()
        .unwrap();
    assert!(String::from_utf8(found.stdout).unwrap().contains(KEYS[1]));
    assert!(!machine.path("var/lib/minicluster/private").exists());
    assert!(machine.path("etc/minicluster/cluster_secret").exists(), "the election may still need it");
    let before = crate::support::snapshot(machine.root.path());
    machine.succeed(ENROL, &election(2));
    assert_eq!(before, crate::support::snapshot(machine.root.path()), "a second time writes something");
}

#[test]
fn what_lies_in_a_home_is_written_as_its_owner_would() {
    const AS_NOBODY: &[&str] = &["enrol", "--user", "nobody"];
    const HOME: &str = "nonexistent";
    let machine = || {
        let machine = Machine::new();
        fs::set_permissions(machine.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(machine.path(HOME)).unwrap();
        chown(machine.path(HOME), Some(65534), Some(65534))
            .expect("this test becomes another user: run it as root");
        machine
    };
    let tidy = machine();
    tidy.succeed(AS_NOBODY, &election(2));
    for (name, mode) in [(".ssh", 0o700), (".ssh/authorized_keys", 0o600)] {
        let found = fs::metadata(tidy.path(HOME).join(name)).unwrap();
        assert_eq!((found.uid(), found.permissions().mode() & 0o777), (65534, mode), "{name}");
    }
    // A link that its owner has made leads root nowhere.
    let planted = machine();
    let target = planted.path("etc/keys");
    fs::create_dir(&target).unwrap();
    symlink(&target, planted.path(HOME).join(".ssh")).unwrap();
    let said = planted.fail(AS_NOBODY, &election(2));
    assert!(said.contains("as user 'nobody'"), "{said}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn the_leader_keeps_its_key_and_writes_down_the_members() {
    let machine = Machine::new();
    machine.succeed(ENROL, &election(1));
    assert!(machine.path("var/lib/minicluster/private/ssh/control").exists());
    assert!(machine.read("var/lib/minicluster/private/ssh/known_hosts").contains("host2,10.0.0.2 "));
    machine.write("hosts", "# rack 4\nhost2 zone=b\n");
    let said = machine.succeed(&["members", "--domain", "infra.example.com"], &election(1));
    assert_eq!(said, "2 members written to hosts\n");
    let hosts = machine.read("hosts");
    assert!(hosts.starts_with("# rack 4\nhost2 zone=b ansible_host=10.0.0.2 node_id="), "{hosts}");
    let id = machine.node()["cluster_id"].as_str().unwrap().to_owned();
    assert!(hosts.contains(&format!("cluster_id='{id}'\ndomain=infra.example.com\n")), "{hosts}");
    let said = machine.succeed(&["members"], &election(1));
    assert_eq!(said, "2 members are already in hosts\n");
    // Ansible itself says what the file means.
    let listed = crate::support::python()
        .args(["-m", "ansible", "inventory", "--list", "-i"])
        .arg(machine.path("hosts"))
        .current_dir("/")
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let host = &listed["_meta"]["hostvars"]["host2"];
    assert_eq!(
        (&host["node_id"], &host["zone"], &host["cluster_id"]),
        (&json!("id2"), &json!("b"), &json!(id))
    );
    assert_eq!(listed["core"]["hosts"], json!(["host1", "host2"]));
}

#[test]
fn with_a_bootstrap_key_the_leaders_key_comes_later() {
    let machine = Machine::new();
    machine.write("etc/minicluster/bootstrap_key", "private half");
    machine.succeed(ENROL, &election(2));
    assert!(!machine.read("root/.ssh/authorized_keys").contains(KEYS[0]));
}

#[test]
fn who_belongs_to_another_cluster_is_not_enrolled() {
    let machine = Machine::new();
    machine.succeed(ENROL, &election(2));
    let mut other = election(2);
    other["digest"] = json!("d2");
    let before = crate::support::snapshot(machine.root.path());
    let message = machine.fail(ENROL, &other);
    assert!(message.contains("cannot become one of 'demo'"), "{message}");
    assert_eq!(before, crate::support::snapshot(machine.root.path()));
}

#[test]
fn what_was_given_at_boot_is_forgotten_once_there_is_a_cluster() {
    let machine = Machine::new();
    let before = crate::support::snapshot(machine.root.path());
    let message = machine.fail(&["enrol", "--finish"], &election(2));
    assert!(message.contains("is in no cluster yet"), "{message}");
    let module = Module::new("boot_residue", json!({"root": machine.root.path()}));
    assert!(module.fail().contains("is in no cluster yet"));
    assert_eq!(before, crate::support::snapshot(machine.root.path()));
    machine.succeed(ENROL, &election(2));
    let answer = module.converges(machine.root.path());
    assert_eq!(answer.0["removed"].as_array().unwrap().len(), 4, "{answer:?}");
    let left = Command::new("grep").args(["-rl", SECRET]).arg(machine.root.path()).output().unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "");
    assert!(machine.path("etc/cloud/cloud-init.disabled").exists());
    assert!(machine.path("var/lib/cloud/instances/i1/sem/config_ssh").exists(), "cloud-init would run anew");
    assert_eq!(
        machine.succeed(&["enrol", "--finish"], &election(2)),
        "forgot 0 files of the boot configuration\n"
    );
}

#[test]
fn a_machine_that_an_operator_let_in_has_nothing_to_elect() {
    let admitted = &["enrol", "--admitted"];
    let machine = Machine::new();
    assert_eq!(machine.succeed(admitted, &election(2)), "");
    // One that came in by the election finishes that, and what follows from it.
    let elected = Machine::new();
    elected.succeed(ENROL, &election(2));
    assert_eq!(elected.succeed(admitted, &election(2)), "");
    let arguments = json!({"directory": machine.path("var/lib/minicluster"), "cluster": "demo",
        "cluster_id": "ab".repeat(16), "node_id": "cd".repeat(16), "readmit": true});
    assert!(Module::new("node_state", arguments).run().changed());
    assert_eq!(machine.succeed(admitted, &election(2)), "admitted\n");
    machine.succeed(&["enrol", "--finish"], &election(2));
    let left = Command::new("grep").args(["-rl", SECRET]).arg(machine.root.path()).output().unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "");
    machine.write("var/lib/minicluster/node.json", "{");
    assert!(machine.fail(admitted, &election(2)).contains("node.json is damaged"));
}

#[test]
fn a_copy_outside_of_the_machine_is_reported() {
    let machine = Machine::new();
    machine.succeed(ENROL, &election(2));
    let source = "DataSourceEc2Local";
    machine.write("run/cloud-init/status.json", &json!({"v1": {"datasource": source}}).to_string());
    let answer = Module::new("boot_residue", json!({"root": machine.root.path()})).run();
    assert_eq!(answer.0["elsewhere"], json!([source]));
    assert!(answer.0["warnings"][0].as_str().unwrap().contains("remove it there"), "{answer:?}");
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_attempt_finishes() {
    let whole = |machine: &Machine| {
        let files =
            ["etc/ssh/ssh_known_hosts", "root/.ssh/authorized_keys", "var/lib/minicluster/members.json"];
        (files.map(|it| machine.read(it)), machine.node()["cluster_id"].clone())
    };
    let undisturbed = Machine::new();
    undisturbed.succeed(ENROL, &election(2));
    for point in ["files:written", "files:renamed", "enrol:locked", "enrol:known_hosts", "enrol:let_in"] {
        let machine = Machine::new();
        let killed = Command::new(crate::support::built("minicluster"))
            .args(ENROL)
            .arg("--root")
            .arg(machine.root.path())
            .env("MINICLUSTER_ELECTION", election(2).to_string())
            .env("MINICLUSTER_KILL_AT", point)
            .output()
            .unwrap();
        assert!(!killed.status.success(), "{point}");
        machine.succeed(ENROL, &election(2));
        assert_eq!(whole(&machine), whole(&undisturbed), "{point}");
        let mode = fs::metadata(machine.path("root/.ssh/authorized_keys")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!Path::new(&machine.path("var/lib/minicluster/private")).exists(), "{point}");
    }
}

/// Runs `bootstrap/boot` on a machine of its own, as far as its directories matter. It has begun to make its pair before.
const BOOT: &str = r#"
mount --bind "$1" /opt && mount -t tmpfs none /var/lib && mkdir -p /var/lib/minicluster/private/ssh || exit
status=0
sh "$2" --expect 3 || status=$?
[ -e /var/lib/minicluster/private ] && echo private >>"$1/log"
exit $status
"#;

/// What `bootstrap/boot` calls, in this order, and how it ends, where `enrol --admitted` says and does this.
fn boot(admitted: &str) -> (Vec<String>, bool) {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("log");
    for (name, does) in [("minicluster", admitted), ("zeroconf_election", "")] {
        let program = format!(
            "#!/bin/sh\necho \"{name} $1 $2\" >>{}\nif [ \"$2\" = --admitted ]; then {does}:; fi\n",
            log.display()
        );
        let path = root.path().join("minicluster/bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("bootstrap/boot");
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-ec", BOOT, "sh"])
        .arg(root.path())
        .arg(boot)
        .output();
    let calls = fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
    (calls, done.unwrap().status.success())
}

#[test]
fn who_was_let_in_does_not_elect() {
    let (asked, finish) =
        ("minicluster enrol --admitted".to_owned(), "minicluster enrol --finish".to_owned());
    let kept = "private".to_owned();
    let elects = vec![asked.clone(), "zeroconf_election --expect 3".into(), finish.clone(), kept.clone()];
    assert_eq!(boot(""), (elects, true));
    assert_eq!(boot("echo admitted;"), (vec![asked.clone(), finish], true));
    // Nobody knows whether it was let in.
    assert_eq!(boot("exit 1;"), (vec![asked, kept], false));
}
