//! `service_units` against a small systemd: check, run, run again; killed anywhere, finished by the next run.

use crate::support::{Host, Module, snapshot};
use serde_json::json;

#[test]
fn a_masked_unit_is_unmasked_enabled_and_started_once() {
    let host = Host::new();
    host.unit("web.service", "");
    host.mask("web.service");
    let answer = host.service_units(&["web"]).converges(host.root());
    assert_eq!(answer.0["units"], json!({"web.service": "started, unmasked, enabled"}));
    assert_eq!(answer.0["diff"][0]["before"], "web.service: inactive, masked\n");
    assert_eq!(
        host.commands(),
        ["unmask web.service", "daemon-reload", "enable web.service", "start web.service"]
    );
    let state = host.state("web.service");
    assert_eq!(
        (&state["active"], &state["enabled"], &state["starts"]),
        (&json!("active"), &json!(true), &json!(1))
    );
    assert_eq!(host.ledger()["services"]["web"]["units"], json!(["web.service"]));
}

#[test]
fn what_the_unit_reads_restarts_it_and_what_it_does_not_read_does_not() {
    let host = Host::new();
    host.unit("web.service", "");
    let config = host.write("config/web.service", "one");
    let module = host.service_units(&["web.service"]);
    module.run();

    std::fs::write(&config, "two").unwrap();
    let answer = module.converges(host.root());
    assert_eq!(answer.0["units"], json!({"web.service": "restarted (what it reads has changed)"}));
    assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "two");

    host.write("etc/web.service.d/limits.conf", "[Service]\n");
    host.commands();
    let answer = module.converges(host.root());
    assert_eq!(answer.0["units"], json!({"web.service": "restarted (its definition has changed)"}));
    assert_eq!(host.commands(), ["daemon-reload", "restart web.service"]);
    let running = host.state("web.service")["running"].as_str().unwrap().to_owned();
    assert!(running.ends_with("[Service]\n"), "it runs without its drop-in: {running}");

    host.write("lib/other.service", "");
    assert!(!module.run().changed());
}

#[test]
fn a_reload_is_enough_where_the_task_says_so() {
    let host = Host::new();
    host.unit("web.service", "");
    let module = host.service_units(&["web"]).with("reload", json!(["web"]));
    module.run();
    host.write("config/web.service", "new");
    assert_eq!(
        module.converges(host.root()).0["units"]["web.service"],
        "reloaded (what it reads has changed)"
    );
    assert_eq!(host.state("web.service")["reloads"], 1);
    let error = module.with("reload", json!(["stranger"])).fail();
    assert_eq!(error, "option 'reload': 'stranger.service' is not one of 'units' (web.service)");
}

#[test]
fn a_restart_that_the_ledger_owes_is_done_and_cleared() {
    let host = Host::new();
    host.unit("web.service", "");
    let module = host.service_units(&["web"]);
    module.run();
    let mut ledger = host.ledger();
    ledger["restarts"]["web.service"] = json!("new certificate");
    ledger["restarts"]["other.service"] = json!("not this one");
    host.write("ledger/ledger.json", &ledger.to_string());
    assert_eq!(module.converges(host.root()).0["units"]["web.service"], "restarted (new certificate)");
    assert_eq!(host.ledger()["restarts"], json!({"other.service": "not this one"}));
}

#[test]
fn a_unit_that_does_not_exist_yet_is_predicted_and_missed_when_it_should_be_there() {
    let host = Host::new();
    let module = host.service_units(&["web"]);
    let before = snapshot(host.root());
    assert_eq!(module.clone().check().run().0["units"]["web.service"], "started, enabled");
    assert_eq!(snapshot(host.root()), before);
    let error = module.fail();
    assert!(error.starts_with("systemd knows no web.service: install the package"), "{error}");
    host.unit("web.service", "");
    module.run();
    assert_eq!(host.state("web.service")["active"], "active");
}

#[test]
fn check_mode_predicts_the_restart_that_a_pending_change_will_make() {
    let host = Host::new();
    host.unit("web.service", "");
    let module = host.service_units(&["web"]).with("pending", true);
    module.run();
    assert!(module.clone().check().run().changed());
    // In a run, what is on disk tells: nothing has changed.
    assert!(!module.run().changed());
}

#[test]
fn a_unit_that_does_not_come_up_is_a_failure_with_its_last_words() {
    for (fails, reason) in
        [("start", "it failed (exit-code)"), ("crash", "it ends again and again (exit-code)")]
    {
        let host = Host::new();
        host.unit("web.service", &format!("Fail={fails}"));
        let error = host.service_units(&["web"]).fail();
        assert!(error.starts_with(&format!("web.service does not run: {reason}")), "{error}");
        assert!(error.ends_with("bind: address already in use"), "{error}");
        assert_eq!(host.ledger()["started"], json!({}));
        host.unit("web.service", "");
        assert!(host.service_units(&["web"]).run().changed());
        assert_eq!(host.state("web.service")["active"], "active");
    }
}

