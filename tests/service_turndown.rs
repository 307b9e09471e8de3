//! `service_turndown` against a small systemd: what leaves goes, its data and what others use stays.

use crate::support::{Host, Module};
use serde_json::json;

/// A host that runs `web` and `db`, both with a credential, a file, and data.
fn host() -> Host {
    let host = Host::new();
    for service in ["web", "db"] {
        let unit = format!("{service}.service");
        host.unit(&unit, "");
        host.write(&format!("credentials/{service}/server/key.pem"), "secret");
        let file = host.write(&format!("{service}.conf"), "");
        let data = host.write(&format!("data/{service}/rows"), "precious");
        let definition = host.write(&format!("systemd/{service}.conf"), "");
        let drop_in = host.write(&format!("systemd/{unit}.d/50.conf"), "");
        let module = host.service_units(&[&unit]).with("service", service);
        let files =
            json!([file, definition, data.parent(), drop_in.parent(), drop_in, host.path("shared.conf")]);
        module.with("files", files).run();
        let mut ledger = host.ledger();
        ledger["services"][service]["credentials"] = json!([host.path(&format!("credentials/{service}"))]);
        ledger["restarts"][&unit] = json!("new certificate");
        host.write("ledger/ledger.json", &ledger.to_string());
    }
    host.write("shared.conf", "");
    host.commands();
    host
}

fn assert_down(host: &Host) {
    let state = host.state("web.service");
    assert_eq!((&state["active"], &state["enabled"]), (&json!("inactive"), &json!(false)));
    assert!(!host.path("credentials/web").exists() && !host.path("web.conf").exists());
    assert!(!host.path("systemd/web.conf").exists() && !host.path("systemd/web.service.d").exists());
    for kept in ["data/web/rows", "credentials/db/server/key.pem", "db.conf", "shared.conf"] {
        assert!(host.path(kept).exists(), "{kept} is gone");
    }
    assert_eq!(host.state("db.service")["active"], "active");
    let ledger = host.ledger();
    assert_eq!(ledger["services"].as_object().unwrap().keys().collect::<Vec<_>>(), ["db"]);
    assert_eq!(ledger["restarts"], json!({"db.service": "new certificate"}));
    assert_eq!(ledger["started"].as_object().unwrap().keys().collect::<Vec<_>>(), ["db.service"]);
}

#[test]
fn what_is_not_enabled_goes_and_its_data_stays() {
    let host = host();
    let answer = host.service_turndown(&["db"]).converges(host.root());
    assert_eq!(answer.0["turned_down"]["web"]["units"], json!(["web.service"]));
    let before = answer.0["diff"][0]["before"].as_str().unwrap().to_owned();
    assert!(before.starts_with("web: runs web.service\n") && !before.contains("shared.conf"), "{before}");
    assert_down(&host);
    assert_eq!(host.commands(), ["stop web.service", "disable web.service", "daemon-reload"]);
}

#[test]
fn a_look_says_what_runs_and_changes_nothing() {
    let host = host();
    host.unit("db.service", "Fail=start");
    host.write(
        "state.json",
        &json!({"web.service": host.state("web.service"), "db.service": {"active": "failed"}}).to_string(),
    );
    let look = host.service_turndown(&["db"]).with("step", "look");
    let answer = look.run();
    assert!(!answer.changed());
    assert_eq!((&answer.0["running"], &answer.0["stopped"]), (&json!("web"), &json!("db")));
    assert_eq!((&answer.0["leaving"], &answer.0["unused"]), (&json!(["web"]), &json!([])));
    assert_eq!(host.commands(), [""; 0]);
}

#[test]
fn what_does_not_run_where_it_is_placed_stays() {
    let host = host();
    let placed = json!({"web": ["host1", "host2"]});
    let module = host.service_turndown(&["db"]).with("placed", placed).with("ended", json!(["web"]));
    let reports = [
        json!({"host1": "web"}),
        json!({"host1": "web", "host2": "db"}),
        json!({"host1": "[nan, {}]", "host2": "web"}),
    ];
    for (running, missing) in reports.into_iter().zip(["host2", "host2", "host1"]) {
        let stopped = json!({"host1": "web", "host2": "web"});
        let answer = module.clone().with("running", running).with("stopped", stopped).run();
        assert!(!answer.changed());
        assert_eq!(answer.0["waiting"], json!({"web": [missing]}));
        let warning = answer.0["warnings"][0].as_str().unwrap();
        assert!(warning.contains(&format!("it does not run on {missing} yet")), "{warning}");
        assert_eq!(host.state("web.service")["active"], "active");
    }
    let running = json!({"host1": "db web", "host2": "web"});
    module.with("running", running).converges(host.root());
    assert_down(&host);
}

#[test]
fn a_host_without_a_ledger_has_nothing_to_turn_down() {
    let host = Host::new();
    let module = Module::new("service_turndown", json!({"enabled": [], "ledger": host.path("none")}));
    assert!(!module.run().changed());
    assert!(!host.path("none").exists());
}

#[test]
fn one_that_does_not_stop_keeps_its_credentials_and_not_the_others() {
    let host = host();
    host.unit("web.service", "Fail=stop");
    let error = host.service_turndown(&[]).fail();
    assert!(error.starts_with("cannot turn down web: systemctl stop -- web.service failed"), "{error}");
    assert!(host.path("credentials/web").exists() && !host.path("credentials/db").exists());
    assert_eq!(host.ledger()["services"].as_object().unwrap().keys().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn a_unit_that_is_gone_with_its_package_is_no_obstacle() {
    let host = host();
    std::fs::remove_file(host.path("lib/web.service")).unwrap();
    host.service_turndown(&["db"]).run();
    assert!(!host.path("credentials/web").exists());
}

#[cfg(feature = "fault_points")]
#[test]
fn killed_anywhere_the_next_run_finishes() {
    let points =
        ["stop", "disable", "credentials", "files", "daemon-reload"].map(|it| format!("disposal:{it}"));
    for point in points.iter().map(String::as_str).chain(["files:written", "files:renamed"]) {
        let host = host();
        let module = host.service_turndown(&["db"]);
        module.killed_at(point);
        module.run();
        assert_down(&host);
    }
}
