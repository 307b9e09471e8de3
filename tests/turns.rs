//! Instances of a service take turns when they are restarted: real Ansible, on hosts that are directories.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::{Value, json};

use crate::support::{Host, built, me, python};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Hosts `h0`, `h1`, … on which `web.service` runs.
fn hosts(count: usize) -> Vec<Host> {
    let host = |_| {
        let host = Host::new();
        host.unit("web.service", "Type=simple");
        host.service_units(&["web"]).with("settle", 0).run();
        host
    };
    (0..count).map(host).collect()
}

/// Runs one task of `service_units` on all of them; what each host answers, in their order.
fn play(hosts: &[Host], options: &Value) -> Vec<Value> {
    let project = tempfile::tempdir().unwrap();
    let path = |name: &str| project.path().join(name);
    fs::create_dir(path("library")).unwrap();
    symlink(built("service_units"), path("library/service_units")).unwrap();
    let name = |number: usize| format!("h{number}");
    let variables = |host: &Host| json!({"ansible_connection": "local", "root": host.root()});
    let all: serde_json::Map<_, _> =
        hosts.iter().enumerate().map(|(number, host)| (name(number), variables(host))).collect();
    let inventory = json!({"all": {"children": {"web": {"hosts": all}}}});
    fs::write(path("hosts.json"), inventory.to_string()).unwrap();
    let mut task = json!({"service": "web", "units": ["web"], "inputs": ["{{ root }}/config"],
        "ledger": "{{ root }}/ledger"});
    task.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let environment =
        json!({"FAKE_SYSTEMD": "{{ root }}", "PATH": "{{ root }}/bin:{{ lookup('env', 'PATH') }}"});
    let play = json!([{"hosts": "all", "gather_facts": false, "environment": environment,
        "tasks": [{"service_units": task}]}]);
    fs::write(path("play.yml"), play.to_string()).unwrap();
    let output = python()
        .args(["-m", "ansible", "playbook", "-i", "hosts.json", "play.yml"])
        .current_dir(project.path())
        .env("ANSIBLE_LIBRARY", path("library"))
        .env("ANSIBLE_ACTION_PLUGINS", Path::new(ROOT).join("action_plugins"))
        .env("ANSIBLE_CALLBACK_PLUGINS", Path::new(ROOT).join("tests/plugin/support"))
        .env("ANSIBLE_CALLBACKS_ENABLED", "callback")
        .env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3")
        .env("MINICLUSTER_RESULTS", path("results"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let results = fs::read_to_string(path("results")).unwrap_or_else(|_| panic!("{output:?}"));
    let results: Vec<Value> = results.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(results.len(), hosts.len(), "{said}");
    let of = |number| {
        let line = results.iter().find(|it| it["host"] == name(number)).unwrap();
        let mut result = line["result"].clone();
        result["failed"] = (line["kind"] == "failed").into();
        result
    };
    (0..hosts.len()).map(of).collect()
}

/// When the unit was last started, in seconds.
fn started(host: &Host) -> f64 {
    host.state("web.service")["at"].as_f64().unwrap()
}

#[test]
fn one_after_another_is_restarted_and_nobody_else_waits() {
    let hosts = hosts(4);
    hosts[..3].iter().for_each(|it| drop(it.write("config/web.service", "new")));
    let before = started(&hosts[3]);
    for (at_once, settle) in [(1, 1), (0, 5)] {
        let answers = play(&hosts, &json!({"at_once": at_once, "settle": settle}));
        assert!(answers.iter().all(|it| it["failed"] == false), "{answers:?}");
        assert_eq!(answers[0]["units"]["web.service"], "restarted (what it reads has changed)");
        assert_eq!((answers[3]["changed"].clone(), started(&hosts[3])), (json!(false), before));
        let mut times: Vec<_> = hosts[..3].iter().map(started).collect();
        times.sort_by(f64::total_cmp);
        let gaps: Vec<_> = times.windows(2).map(|it| it[1] - it[0]).collect();
        assert!(
            gaps.iter().all(|it| (*it >= f64::from(settle)) == (at_once == 1)),
            "{at_once} at once: {gaps:?}"
        );
        hosts[..3].iter().for_each(|it| drop(it.write("config/web.service", "newer")));
    }
}

#[test]
fn where_one_does_not_come_up_the_others_run_on_and_say_why() {
    let hosts = hosts(3);
    for host in &hosts {
        host.write("config/web.service", "new");
        host.unit("web.service", "Type=simple\nFail=start");
    }
    let answers = play(&hosts, &json!({}));
    assert!(answers.iter().all(|it| it["failed"] == true), "{answers:?}");
    let (broken, running): (Vec<_>, Vec<_>) =
        (0..3).partition(|it| hosts[*it].state("web.service")["active"] == "failed");
    let [culprit] = broken[..] else { panic!("{answers:?}") };
    assert!(answers[culprit]["msg"].as_str().unwrap().contains("bind: address already in use"));
    for other in running {
        let reason = format!(
            "web.service would be restarted, but web did not come up on h{culprit}, so what ran before"
        );
        assert!(answers[other]["msg"].as_str().unwrap().starts_with(&reason), "{answers:?}");
        assert_eq!(hosts[other].state("web.service")["starts"], 1);
    }
}

/// The first call of such a task writes, the second restarts: what it says is what both have done.
#[test]
fn a_task_that_writes_and_waits_for_its_turn_says_both() {
    let hosts = hosts(2);
    let (owner, group) = me();
    let file =
        json!({"path": "{{ root }}/config/web.service", "content": "new", "owner": owner, "group": group});
    let answers = play(&hosts, &json!({"write": [file], "settle": 0}));
    for (host, answer) in hosts.iter().zip(&answers) {
        assert_eq!(answer["changed"], true, "{answers:?}");
        assert_eq!(answer["written"], json!([host.path("config/web.service")]));
        assert_eq!(answer["units"]["web.service"], "restarted (what it reads has changed)");
        assert_eq!(host.state("web.service")["starts"], 2);
    }
}

/// It has stopped nothing: the others have their turn.
#[test]
fn where_a_file_cannot_be_written_the_others_are_restarted() {
    let hosts = hosts(3);
    fs::create_dir_all(hosts[0].path("config/web.service/in the way")).unwrap();
    let (owner, group) = me();
    let file =
        json!({"path": "{{ root }}/config/web.service", "content": "new", "owner": owner, "group": group});
    let answers = play(&hosts, &json!({"write": [file], "settle": 0}));
    assert_eq!(answers[0]["failed"], true, "{answers:?}");
    for answer in &answers[1..] {
        assert_eq!(answer["units"]["web.service"], "restarted (what it reads has changed)", "{answers:?}");
    }
}

#[test]
fn first_starts_take_no_turns() {
    let hosts: Vec<_> = (0..3).map(|_| Host::new()).collect();
    for host in &hosts {
        host.unit("web.service", "Type=simple");
    }
    let answers = play(&hosts, &json!({"settle": 5}));
    assert!(answers.iter().all(|it| it["changed"] == true), "{answers:?}");
    let times: Vec<_> = hosts.iter().map(started).collect();
    assert!(
        times.iter().all(|it| (it - times[0]).abs() < 5.0),
        "nobody waits until another is up: {times:?}"
    );
}
