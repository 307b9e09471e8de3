//! `service_units` writes what a service consists of, and starts it, in one call.

use serde_json::{Value, json};

use crate::support::{Host, Module, me};

fn file(host: &Host, path: &str, content: &str, more: Value) -> Value {
    let (owner, group) = me();
    let mut file = json!({"path": host.path(path), "content": content, "owner": owner, "group": group});
    if let (Value::Object(file), Value::Object(more)) = (&mut file, more) {
        file.extend(more);
    }
    file
}

/// `web.service`, which reads its configuration, with `front.service` before it, which reloads its own.
fn service(host: &Host, config: &str, front: &str) -> Module {
    let (owner, group) = me();
    host.service_units(&["web"])
        .with("exclusive", true)
        .with("directories", json!([{"path": host.path("data"), "owner": owner, "group": group}]))
        .with(
            "write",
            json!([
                file(host, "config/web.service", config, json!({"validate": "grep -qv refused %s"})),
                file(host, "targets.json", config, json!({"restart": false})),
                file(host, "default", "of a package", json!({"turndown": false})),
            ]),
        )
        .with("inputs", json!([]))
        .with(
            "also",
            json!([{"units": ["front"], "reload": ["front"],
            "write": [file(host, "config/front.service", front, json!({}))]}]),
        )
}

fn host() -> Host {
    let host = Host::new();
    host.unit("web.service", "");
    host.unit("front.service", "");
    host
}

#[test]
fn what_is_written_is_what_starts() {
    let host = host();
    let answer = service(&host, "one", "one").converges(host.root());
    assert_eq!(
        answer.0["units"],
        json!({"web.service": "started, enabled", "front.service": "started, enabled"})
    );
    let written = ["data", "config/web.service", "targets.json", "default", "config/front.service"];
    assert_eq!(answer.0["written"], json!(written.map(|it| host.path(it))));
    let config = host.path("config/web.service");
    assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "one");
    let files = ["config/front.service", "config/web.service", "targets.json"].map(|it| host.path(it));
    assert_eq!(host.ledger()["services"]["web"]["files"], json!(files), "a package's file and data stay");
}

#[test]
fn each_group_is_restarted_for_what_it_reads_itself() {
    let host = host();
    service(&host, "one", "one").run();
    host.commands();
    let answer = service(&host, "one", "two").converges(host.root());
    assert_eq!(host.commands(), ["reload front.service"]);
    assert_eq!(answer.0["units"]["front.service"], "reloaded (what it reads has changed)");
    assert_eq!(answer.0["units"]["web.service"], "unchanged");

    service(&host, "two", "two").converges(host.root());
    assert_eq!(host.commands(), ["restart web.service"]);

    // What the service notices by itself restarts nothing, and still counts as a change.
    let targets = json!([
        file(&host, "config/web.service", "two", json!({})),
        file(&host, "targets.json", "three", json!({"restart": false})),
        file(&host, "default", "of a package", json!({"turndown": false}))
    ]);
    assert!(service(&host, "two", "two").with("write", targets).converges(host.root()).changed());
    assert_eq!(host.commands(), [""; 0]);
}

#[test]
fn what_the_service_gave_up_goes_and_what_another_group_has_stays() {
    let host = host();
    service(&host, "one", "one").run();
    host.commands();
    let answer = service(&host, "one", "one").with("also", json!([])).converges(host.root());
    assert_eq!(answer.0["dropped"]["units"], json!(["front.service"]));
    assert!(!host.path("config/front.service").exists() && host.path("config/web.service").exists());
    assert_eq!(host.state("web.service")["starts"], 1);
}

