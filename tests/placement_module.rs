//! The module `placement` as a process: what it writes, predicts and refuses.

use std::path::Path;

use crate::support::Module;
use serde_json::json;

/// A directory with these files, and the module working on it.
fn cluster(files: &[(&str, &str)]) -> (tempfile::TempDir, Module) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the directory"))
            .expect("the directory is writable");
        std::fs::write(path, text).expect("the directory is writable");
    }
    let path = |name: &str| directory.path().join(name);
    let arguments =
        json!({"hosts": path("hosts"), "services": path("services.yml"), "lock": path("services.lock")});
    (directory, Module::new("placement", arguments))
}

/// The lines of the lock that are about the service `web`.
fn lock(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("services.lock")).expect("the lock was written");
    text.lines().filter(|line| line.starts_with("web")).map(str::to_owned).collect()
}

const HOSTS: &str = "[core]\na\nb\nc\n";

#[test]
fn the_placement_is_recorded_and_kept() {
    let (directory, module) = cluster(&[("hosts", HOSTS), ("services.yml", "web: {num_instances: 2}\n")]);
    let answer = module.converges(directory.path());
    assert_eq!(answer.0["kept"], 0);
    let first = lock(directory.path());
    assert_eq!(first.len(), 2);
    std::fs::write(directory.path().join("hosts"), "[core]\na\nb\nc\nd\ne\nf\n").expect("it is writable");
    let answer = module.converges(directory.path());
    assert!(
        answer.0["changes"].as_array().is_some_and(|all| all.iter().all(|change| change["service"] != "web"))
    );
    assert_eq!(lock(directory.path()), first);
}

#[test]
fn a_move_is_predicted_with_diff_and_warning() {
    let locked = "minicluster-lock 1\nweb a\nweb gone\n";
    let services = "web: {num_instances: 2, stateful: true, scheduling_group: pair}\n";
    let hosts = "[core]\na\nb\nc\n[pair]\na\nb\n";
    let (directory, module) =
        cluster(&[("hosts", hosts), ("services.yml", services), ("services.lock", locked)]);
    let predicted = module.clone().check().run();
    assert!(predicted.0["diff"][0]["before"].as_str().is_some_and(|text| text.contains("web gone")));
    assert!(predicted.0["diff"][0]["after"].as_str().is_some_and(|text| text.contains("web b")));
    let web = predicted.0["changes"]
        .as_array()
        .and_then(|all| all.iter().find(|change| change["service"] == "web"));
    assert_eq!(web.map(|web| &web["moved"]), Some(&json!([{"from": "gone", "to": "b"}])));
    assert!(
        predicted.0["warnings"][0].as_str().is_some_and(|text| text.contains("gone → b")),
        "{predicted:?}"
    );
    module.converges(directory.path());
}

#[test]
fn a_limited_run_forgets_no_host() {
    let locked = "minicluster-lock 1\nold a\nweb a\nweb gone\n";
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", "web: {num_instances: 1}\n"),
        ("services.lock", locked),
    ]);
    module.clone().with("limited", true).converges(directory.path());
    assert_eq!(lock(directory.path()), ["web a", "web gone leaving"]);
    module.converges(directory.path());
    assert_eq!(lock(directory.path()), ["web a"]);
}

/// On whichever host it was: one of the three ranks highest, and would win without the fix.
#[test]
fn what_a_limited_run_left_behind_does_not_win_over_what_it_placed() {
    for was in ["a", "b", "c"] {
        let (directory, module) = cluster(&[
            ("hosts", HOSTS),
            ("services.yml", "web: {num_instances: 1, scheduling_group: others}\n"),
            ("services.lock", &format!("minicluster-lock 1\nweb {was}\n")),
        ]);
        let hosts = directory.path().join("hosts");
        let others: Vec<_> = ["a", "b", "c"].into_iter().filter(|host| *host != was).collect();
        std::fs::write(&hosts, format!("{HOSTS}[others]\n{}\n", others.join("\n"))).expect("it is writable");
        module.clone().with("limited", true).run();
        let placed: Vec<_> =
            lock(directory.path()).into_iter().filter(|line| !line.ends_with("leaving")).collect();
        assert_eq!(lock(directory.path()).len(), 2);

        // The old host is allowed again: the new one runs it, so it stays there.
        std::fs::write(&hosts, format!("{HOSTS}[others]\na\nb\nc\n")).expect("it is writable");
        module.run();
        assert_eq!(lock(directory.path()), placed);
    }
}