#[test]
fn one_that_fails_does_not_make_the_others_start_again() {
    let host = Host::new();
    host.unit("good.service", "Type=simple");
    host.unit("bad.service", "Fail=start");
    let module = host.service_units(&["bad", "good"]).with("settle", 0);
    let error = module.fail();
    assert!(error.contains("bad.service does not run") && !error.contains("good.service"), "{error}");
    host.unit("bad.service", "");
    module.run();
    assert_eq!(host.state("good.service")["starts"], 1);
}

#[test]
fn modules_at_the_same_time_share_the_ledger() {
    let host = Host::new();
    let names: Vec<String> = (0..4).map(|number| format!("web{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            host.unit(&format!("{name}.service"), "");
            let module = host.service_units(&[name]).with("service", name.as_str());
            scope.spawn(move || module.run());
        }
    });
    let ledger = host.ledger();
    assert_eq!(
        ledger["services"].as_object().unwrap().keys().collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    assert_eq!(ledger["started"].as_object().unwrap().len(), 4);
}

#[test]
fn a_unit_without_readiness_must_stay_up() {
    let host = Host::new();
    host.unit("web.service", "Type=simple");
    let start = std::time::Instant::now();
    host.service_units(&["web"]).run();
    assert!(start.elapsed().as_secs() >= 5, "it was believed at once");
}

#[test]
fn a_crash_loop_is_no_success() {
    let host = Host::new();
    host.unit("web.service", "Type=simple\nDies=4");
    let error = host.service_units(&["web"]).fail();
    assert!(error.starts_with("web.service does not run: it ended soon after it was started"), "{error}");
    assert!(error.ends_with("bind: address already in use"), "{error}");
}

#[test]
fn a_unit_that_ends_runs_once_for_what_it_reads() {
    let host = Host::new();
    host.unit("job.service", "Type=oneshot");
    let module = host.service_units(&["job"]);
    module.converges(host.root());
    host.write("config/job.service", "new");
    module.converges(host.root());
    assert_eq!(host.state("job.service")["starts"], 2);
}

#[test]
fn stopped_units_are_stopped_and_disabled() {
    let host = Host::new();
    host.unit("web.service", "");
    host.service_units(&["web"]).run();
    let answer = host.service_units(&["web"]).with("state", "stopped").converges(host.root());
    assert_eq!(answer.0["units"]["web.service"], "stopped, disabled");
    let state = host.state("web.service");
    assert_eq!((&state["active"], &state["enabled"]), (&json!("inactive"), &json!(false)));
}

#[test]
fn a_unit_that_runs_is_restarted_only_when_the_guard_agrees() {
    let host = Host::new();
    host.unit("web.service", "");
    let guard = host.write("bin/guard", "echo asked >>$1; test -e $2 || { echo not now >&2; exit 1; }");
    let (asked, agrees) = (host.path("asked"), host.path("agrees"));
    let module = host.service_units(&["web"]).with("guard", json!(["/bin/sh", guard, asked, agrees]));
    module.run();
    assert!(!module.run().changed());
    assert!(!asked.exists(), "nothing ran that a start could have interrupted");

    host.write("config/web.service", "new");
    for _ in 0..2 {
        let error = module.fail();
        assert!(error.starts_with("web.service would be restarted, but /bin/sh is against it"), "{error}");
        assert!(error.ends_with("It said: not now"), "{error}");
        assert_eq!(host.state("web.service")["starts"], 1, "what ran before goes on");
    }
    host.write("agrees", "");
    assert_eq!(module.run().0["units"]["web.service"], "restarted (what it reads has changed)");

    host.write("config/web.service", "newer");
    let error = module.with("guard", json!(["/nowhere/guard"])).fail();
    assert!(error.contains("it cannot be run: No such file"), "{error}");
}

/// A host whose role listed an old unit, with its file, beside `web`; and the task that lists it no more.
fn renamed() -> (Host, crate::support::Module) {
    let host = Host::new();
    for name in ["old.service", "web.service", "shared.service"] {
        host.unit(name, "");
    }
    let files =
        [host.write("systemd/old.conf", ""), host.write("shared.conf", ""), host.write("web.conf", "")];
    let module = host.service_units(&["old", "web", "shared"]).with("exclusive", true);
    module.with("files", json!(files)).run();
    let other = host.service_units(&["shared"]).with("service", "other");
    other.with("files", json!([host.path("shared.conf")])).run();
    host.commands();
    let module = host.service_units(&["web"]).with("files", json!([host.path("web.conf")]));
    (host, module)
}

