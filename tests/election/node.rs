//! One machine's `zeroconf_election`: what it is started with, what it says, how it ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::support;

/// Longer than anything here takes, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a machine starts.
#[derive(Clone)]
pub struct Node {
    namespace: String,
    name: String,
    directory: PathBuf,
    state: PathBuf,
    flags: Vec<(String, String)>,
    kill_at: Option<String>,
}

impl Node {
    /// With an action that notes its arguments, and a program for the lock that notes the machine.
    pub fn new(number: usize, namespace: String, directory: &Path) -> Self {
        let name = format!("host{number}");
        let state = directory.join(format!("state{number}"));
        let node =
            Self { namespace, name, directory: directory.into(), state, flags: Vec::new(), kill_at: None };
        node.flag("iface", "eth0")
            .flag("secret-file", directory.join("secret").display())
            .flag("timeout", 45)
            .flag("log-level", "debug")
            .action("echo $HOST \"$@\" >>$D/actions")
            .on_lock("echo $HOST >>$D/locks")
    }

    /// Replaces a flag, or adds it.
    pub fn flag(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        // A flag that is repeated has a blank at its end.
        self.flags.retain(|(known, _)| known != name);
        self.flags.push((name.into(), value.to_string()));
        self
    }

    /// N.
    pub fn expect(self, expect: usize) -> Self {
        self.flag("expect", expect)
    }

    /// With another host name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With the state directory of this name.
    pub fn state(mut self, name: &str) -> Self {
        self.state = self.directory.join(name);
        self
    }

    /// Where its votes are.
    pub fn state_file(&self) -> PathBuf {
        self.state.join("election/state.json")
    }

    /// Killed when it comes to this fault point.
    pub fn killed_at(mut self, point: &str) -> Self {
        self.kill_at = Some(point.into());
        self
    }

    /// The leader runs this line of shell; `$HOST` is the machine, `$D` the directory of the test.
    pub fn action(self, line: &str) -> Self {
        let path = self.script("action", line);
        self.flag("action", path.display())
    }

    /// Every node runs this line of shell once it is locked.
    pub fn on_lock(self, line: &str) -> Self {
        let path = self.script("on-lock", line);
        self.flag("on-lock", path.display())
    }

    fn script(&self, kind: &str, line: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.directory.join(format!("{}-{kind}", self.state.file_name().unwrap().display()));
        // Renamed into place: a script that is open for writing in any process cannot be run.
        let new = path.with_extension("new");
        std::fs::write(
            &new,
            format!("#!/bin/sh\nD='{}'\nHOST=$(uname -n)\n{line}\n", self.directory.display()),
        )
        .unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }

    fn program(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "unshare", "--uts", "sh", "-ec"]);
        command
            .arg("hostname \"$0\" && exec \"$@\"")
            .arg(&self.name)
            .arg(support::built("zeroconf_election"));
        if let Some(point) = &self.kill_at {
            command.env("MINICLUSTER_KILL_AT", point);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The command, ready to run.
    pub fn command(&self) -> Command {
        let mut command = self.program();
        command.arg("--state-dir").arg(&self.state);
        for (name, value) in &self.flags {
            command.arg(format!("--{}={value}", name.trim_end()));
        }
        command
    }

    /// The module, with these arguments in place of the flags' own.
    pub fn module(&self, check: bool) -> Command {
        let mut arguments = serde_json::Map::new();
        for (name, value) in self.flags.iter().filter(|it| it.0 != "log-level") {
            arguments.insert(name.replace('-', "_"), value.as_str().into());
        }
        arguments.insert("state_dir".into(), self.state.display().to_string().into());
        arguments.insert("_ansible_check_mode".into(), check.into());
        let path = self.directory.join(format!("{}-arguments.json", self.name));
        std::fs::write(&path, serde_json::Value::Object(arguments).to_string()).unwrap();
        let mut command = self.program();
        command.arg(path);
        command
    }

    /// Starts it.
    pub fn start(&self) -> Running {
        Running::new(&self.name, self.command())
    }
}

/// A machine's program while it runs.
pub struct Running {
    name: String,
    child: Child,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
    readers: Vec<thread::JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Running {
    fn new(name: &str, mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines: Arc<(Mutex<Vec<String>>, Condvar)> = Arc::default();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        let read = |stream: Box<dyn std::io::Read + Send>| {
            let lines = Arc::clone(&lines);
            thread::spawn(move || {
                for line in BufReader::new(stream.take(10_000_000)).lines().map_while(Result::ok) {
                    lines.0.lock().unwrap().push(line);
                    lines.1.notify_all();
                }
            })
        };
        let readers = streams.into_iter().map(read).collect();
        Self { name: name.into(), child, lines, readers, status: None }
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        format!("{} said:\n{}", self.name, self.lines.0.lock().unwrap().join("\n"))
    }

    /// Waits until a line contains this text.
    pub fn says(&self, text: &str) {
        let (lines, news) = &*self.lines;
        let lines = lines.lock().unwrap();
        let silent = |it: &mut Vec<String>| !it.iter().any(|line| line.contains(text));
        let (lines, waited) = news.wait_timeout_while(lines, DEADLINE, silent).unwrap();
        let late = waited.timed_out();
        drop(lines);
        assert!(!late, "'{text}' is not said. {}", self.said());
    }

    /// Waits for its end: its exit status; as a shell says it where a signal ended it.
    pub fn ends(&mut self) -> i32 {
        let end = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end. {}", self.said());
            thread::sleep(Duration::from_millis(5));
        };
        self.status = Some(status);
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// Waits for its end, which must be with this status.
    #[track_caller]
    pub fn ends_with(&mut self, status: i32) -> String {
        let ended = self.ends();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let said = self.said();
        assert_eq!(ended, status, "{said}");
        assert!(!said.contains("0123456789abcdef0123456789abcdef"), "the secret is shown. {said}");
        said
    }

    /// SIGKILL. What it had started goes on.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.ends();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            if thread::panicking() {
                eprintln!("{}", self.said());
            }
        }
    }
}