#[test]
fn what_is_leaving_stays_where_more_instances_are_wanted() {
    for leaving in ["a", "b", "c", "d", "e"] {
        let placed = if leaving == "a" { "b" } else { "a" };
        let locked = format!("minicluster-lock 1\nweb {placed}\nweb {leaving} leaving\n");
        let (directory, module) = cluster(&[
            ("hosts", "[core]\na\nb\nc\nd\ne\n"),
            ("services.yml", "web: {num_instances: 2}\n"),
            ("services.lock", &locked),
        ]);
        module.run();
        let mut expected = [format!("web {placed}"), format!("web {leaving}")];
        expected.sort();
        assert_eq!(lock(directory.path()), expected);
    }
}

#[test]
fn all_mistakes_are_in_the_message_and_nothing_is_written() {
    let (directory, module) = cluster(&[
        ("hosts", "[core]\na\n[core:vars]\nenable_web=true\n"),
        ("services.yml", "web: {num_instance: 2}\ndb: {scheduling_group: cor}\n"),
        ("group_vars/all.yml", "enable_db: true\n"),
        ("play/host_vars/a/main.yml", "enable_etcd: false\n"),
    ]);
    let play = directory.path().join("play");
    let message = module.with("directories", json!([play])).fail();
    for part in [
        "services.yml:1:7: unknown attribute 'num_instance' in service 'web'; did you mean 'num_instances'?",
        "services.yml:2:24: service 'db' is to run on group 'cor', which the hosts file does not have; did you mean 'core'?",
        "hosts:4:1: on group 'core': 'enable_web' would override where service 'web' is placed",
        "group_vars/all.yml:1:1: 'enable_db' would override",
        "play/host_vars/a/main.yml:1:1: 'enable_etcd' would override",
    ] {
        assert!(message.contains(part), "{part} is missing from:\n{message}");
    }
    assert_eq!(message.lines().count(), 5, "{message}");
    assert!(!directory.path().join("services.lock").exists());
}

#[test]
fn what_no_role_does_yet_is_a_warning() {
    let services = "web:\n  containers: [{name: app, image: app}]\n  public_endpoints: [{port: 80}]\n\
                    off:\n  enabled: false\n  containers: [{name: off, image: off}]\n";
    let (directory, module) = cluster(&[("hosts", HOSTS), ("services.yml", services)]);
    let answer = module.converges(directory.path());
    let warnings: Vec<&str> =
        answer.0["warnings"].as_array().into_iter().flatten().filter_map(|it| it.as_str()).collect();
    assert_eq!(warnings.len(), 1, "{answer:?}");
    assert!(
        warnings[0].contains("services.yml:1:1: service 'web' has public_endpoints, which no role"),
        "{warnings:?}"
    );
}

#[test]
fn a_damaged_lock_is_refused_with_its_line() {
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", ""),
        ("services.lock", "minicluster-lock 1\n<<<<<<< ours\nweb a\n"),
    ]);
    assert!(module.fail().contains("services.lock:2: an unresolved merge conflict"));
    assert!(
        std::fs::read_to_string(directory.path().join("services.lock")).is_ok_and(|it| it.contains("<<<"))
    );
}

#[test]
fn without_a_services_file_there_are_the_core_services() {
    let (_directory, module) = cluster(&[("hosts", HOSTS)]);
    let missing = module.fail();
    assert!(missing.contains("services.yml: cannot be read"), "{missing}");
    let answer = module.with("services", json!(null)).run();
    assert!(answer.0["changes"].as_array().is_some_and(|all| all.iter().any(|it| it["service"] == "etcd")));
}

