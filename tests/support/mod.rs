//! What process tests share: the real program with a real arguments file. Silence on standard error
//! and success are what is expected, unless the test says otherwise.

mod host;
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

pub use host::Host;
pub use random::{Random, seed};
use serde_json::{Map, Value, json};

/// A module with its arguments, ready to run as often as wanted.
#[derive(Clone)]
pub struct Module {
    program: PathBuf,
    arguments: Map<String, Value>,
    environment: Vec<(OsString, OsString)>,
}

/// What a module answered.
#[derive(Debug, PartialEq)]
pub struct Answer(pub Value);

impl Module {
    /// The program of this name, with `arguments` as a task gives them.
    pub fn new(name: &str, arguments: Value) -> Self {
        Self::at(built(name), arguments)
    }

    /// The example program of this name.
    pub fn example(name: &str, arguments: Value) -> Self {
        Self::at(built(&format!("examples/{name}")), arguments)
    }

    fn at(program: PathBuf, arguments: Value) -> Self {
        assert!(
            program.exists(),
            "{} is not built: run all tests, or cargo build --all-targets",
            program.display()
        );
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        Self { program, arguments, environment: Vec::new() }
    }

    /// With one argument more, or another value of it; `_ansible_…` too.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.into(), value.into());
        self
    }

    /// In check mode, with diff.
    pub fn check(self) -> Self {
        self.with("_ansible_check_mode", true).with("_ansible_diff", true)
    }

    /// With an environment variable.
    pub fn environment(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Runs it and returns everything it said.
    pub fn output(&self) -> Output {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(json!(self.arguments).to_string().as_bytes()).unwrap();
        self.command().arg(file.path()).output().unwrap()
    }

    /// Runs it with the arguments on standard input.
    pub fn output_from_stdin(&self) -> Output {
        let mut child = self.command().arg("-").stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(json!(self.arguments).to_string().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Its arguments, for a test that runs it in a way of its own.
    pub fn arguments(&self) -> &Map<String, Value> {
        &self.arguments
    }

    /// The program itself, without arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it: it succeeds, and standard error is empty.
    pub fn run(&self) -> Answer {
        let output = self.output();
        let answer = answer(&output);
        assert!(output.status.success() && answer["failed"].is_null(), "it failed: {answer}");
        assert!(answer["changed"].is_boolean(), "it does not say whether it changed something: {answer}");
        Answer(answer)
    }

    /// Runs it: it fails, with this message.
    pub fn fail(&self) -> String {
        let output = self.output();
        let answer = answer(&output);
        assert_eq!(
            (output.status.code(), &answer["failed"]),
            (Some(1), &json!(true)),
            "it should fail: {answer}"
        );
        answer["msg"].as_str().expect("a failure has a message").to_owned()
    }

    /// Runs it until it dies at a fault point.
    pub fn killed_at(&self, point: &str) {
        use std::os::unix::process::ExitStatusExt as _;
        let output = self.clone().environment("MINICLUSTER_KILL_AT", point).output();
        assert_eq!(output.status.signal(), Some(9), "it did not come to {point}: {output:?}");
    }

    /// Check, run, run again: the check writes nothing below `watched` and predicts what the run answers;
    /// the second run changes nothing. Returns what the run answered.
    pub fn converges(&self, watched: &Path) -> Answer {
        let before = snapshot(watched);
        let with_diff = self.clone().with("_ansible_diff", true);
        let mut predicted = with_diff.clone().check().run();
        // For later tasks of a check; a run leaves the files themselves.
        predicted.0.as_object_mut().unwrap().remove("ansible_facts");
        assert_eq!(before, snapshot(watched), "check mode wrote something");
        let done = with_diff.run();
        assert_eq!(predicted, done, "check mode predicted something else");
        assert!(done.changed(), "the first run has nothing to do: {done:?}");
        let after = snapshot(watched);
        let again = with_diff.run();
        assert!(!again.changed(), "the second run changes something: {again:?}");
        assert_eq!(after, snapshot(watched), "the second run wrote something");
        assert!(!with_diff.check().run().changed(), "a check after it predicts a change");
        done
    }
}

impl Answer {
    /// Whether it changed something.
    pub fn changed(&self) -> bool {
        self.0["changed"] == json!(true)
    }
}

/// The one JSON object on standard output; standard error is empty.
fn answer(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).expect("the answer is UTF-8");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "", "it wrote to standard error");
    assert!(text.ends_with('\n') && text.lines().count() == 1, "not one line: {text:?} ({})", output.status);
    serde_json::from_str(&text).expect("the answer is JSON")
}

/// A program that cargo built beside this test; a module under its name.
pub fn built(name: &str) -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let test = std::env::current_exe().unwrap();
    let directory = test.ancestors().nth(2).unwrap();
    let Some(program) = ["modules", "minicluster"].into_iter().find(|it| modules_of(it).contains(name))
    else {
        return directory.join(name);
    };
    let (program, link) = (directory.join(program), directory.join("named").join(name));
    let inode = |path: &Path| std::fs::metadata(path).map(|it| it.ino()).ok();
    if inode(&link) != inode(&program) {
        // Other tests do the same at the same time.
        std::fs::create_dir_all(directory.join("named")).unwrap();
        let own = directory.join(format!("named/{name}.{}", std::process::id()));
        std::fs::hard_link(program, &own).unwrap();
        std::fs::rename(own, &link).unwrap();
    }
    link
}

/// The names of all modules.
pub fn modules() -> BTreeSet<String> {
    modules_of("modules").into_iter().chain(modules_of("minicluster")).collect()
}

/// The names by which a program is called, as its table has them.
fn modules_of(program: &str) -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/bin/{program}.rs"));
    let source = std::fs::read_to_string(source).unwrap();
    let names = source.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", "));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// The Python that has Ansible.
pub fn python() -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(python.exists(), "there is no {}: run `make` first", python.display());
    Command::new(python)
}

/// Everything below a directory: path → type, mode, owner, content, time of the last change.
pub fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(data) = std::fs::symlink_metadata(&path) else { continue };
        if data.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
        }
        let content = if data.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let about = format!(
            "{:o} {}:{} {}.{} {:?}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.ctime(),
            data.ctime_nsec(),
            String::from_utf8_lossy(&content)
        );
        found.insert(path, about);
    }
    found
}

/// User and group of whoever runs this, as an owner of files.
pub fn me() -> (String, String) {
    (rustix::process::getuid().as_raw().to_string(), rustix::process::getgid().as_raw().to_string())
}
