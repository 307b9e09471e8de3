//! `service_units` with `fall_back`: a unit that does not come up with what is new goes back to what it came up with before.

use serde_json::json;

use crate::support::{Host, Module, me};

/// `web.service` and `db.service`, written by the task.
fn service(host: &Host, web: &str, db: &str) -> Module {
    let (owner, group) = me();
    let unit = |name: &str, text: &str| {
        json!([{"path": host.path(&format!("etc/{name}.service")), "owner": owner, "group": group,
            "content": format!("[Service]\n{text}\n[Install]\n")}])
    };
    host.service_units(&["web"])
        .with("inputs", json!([]))
        .with("write", unit("web", web))
        .with("also", json!([{"units": ["db"], "write": unit("db", db)}]))
        .with("exclusive", true)
        .with("fall_back", true)
}

#[test]
fn what_does_not_come_up_goes_back_and_the_run_fails() {
    let host = Host::new();
    assert!(service(&host, "A=1", "A=1").run().changed());
    service(&host, "A=2", "A=1").converges(host.root());
    let error = service(&host, "Fail=start", "A=2").fail();
    assert!(error.starts_with("web.service does not run: it failed (exit-code)"), "{error}");
    assert!(error.contains("bind: address already in use"), "{error}");
    assert!(error.ends_with("web.service: back to what ran before"), "{error}");
    let (web, db) = (host.state("web.service"), host.state("db.service"));
    assert_eq!((&web["active"], &db["active"]), (&json!("active"), &json!("active")));
    assert!(web["running"].as_str().unwrap().contains("A=2"), "{web}");
    assert!(db["running"].as_str().unwrap().contains("A=2"), "the other one has come up: {db}");
    let there = std::fs::read_to_string(host.path("etc/web.service")).unwrap();
    assert!(there.contains("A=2"), "the next start is no other: {there}");
    // The same again is the same again; what is mended runs.
    assert!(service(&host, "Fail=start", "A=2").fail().ends_with("back to what ran before"));
    service(&host, "A=3", "A=2").converges(host.root());
    assert!(host.state("web.service")["running"].as_str().unwrap().contains("A=3"));
}

#[test]
fn what_never_came_up_has_nothing_to_go_back_to() {
    let host = Host::new();
    let error = service(&host, "Fail=start", "A=1").fail();
    assert!(error.ends_with("bind: address already in use"), "{error}");
    assert!(service(&host, "A=1", "A=1").run().changed());
}

#[test]
fn a_run_that_is_killed_while_it_goes_back_is_finished_by_the_next() {
    for point in ["service_units:kept", "service_units:restored"] {
        let host = Host::new();
        service(&host, "A=1", "A=1").run();
        let next = if point.ends_with("kept") { "A=2" } else { "Fail=start" };
        service(&host, next, "A=1").killed_at(point);
        let last = service(&host, "A=4", "A=1");
        last.run();
        assert!(!last.run().changed(), "{point}");
        assert!(service(&host, "Fail=start", "A=1").fail().ends_with("back to what ran before"), "{point}");
        assert!(host.state("web.service")["running"].as_str().unwrap().contains("A=4"), "{point}");
    }
}

#[test]
fn files_are_put_back_where_another_host_has_failed() {
    let host = Host::new();
    service(&host, "A=1", "A=1").run();
    let held = service(&host, "Fail=start", "A=1").with("hold", true).run();
    assert_eq!(held.0["held"], json!(["web.service"]));
    let restore = service(&host, "Fail=start", "A=1").with("state", "restored");
    assert!(restore.run().changed());
    assert!(!restore.run().changed());
    let there = std::fs::read_to_string(host.path("etc/web.service")).unwrap();
    assert!(there.contains("A=1"), "{there}");
    assert_eq!(host.state("web.service")["starts"], 1);
    assert!(!service(&host, "A=1", "A=1").run().changed());
}

#[test]
fn copies_go_with_their_units() {
    let host = Host::new();
    service(&host, "A=1", "A=1").run();
    let copies = || std::fs::read_dir(host.path("ledger/came-up")).unwrap().count();
    assert_eq!(copies(), 2);
    service(&host, "A=1", "A=1").with("also", json!([])).run();
    assert_eq!(copies(), 1);
    host.service_turndown(&[]).run();
    assert_eq!(copies(), 0);
}