#[test]
fn runs_at_the_same_time_leave_a_whole_file() {
    let (directory, module) = cluster(&[("hosts", HOSTS), ("services.yml", "web: {num_instances: 2}\n")]);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| module.run())).collect();
        runs.into_iter().map(|run| run.join().expect("the run answers")).collect()
    });
    // Who comes second sees what the first recorded.
    assert_eq!(answers.iter().filter(|answer| answer.changed()).count(), 1, "{answers:?}");
    assert!(!module.run().changed());
    assert_eq!(std::fs::read_dir(directory.path()).expect("it exists").count(), 3);
}

#[test]
fn names_in_certificates_are_judged_in_the_domain() {
    let expected = "hosts:3:1: host 'web.example.com' would have certificates for 'web.example.com', the name of \
                    service 'web'";
    let hosts = "[core]\na\nweb.example.com\n";
    let files = [("hosts", hosts), ("services.yml", "web: {num_instances: 1}\n")];
    let (_directory, module) = cluster(&files);
    module.clone().check().run();
    module.clone().with("domain", "example.org").check().run();
    let message = module.with("domain", "example.com.").fail();
    assert!(message.contains(expected), "{message}");
    let (_directory, module) = cluster(&[files[0], files[1], ("group_vars/all", "domain: Example.com\n")]);
    let message = module.fail();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_service_without_a_role_is_refused_before_anything_changes() {
    let services = "web: {num_instances: 1}\nmarked: {num_instances: 1}\nnamed: {role: other}\noff: {enabled: false}\nlost: {}\n\
                    bare: {role: none}\nboxes: {containers: [{name: app, image: app}]}\nfar: {role: ns.collection.role}\n";
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", services),
        ("roles/web/tasks/main.yml", ""),
        ("roles/marked-global/tasks/main.yml", ""),
        ("ours/common/tasks/main.yml", ""),
        ("ours/core/tasks/main.yml", ""),
    ]);
    let path = |name: &str| directory.path().join(name);
    let roles = json!([path("roles"), path("ours"), "/nowhere"]);
    let message = module.clone().with("roles", roles.clone()).fail();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert!(lines[0].contains("services.yml:3:1: service 'named' names the role 'other'"), "{message}");
    assert!(lines[1].contains("services.yml:5:1: service 'lost' has no role"), "{message}");
    assert!(lines[1].contains("role: none"), "{message}");
    assert!(!path("services.lock").exists());
    std::fs::create_dir_all(path("roles/lost")).expect("it is writable");
    std::fs::create_dir_all(path("other/tasks")).expect("it is writable");
    module.with("roles", roles).converges(directory.path());
}

#[test]
fn services_that_are_gone_all_at_once_are_asked_for() {
    let lock = "minicluster-lock 1\netcd a\nmail b\nweb a\nweb c\n";
    let removed = "the next run would remove 'mail' from b; 'web' from a, c";
    for services in ["", "# nothing\n", "prometheus: {num_instances: 1}\n"] {
        let (directory, module) =
            cluster(&[("hosts", HOSTS), ("services.yml", services), ("services.lock", lock)]);
        let message = module.fail();
        assert!(message.contains(removed) && message.contains("services_remove_all=true"), "{message}");
        assert!(message.contains("names no service of your own"), "{message}");
        module.with("remove_all", true).converges(directory.path());
    }
    let (directory, module) = cluster(&[("hosts", HOSTS), ("services.lock", lock)]);
    let module = module.with("services", json!(null));
    let message = module.fail();
    assert!(message.contains("services.yml: is missing") && message.contains(removed), "{message}");
    module.with("remove_all", true).converges(directory.path());
    let (_directory, module) =
        cluster(&[("hosts", HOSTS), ("services.yml", "mail: {num_instances: 1}\n"), ("services.lock", lock)]);
    module.run();
}

#[test]
fn a_lock_that_was_lost_or_cut_is_refused_and_an_older_one_is_read() {
    let services = ("services.yml", "web: {num_instances: 1}\n");
    let (directory, module) = cluster(&[("hosts", HOSTS), services]);
    module.run();
    let path = directory.path().join("services.lock");
    let whole = std::fs::read_to_string(&path).expect("it was written");
    let old = whole.replace("minicluster-lock 3", "minicluster-lock 1").replace("end\n", "");
    std::fs::write(&path, old).expect("it is writable");
    assert!(module.run().changed());
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), whole);
    for end in [0, 40, whole.len() - 5] {
        std::fs::write(&path, &whole[..end]).expect("it is writable");
        let message = module.fail();
        assert!(message.contains("bring it back from git"), "{message}");
    }
}