#[test]
fn what_is_refused_restarts_nothing() {
    let host = host();
    service(&host, "one", "one").run();
    host.commands();
    let message = service(&host, "refused", "two").fail();
    assert!(
        message.contains("config/web.service: `grep -qv refused %s` refuses the new content"),
        "{message}"
    );
    assert_eq!(host.commands(), [""; 0]);
    for name in ["config/web.service", "config/front.service", "targets.json"] {
        assert_eq!(std::fs::read_to_string(host.path(name)).unwrap(), "one");
    }
    let message = service(&host, "one", "one").with("also", json!([{"units": []}])).fail();
    assert_eq!(message, "option 'also', element 1: it names no units");
}

#[test]
fn a_host_whose_turn_it_is_not_has_its_files_and_runs_on() {
    let host = host();
    service(&host, "one", "one").run();
    host.commands();
    let answer = service(&host, "two", "two").with("hold", true).run();
    assert_eq!(answer.0["held"], json!(["web.service"]));
    assert!(answer.changed() && answer.0["units"].is_null());
    assert_eq!(host.commands(), [""; 0]);
    let answer = service(&host, "two", "two").run();
    assert_eq!(answer.0["units"]["web.service"], "restarted (what it reads has changed)");
    assert_eq!(answer.0["written"], json!([]));
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_run_finishes() {
    for point in [
        "service_units:recorded",
        "node_files:directory",
        "node_files:candidate",
        "node_files:file",
        "service_units:enabled",
        "service_units:restart",
        "service_units:reload",
    ] {
        let host = host();
        let first = point.ends_with("enabled") || point.ends_with("directory");
        if !first {
            service(&host, "one", "one").run();
        }
        service(&host, "two", "two").killed_at(point);
        service(&host, "two", "two").run();
        assert!(!service(&host, "two", "two").run().changed(), "{point}");
        let config = host.path("config/web.service");
        assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "two", "{point}");
        let candidates = std::fs::read_dir(host.path("config")).unwrap().count();
        assert_eq!(candidates, 2, "{point}: nothing is left over");
    }
}

/// What its role once recorded, and now says is a package's, stays, and is recorded no more.
#[test]
fn a_file_that_became_a_packages_stays() {
    let host = host();
    let default = host.path("default");
    service(&host, "one", "one").with("write", json!([])).with("files", json!([default])).run();
    let answer = service(&host, "one", "one").converges(host.root());
    assert!(default.exists() && answer.0["dropped"]["files"] == json!([]), "{answer:?}");
    let files = host.ledger()["services"]["web"]["files"].clone();
    assert!(!files.as_array().unwrap().contains(&json!(default)), "turndown would take it: {files}");
}

#[test]
fn a_drop_in_that_goes_restarts_its_unit_at_once() {
    let host = host();
    let limits = file(&host, "etc/web.service.d/60-limits.conf", "[Service]\n", json!({"restart": false}));
    let write =
        |more: &[&Value]| service(&host, "one", "one").with("write", json!(more)).with("also", json!([]));
    write(&[&limits]).run();
    host.commands();
    assert_eq!(
        write(&[]).with("hold", true).run().0["held"],
        json!(["web.service"]),
        "it waits for its turn"
    );
    assert!(host.path("etc/web.service.d/60-limits.conf").exists());
    let answer = write(&[]).converges(host.root());
    assert_eq!(answer.0["units"]["web.service"], "restarted (its definition has changed)");
    assert!(!host.path("etc/web.service.d/60-limits.conf").exists());
    assert_eq!(host.state("web.service")["starts"], 2);
}

/// The other unit was restarted, and is not once more.
#[test]
fn a_refused_reload_costs_the_other_units_nothing() {
    let host = host();
    service(&host, "one", "one").run();
    host.unit("front.service", "Fail=reload");
    service(&host, "one", "one").run();
    for _ in 0..2 {
        let message = service(&host, "two", "two").fail();
        assert!(message.contains("reload -- front.service failed"), "{message}");
        assert_eq!(host.state("web.service")["starts"], 2);
    }
    host.unit("front.service", "");
    assert_eq!(service(&host, "two", "two").run().0["units"]["web.service"], "unchanged");
}