fn assert_dropped(host: &Host) {
    let state = host.state("old.service");
    assert_eq!((&state["active"], &state["enabled"]), (&json!("inactive"), &json!(false)));
    assert!(!host.path("systemd/old.conf").exists());
    assert!(host.path("shared.conf").exists() && host.path("web.conf").exists());
    for unit in ["web.service", "shared.service"] {
        assert_eq!(host.state(unit)["active"], "active");
    }
    let ledger = host.ledger();
    assert_eq!(ledger["services"]["web"]["files"], json!([host.path("shared.conf"), host.path("web.conf")]));
    assert_eq!(ledger["services"]["web"]["units"], json!(["shared.service", "web.service"]));
    assert!(ledger["started"]["old.service"].is_null() && !ledger["started"]["shared.service"].is_null());
}

#[test]
fn a_unit_that_is_listed_no_more_goes_where_the_list_is_exclusive() {
    let (host, module) = renamed();
    assert!(!module.run().changed(), "without being asked nothing goes");
    let answer = module.with("exclusive", true).converges(host.root());
    assert_eq!(answer.0["dropped"]["units"], json!(["old.service"]));
    assert!(
        answer.0["diff"][0]["before"].as_str().unwrap().starts_with("runs old.service\nhas "),
        "{answer:?}"
    );
    assert_eq!(host.commands(), ["stop old.service", "disable old.service", "daemon-reload"]);
    assert_dropped(&host);
}

