//! How long a module may take. The control node gives a task up after its `timeout`; what it started there would
//! otherwise wait on, with the locks that it holds, for whatever it waits for.

use std::{env, fs, process, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use super::files;

/// Ends the process when the time is over that the module has, after `say` has said so: as many seconds as the action
/// plugin names, else `usual`; none: as long as it takes.
pub fn watch(usual: Option<u64>, say: impl FnOnce(u64) + Send + 'static) {
    let given = env::var("MINICLUSTER_TIMEOUT").ok().and_then(|it| it.parse().ok());
    let Some(seconds) = given.or(usual) else { return };
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(seconds));
        // First, or the end of what it waits for would let the module answer.
        say(seconds);
        stop_children();
        process::exit(1);
    });
}

/// Ends the programs that this one waits for.
fn stop_children() {
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let children = files::text(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|it| Pid::from_raw(it.parse().ok()?)) {
            // One that has ended by itself is as good.
            let _ = kill_process(child, Signal::TERM);
        }
    }
}
