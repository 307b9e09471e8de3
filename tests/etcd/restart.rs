//! A member on a host with a small systemd: who starts it again, and when.

use serde_json::json;

use crate::support::Host;

#[test]
fn a_member_of_etcd_that_is_on_its_way_is_started_again_for_what_came_later() {
    let host = Host::new();
    host.unit("web.service", "Fail=hang");
    let config = host.write("config/web.service", "old");
    assert!(host.etcd_member("start").run().changed());
    assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "old");

    std::fs::write(&config, "new").unwrap();
    let of_three =
        json!({"host": "http://127.0.0.1:1", "b": "http://127.0.0.1:2", "c": "http://127.0.0.1:3"});
    let limited = host.etcd_member("start").with("expected", of_three);
    assert!(!limited.run().changed(), "most members are not in this run");
    assert!(host.etcd_member("start").run().changed(), "no member is healthy: a restart takes nothing away");
    assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "new");
    assert!(!host.etcd_member("start").run().changed(), "its process is there, and knows what is on disk");
    host.unit("web.service", "");
    host.service_units(&["web"]).run();
    assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "new");

    // One that crashes reads everything again: started by etcd_member, it is not started once more.
    host.unit("web.service", "Fail=crash");
    std::fs::write(&config, "newer").unwrap();
    host.service_units(&["web"]).fail();
    host.unit("web.service", "");
    assert!(host.etcd_member("start").run().changed());
    let starts = host.state("web.service")["starts"].clone();
    host.service_units(&["web"]).run();
    assert_eq!(host.state("web.service")["starts"], starts);
}

/// Where a member is not, the step `start` is carried out.
#[test]
fn a_member_is_settled_when_it_runs_with_what_is_on_disk() {
    let host = Host::new();
    host.unit("web.service", "");
    let config = host.write("config/web.service", "old");
    let settled = || host.etcd_member("observe").run().0["settled"].clone();
    assert_eq!(settled(), false, "it does not run");
    host.service_units(&["web"]).run();
    assert_eq!(settled(), true);
    std::fs::write(&config, "new").unwrap();
    assert_eq!(settled(), false, "it runs with something else");
}

#[cfg(feature = "fault_points")]
#[test]
fn a_restart_of_a_member_of_etcd_survives_a_kill() {
    for point in ["etcd_member:owed", "etcd_member:restarted"] {
        let host = Host::new();
        host.unit("web.service", "");
        let config = host.write("config/web.service", "old");
        host.service_units(&["web"]).run();
        std::fs::write(&config, "new").unwrap();
        host.etcd_member("start").killed_at(point);
        host.service_units(&["web"]).run();
        assert_eq!(host.state("web.service")["config"][config.to_str().unwrap()], "new", "{point}");
        assert!(!host.service_units(&["web"]).run().changed(), "{point}");
    }
}
