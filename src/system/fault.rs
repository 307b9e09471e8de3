//! Points at which a test can kill a module, to see that the next run finishes what this one began.

/// Dies here of SIGKILL when `MINICLUSTER_KILL_AT` names this point. Compiled to nothing without the
/// feature `fault_points`, which no shipped program has.
#[cfg(feature = "fault_points")]
pub fn point(name: &str) {
    if std::env::var_os("MINICLUSTER_KILL_AT").is_some_and(|it| it == name) {
        // A process may always send itself a signal; this one is not survived.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing: this is not a test build.
#[cfg(not(feature = "fault_points"))]
pub fn point(_name: &str) {}