#[cfg(feature = "fault_points")]
#[test]
fn dropping_a_unit_is_finished_after_a_kill() {
    for point in ["stop", "disable", "files", "daemon-reload"] {
        let (host, module) = renamed();
        let module = module.with("exclusive", true);
        module.killed_at(&format!("disposal:{point}"));
        assert!(module.run().changed(), "{point}");
        assert_dropped(&host);
    }
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_run_finishes() {
    let points =
        ["recorded", "unmasked", "daemon-reload", "enabled", "start"].map(|it| format!("service_units:{it}"));
    for point in points.iter().map(String::as_str).chain(["files:written", "files:renamed"]) {
        let host = Host::new();
        host.unit("web.service", "");
        host.mask("web.service");
        let module = host.service_units(&["web"]);
        module.killed_at(point);
        module.run();
        let state = host.state("web.service");
        assert_eq!((&state["active"], &state["enabled"]), (&json!("active"), &json!(true)), "{point}");
        assert!(!module.run().changed(), "{point}");
        let ledger = std::fs::read_dir(host.path("ledger")).unwrap().map(|it| it.unwrap().file_name());
        let mut ledger: Vec<_> = ledger.collect();
        ledger.sort();
        assert_eq!(ledger, ["ledger.json", "ledger.lock"], "{point}");
    }
}

#[cfg(feature = "fault_points")]
#[test]
fn a_restart_survives_a_run_killed_between_the_write_and_the_restart() {
    for (point, times) in [("service_units:recorded", 1), ("service_units:restart", 2)] {
        let host = Host::new();
        host.unit("web.service", "");
        let config = host.write("config/web.service", "old");
        let module = host.service_units(&["web"]);
        module.run();
        std::fs::write(&config, "new").unwrap();
        module.killed_at(point);
        assert!(module.run().changed(), "{point}");
        let state = host.state("web.service");
        assert_eq!(
            (&state["config"][config.to_str().unwrap()], &state["starts"]),
            (&json!("new"), &json!(1 + times))
        );
    }
}

#[cfg(feature = "fault_points")]
#[test]
fn a_reload_and_a_stop_survive_a_killed_run() {
    let host = Host::new();
    host.unit("web.service", "");
    let module = host.service_units(&["web"]).with("reload", json!(["web"]));
    module.run();
    host.write("config/web.service", "new");
    module.killed_at("service_units:reload");
    assert!(module.run().changed());
    assert!(!module.run().changed());
    assert_eq!(
        (&host.state("web.service")["reloads"], &host.state("web.service")["starts"]),
        (&json!(2), &json!(1))
    );

    let stopped = host.service_units(&["web"]).with("state", "stopped");
    stopped.killed_at("service_units:enabled");
    assert!(stopped.run().changed());
    module.run();
    stopped.killed_at("service_units:stop");
    stopped.run();
    assert_eq!(host.state("web.service")["active"], "inactive");
    assert_eq!(host.ledger()["started"], json!({}));
}

/// What a module says in check mode that it would change.
fn predicted(answer: &crate::support::Answer) -> serde_json::Value {
    answer.0["ansible_facts"].as_object().unwrap().values().cloned().collect()
}

#[test]
fn what_earlier_tasks_of_a_check_would_write_is_known() {
    let host = Host::new();
    host.unit("web.service", "");
    let config = host.write("config/web.service", "one");
    let module = host.service_units(&["web"]);
    module.run();

    let write = |path: &std::path::Path, content: &str| {
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        host.run_on(Module::new(
            "node_files",
            json!({"files": [{"path": path, "content": content,
            "owner": me.0.to_string(), "group": me.1.to_string()}]}),
        ))
    };
    for (path, content, verb) in [
        (config.clone(), "one", "unchanged"),
        (config.clone(), "two", "restarted (what it reads has changed)"),
        (host.path("elsewhere"), "two", "unchanged"),
        (host.path("etc/web.service.d/limits.conf"), "[Service]\n", "restarted (its definition has changed)"),
    ] {
        let task = write(&path, content);
        let module = module.clone().with("predicted", predicted(&task.clone().check().run()));
        assert_eq!(module.clone().check().run().0["units"]["web.service"], verb, "{}", path.display());
        assert!(!module.run().changed(), "a run looks at what is there");
        task.run();
        assert_eq!(module.run().0["units"]["web.service"], verb, "{}", path.display());
    }
    let owed = json!([{"restarts": {"web.service": "new trust anchors"}}]);
    let answer = module.with("predicted", owed).check().run();
    assert_eq!(answer.0["units"]["web.service"], "restarted (new trust anchors)");
}

#[test]
fn a_crash_after_the_start_is_found_at_the_end_of_the_run() {
    let host = Host::new();
    host.unit("web.service", "");
    host.unit("old.service", "");
    host.service_units(&["old"]).with("run", "before").run();
    host.service_units(&["web", "old"]).with("run", "now").run();
    let health = |run: &str| {
        let module = Module::new("service_health", json!({"run": run, "ledger": host.path("ledger")}));
        host.run_on(module).run().0["ended"].clone()
    };
    let crash = |unit: &str| {
        let mut state: serde_json::Value =
            serde_json::from_slice(&std::fs::read(host.path("state.json")).unwrap()).unwrap();
        state[unit]["starts"] = json!(2);
        state[unit]["restarts"] = json!(1);
        host.write("state.json", &state.to_string());
    };
    assert_eq!(health("now"), json!({}));
    crash("old.service");
    assert_eq!(health("now"), json!({}), "this run has not started it");
    crash("web.service");
    let ended = health("now");
    let reason = ended["web.service"].as_str().unwrap();
    let expected = "web.service was up after its start, then ended and was started again";
    assert!(reason.starts_with(expected), "{reason}");
    assert!(reason.ends_with("bind: address already in use"), "{reason}");
    assert_eq!(health("later"), json!({}));
    host.service_units(&["web"]).run();
}

#[test]
fn what_is_owed_is_restarted_as_the_role_said() {
    let host = Host::new();
    for unit in ["web", "reloads", "other", "untold"] {
        host.unit(&format!("{unit}.service"), "");
    }
    let guard = host.write("bin/guard", "test -e $1 || { echo not now >&2; exit 1; }");
    host.service_units(&["web"]).with("guard", json!(["/bin/sh", guard, host.path("agrees")])).run();
    host.service_units(&["reloads"]).with("reload", json!(["reloads"])).run();
    host.service_units(&["other"]).run();
    let owed = Module::new(
        "service_units",
        json!({"service": "web", "state": "owed", "ledger": host.path("ledger")}),
    );
    let owed = host.run_on(owed);
    assert!(!owed.run().changed());

    host.write("config/web.service", "new");
    let mut ledger = host.ledger();
    for unit in ["web.service", "reloads.service", "untold.service"] {
        ledger["restarts"][unit] = json!("new certificate");
    }
    ledger["services"]["web"]["units"].as_array_mut().unwrap().push(json!("untold.service"));
    host.write("ledger/ledger.json", &ledger.to_string());
    assert!(owed.fail().contains("is against it"));
    host.write("agrees", "");
    let answer = owed.run();
    assert_eq!(answer.0["units"]["web.service"], "restarted (new certificate)");
    assert_eq!(
        answer.0["warnings"],
        json!(["untold.service: a restart is still owed, and how is not known yet; run site.yml"])
    );
    assert_eq!(
        (&host.state("other.service")["starts"], &host.state("reloads.service")["reloads"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(host.ledger()["restarts"], json!({"untold.service": "new certificate"}));
    assert!(!owed.run().changed());
    assert!(!host.service_units(&["web"]).run().changed(), "the role finds it running with what is on disk");
    let error = owed.with("units", json!(["web"])).fail();
    assert!(error.starts_with("option 'units'"), "{error}");
}
