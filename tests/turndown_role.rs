//! The role `turndown`, run by Ansible on hosts with a small systemd: whichever part of a run is left out, an old
//! instance stays until the new ones run.

use std::{fs, os::unix::fs::symlink, process::Command};

use serde_json::json;

use crate::{
    roles::root,
    support::{Host, built},
};

/// A cluster whose service `web` has moved from `old` to `new1` and `new2`, and was set up only on `old`.
struct Moved {
    directory: tempfile::TempDir,
    hosts: [(&'static str, Host); 3],
}

impl Moved {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hosts = ["old", "new1", "new2"].map(|name| (name, Host::new()));
        for (_, host) in &hosts {
            host.unit("web.service", "");
        }
        hosts[0].1.service_units(&["web"]).run();
        fs::create_dir(directory.path().join("library")).unwrap();
        for module in ["service_units", "service_turndown"] {
            symlink(built(module), directory.path().join("library").join(module)).unwrap();
        }
        let variables = |(name, host): &(&str, Host)| {
            let path = format!("{}:{}", host.path("bin").display(), std::env::var("PATH").unwrap());
            ((*name).to_owned(), json!({"root": host.root(), "search_path": path}))
        };
        let all: serde_json::Map<_, _> = hosts.iter().map(variables).collect();
        let inventory = json!({"all": {
            "hosts": all, "vars": {"ansible_connection": "local", "services": {"web": {}},
                "ansible_python_interpreter": root().join(".venv/bin/python")},
            "children": {"web": {"hosts": {"new1": {}, "new2": {}}}},
        }});
        fs::write(directory.path().join("hosts.json"), inventory.to_string()).unwrap();
        let ledger = json!({"ledger": "{{ root }}/ledger"});
        let play = |tasks: serde_json::Value| {
            let mut play = json!({"hosts": "all", "gather_facts": false,
                "environment": {"PATH": "{{ search_path }}", "FAKE_SYSTEMD": "{{ root }}"},
                "module_defaults": {"service_units": ledger, "service_turndown": ledger}});
            play.as_object_mut().unwrap().extend(tasks.as_object().unwrap().clone());
            play
        };
        // As in site.yml: a first task that always runs, the role of the service under its tag, turndown.
        let plays = json!([
            play(json!({"tasks": [
                {"name": "First", "debug": {"msg": ""}, "register": "site_placement", "tags": ["always"]},
                {"name": "Run the server", "service_units": {"service": "web", "units": ["web.service"]},
                 "when": "inventory_hostname in groups.web", "tags": ["web"]},
            ]})),
            play(json!({"roles": [{"role": "turndown", "tags": ["turndown"]}]})),
        ]);
        fs::write(directory.path().join("site.yml"), plays.to_string()).unwrap();
        Self { directory, hosts }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut ansible = Command::new(root().join(".venv/bin/ansible-playbook"));
        ansible
            .args(["--inventory=hosts.json", "site.yml"])
            .args(arguments)
            .current_dir(self.directory.path());
        let settings =
            [("ROLES_PATH", root().join("roles")), ("LIBRARY", self.directory.path().join("library"))];
        ansible.envs(settings.map(|(name, value)| (format!("ANSIBLE_{name}"), value)));
        let done = ansible.output().expect("make installs .venv");
        let said = [done.stdout, done.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        assert!(done.status.success(), "{arguments:?}: {said}");
        said
    }

    fn runs(&self, at: usize) -> bool {
        self.hosts[at].1.state("web.service")["active"] == "active"
    }
}

#[test]
fn an_old_instance_stays_until_the_new_ones_run() {
    let cluster = Moved::new();
    let stays = "service 'web' stays here although it is placed elsewhere now: it does not run on";
    for (arguments, warning) in [
        (&["--tags", "turndown"][..], stays),
        (&["--start-at-task", "turndown : List what runs here, and what leaves"][..], stays),
        (&["--start-at-task", "turndown : Turn down services not placed on this host"][..], ""),
        (&["--skip-tags", "web"][..], stays),
        (&["--limit", "old,new1"][..], "it does not run on new2 yet"),
    ] {
        let said = cluster.run(arguments);
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(warning), "{arguments:?}: {said}");
        assert!(cluster.runs(0), "{arguments:?}: {said}");
    }
    assert!(cluster.runs(1) && !cluster.runs(2), "--limit ran the role on one of them");

    let said = cluster.run(&["--check"]);
    assert!(said.contains("changed: [old]") && cluster.runs(0), "the whole run is predicted: {said}");
    cluster.run(&["--tags", "web"]);
    assert!(cluster.runs(0) && cluster.runs(2));
    let said = cluster.run(&["--tags", "turndown"]);
    assert!(!cluster.runs(0), "it runs where it is placed, so the old one goes: {said}");
    assert!(cluster.runs(1) && cluster.runs(2));
}

#[test]
fn a_whole_run_moves_a_service() {
    let cluster = Moved::new();
    cluster.run(&[]);
    assert_eq!([0, 1, 2].map(|at| cluster.runs(at)), [false, true, true]);
}