#[test]
fn variables_beside_hosts_that_no_playbook_reads_are_warned_of() {
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", ""),
        ("group_vars/all", "domain: example.com\n"),
        ("play/site.yml", ""),
    ]);
    let at = |name: &str| json!([directory.path().join(name)]);
    let answer = module.clone().with("directories", at("play")).run();
    let warning = answer.0["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("group_vars: Ansible does not read this"), "{answer:?}");
    let answer = module.with("directories", at("")).run();
    assert!(answer.0.get("warnings").is_none_or(|it| it.as_array().is_some_and(Vec::is_empty)), "{answer:?}");
}

/// Such clusters work: what the hosts file alone tells of their addresses is not enough to refuse them.
#[test]
fn addresses_that_only_ansible_knows_or_that_float_are_no_errors() {
    let all = "[core]\na\nb\nc\n[all:vars]\n";
    let floating = "[core]\na ansible_host=10.0.0.1 addresses=\"['10.0.0.1', '10.0.0.9']\"\n\
                    b ansible_host=10.0.0.2 addresses=\"['10.0.0.2', '10.0.0.9']\"\nc\n";
    let clusters: [&[(&str, &str)]; 5] = [
        &[("hosts", &format!("{all}ansible_host={{{{ inventory_hostname }}}}.example.com\n"))],
        &[
            ("hosts", &format!("{all}ansible_host=127.0.0.1\n")),
            ("host_vars/a.yml", "addresses: [10.0.0.1]\n"),
        ],
        &[("hosts", &format!("{all}ansible_host=10.0.0.1\n")), ("host_vars/a.yml", "ansible_port: 2201\n")],
        &[("hosts", floating)],
        &[("hosts", "[core]\na ansible_host=fe80::1%eth0\nb ansible_host=b.example.com.\nc\n")],
    ];
    for files in clusters {
        let (directory, module) = cluster(&[&[("services.yml", "")], files].concat());
        let answer =
            module.with("directories", json!([directory.path()])).with("domain", "example.com").run();
        assert!(answer.changed(), "{files:?}: {answer:?}");
    }
}

#[test]
fn a_control_node_on_the_loopback_may_be_a_member_and_is_warned_of() {
    let hosts = "a ansible_host=10.0.0.1\nb ansible_host=10.0.0.2\nc ansible_host=10.0.0.3\n\
                 here ansible_host=127.0.0.1 ansible_connection=local\n[core]\na\nb\nc\n";
    let (_directory, module) = cluster(&[("hosts", hosts), ("services.yml", "")]);
    let answer = module.with("domain", "example.com").run();
    let warning = answer.0["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("hosts:4:1: host 'here' is on the loopback"), "{answer:?}");
}

#[test]
fn a_role_without_service_setup_is_noted() {
    let depends = "dependencies:\n  - role: service-setup\n    service: whole\n";
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", "whole: {}\nbare: {}\nouter: {role: shared}\nglobal: {}\nincludes: {}\n"),
        ("roles/common/tasks/main.yml", "[]\n"),
        ("roles/core/tasks/main.yml", "[]\n"),
        ("roles/whole/meta/main.yml", depends),
        ("roles/bare/meta/main.yml", "dependencies: []\n"),
        ("roles/shared/meta/main.yml", "dependencies: [base]\n"),
        (
            "roles/base/meta/main.yml",
            "dependencies: [{role: shared}, {name: service_setup, service: outer}]\n",
        ),
        ("roles/global-global/tasks/main.yml", "[]\n"),
        ("roles/includes/tasks/main.yml", "- include_role: {name: service_setup}\n"),
    ]);
    let answer = module.with("roles", json!([directory.path().join("roles")])).run();
    let notes: Vec<_> = answer.0["notes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("bare: its role 'bare' does not depend on service_setup"), "{notes:?}");
    assert!(
        notes[0]
            .ends_with("`- {role: service_setup, service: bare}` to the dependencies in its meta/main.yml"),
        "{notes:?}"
    );
}

/// The lines of the lock that are about uids.
fn uids(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("services.lock")).expect("the lock was written");
    text.lines().filter(|line| line.starts_with("uid ")).map(str::to_owned).collect()
}

#[test]
fn every_user_gets_a_uid_and_keeps_it() {
    let services =
        "web: {}\nbatch: {}\nother: {user: web}\nmine: {user: prometheus}\noff: {enabled: false}\n";
    let (directory, module) = cluster(&[("hosts", HOSTS), ("services.yml", services)]);
    module.converges(directory.path());
    // Both names choose 422. Users of Debian's packages have none, nor have services that are off.
    assert_eq!(uids(directory.path()), ["uid batch 422", "uid web 423"]);

    // A service that is gone keeps its uid, and comes back to it; a limited run changes nothing about that.
    std::fs::write(directory.path().join("services.yml"), "web: {}\n").expect("it is writable");
    module.clone().with("limited", true).run();
    module.run();
    assert_eq!(uids(directory.path()), ["uid batch 422", "uid web 423"]);
    std::fs::write(directory.path().join("services.yml"), "web: {}\nbatch: {}\nanna: {}\n")
        .expect("it is writable");
    module.run();
    assert_eq!(uids(directory.path())[1..], ["uid batch 422", "uid web 423"]);
}

#[test]
fn a_lock_from_before_uids_gets_them_and_nothing_else_changes() {
    let locked = "minicluster-lock 2\nweb b\nend\n";
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", "web: {num_instances: 1}\n"),
        ("services.lock", locked),
    ]);
    module.converges(directory.path());
    assert_eq!(lock(directory.path()), ["web b"]);
    assert_eq!(uids(directory.path()), ["uid web 422"]);
}

#[test]
fn users_that_every_debian_has_get_no_uid_and_one_that_hosts_have_may_be_recorded() {
    let (directory, module) = cluster(&[
        ("hosts", HOSTS),
        ("services.yml", "site: {user: www-data}\nold: {}\n"),
        ("services.lock", "minicluster-lock 3\nuid old 998\nend\n"),
    ]);
    module.run();
    assert_eq!(uids(directory.path()), ["uid old 998"]);
}

#[test]
fn a_merge_that_gave_one_uid_to_two_services_is_refused() {
    let locked = "minicluster-lock 3\nuid web 422\nend\nminicluster-lock 3\nuid batch 422\nend\n";
    let (directory, module) =
        cluster(&[("hosts", HOSTS), ("services.yml", "web: {}\nbatch: {}\n"), ("services.lock", locked)]);
    let message = module.fail();
    let expected = "services.lock:5: uid 422 is given to 'batch' here and to 'web' in line 2";
    assert!(message.contains(expected) && message.contains("remove the line of the user"), "{message}");
    // The remedy.
    std::fs::write(directory.path().join("services.lock"), locked.replace("uid batch 422\n", ""))
        .expect("it is writable");
    module.run();
    assert_eq!(uids(directory.path()), ["uid batch 423", "uid web 422"]);
}

#[test]
fn where_no_uid_is_left_the_user_is_named() {
    let lines: Vec<String> = (400..900).map(|uid| format!("uid u{uid} {uid}")).collect();
    let locked = format!("minicluster-lock 3\n{}\nend\n", lines.join("\n"));
    let (directory, module) =
        cluster(&[("hosts", HOSTS), ("services.yml", "web: {}\n"), ("services.lock", &locked)]);
    let message = module.fail();
    assert!(
        message.contains("services.lock: no uid from 400 to 899 is left for user 'web': remove"),
        "{message}"
    );
    let services = directory.path().join("services.yml");
    std::fs::write(&services, "web: {}\nwiki: {}\nworker: {}\n").expect("it is writable");
    let message = module.fail();
    assert!(message.contains("is left for user 'web' and 2 more: remove"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    std::fs::write(services, "web: {}\nwiki: {user: web}\n").expect("it is writable");
    std::fs::write(directory.path().join("services.lock"), locked.replace("uid u777 777\n", ""))
        .expect("it is writable");
    module.run();
    assert!(uids(directory.path()).contains(&"uid web 777".to_owned()));
}
