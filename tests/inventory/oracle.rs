//! Puts inventories to Ansible: what the file means to it, what our `--list` makes of it, and our own view.

use minicluster::inventory::{
    Hosts,
    output::{self, ServiceGroup},
};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

/// One inventory to be judged.
pub struct Case {
    /// For messages.
    pub name: String,
    /// The file's name; its extension tells Ansible and us the format.
    pub file_name: String,
    /// The inventory.
    pub text: String,
    /// Services to publish beside it: each runs on the hosts whose place the function approves of.
    pub services: fn(&Hosts, &str) -> Vec<ServiceGroup>,
}

impl Case {
    /// An inventory alone.
    pub fn plain(name: String, text: String) -> Self {
        Self { name, file_name: "hosts".to_owned(), text, services: |_, _| Vec::new() }
    }
}

/// What came of a case.
pub struct Verdict {
    /// The case's name.
    pub name: String,
    /// The inventory itself, for messages.
    pub text: String,
    /// Whether Ansible reads the file.
    pub accepted: bool,
    /// Why not.
    pub error: String,
    /// Our mistakes, one a line, where we refuse it.
    pub refused: Option<String>,
    /// Where Ansible's reading, our `--list` read by Ansible, and our view differ.
    pub differences: Vec<String>,
}

/// What the project's own `ansible.cfg` says of inventories, with the plugins that read files.
const CONFIGURATION: &str = "[defaults]\nforce_valid_group_names = ignore\ndeprecation_warnings = false\n\
     [inventory]\nany_unparsed_is_failed = true\n";

/// Judges all cases in one Python process.
pub fn judge(cases: Vec<Case>) -> Vec<Verdict> {
    let folder = tempfile::tempdir().expect("a folder for the inventories");
    let prepared: Vec<_> = cases
        .into_iter()
        .enumerate()
        .map(|(index, case)| prepare(&folder.path().join(index.to_string()), case))
        .collect();
    let requests: Vec<String> = prepared.iter().map(|(request, ..)| request.to_string()).collect();
    let answers = ask(folder.path(), &requests.join("\n"));
    assert_eq!(answers.len(), prepared.len(), "one answer a case");
    prepared
        .into_iter()
        .zip(answers)
        .map(|((_, case, refused), answer)| verdict(case, refused, &answer))
        .collect()
}

fn verdict(case: Case, refused: Option<String>, answer: &Value) -> Verdict {
    assert_eq!(answer["name"], case.name.as_str(), "answers come in order");
    let differences = answer["differences"].as_array().into_iter().flatten();
    Verdict {
        name: case.name,
        text: case.text,
        accepted: answer["accepted"] == true,
        error: answer["error"].as_str().unwrap_or_default().to_owned(),
        refused,
        differences: differences.map(|it| it.as_str().unwrap_or_default().to_owned()).collect(),
    }
}

fn prepare(folder: &Path, case: Case) -> (Value, Case, Option<String>) {
    fs::create_dir(folder).expect("a new folder");
    let hosts_path = folder.join(&case.file_name);
    fs::write(&hosts_path, &case.text).expect("the inventory is written");
    let label = Arc::from(case.file_name.as_str());
    let mut named = Map::new();
    let (script, refused) = match Hosts::parse(&label, &case.text) {
        Ok(hosts) => {
            let services = (case.services)(&hosts, &case.text);
            for service in &services {
                let on: Vec<&str> = service.hosts.iter().map(|id| hosts.host(*id).name.as_str()).collect();
                named.insert(service.name.clone(), json!(on));
            }
            (Some(publish(folder, &hosts, &services)), None)
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "{}: refused without a reason", case.name);
            (None, Some(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
        }
    };
    let effective = folder.join("effective.json");
    let request = json!({"name": case.name, "hosts": hosts_path, "script": script,
        "effective": effective, "services": named});
    (request, case, refused)
}

/// Writes what `--list` prints as a program that prints it, and our own view beside it.
fn publish(folder: &Path, hosts: &Hosts, services: &[ServiceGroup]) -> PathBuf {
    let off = services.iter().map(|it| (format!("enable_{}", it.name), json!(false))).collect();
    fs::write(folder.join("effective.json"), our_view(hosts)).expect("our view is written");
    write_script(folder, &output::list(hosts, services, &off))
}

/// A program that prints what `--list` printed, as Ansible runs it.
pub fn write_script(folder: &Path, published: &str) -> PathBuf {
    let script = folder.join("script");
    fs::write(&script, "#!/bin/sh\nexec cat \"$0.json\"\n").expect("the script is written");
    fs::write(folder.join("script.json"), published).expect("so is its output");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("the script is executable");
    script
}

/// Every host's variables and every group's hosts, as the library answers for them.
fn our_view(hosts: &Hosts) -> String {
    let names: std::collections::BTreeSet<&str> = hosts.set_variables().map(|(_, name, _)| name).collect();
    let quoted = |text: &str| json!(text).to_string();
    let effective: Vec<String> = (0..hosts.len())
        .map(|id| {
            let pairs = names.iter().filter_map(|name| Some((name, hosts.variable(id, name)?)));
            let pairs = pairs.map(|(name, it)| format!("{}:{}", quoted(name), output::json(&it.value)));
            format!("{}:{{{}}}", quoted(&hosts.host(id).name), pairs.collect::<Vec<_>>().join(","))
        })
        .collect();
    let members: Map<String, Value> = hosts
        .groups()
        .map(|group| {
            let ids = hosts.hosts_of(&group.name).expect("the group is there");
            let names: Vec<_> = ids.into_iter().map(|id| hosts.host(id).name.clone()).collect();
            (group.name.clone(), json!(names))
        })
        .collect();
    format!("{{\"effective\":{{{}}},\"members\":{}}}", effective.join(","), Value::Object(members))
}

/// A program of the project's Python environment, with the project's configuration of inventories.
pub fn ansible(program: &str, folder: &Path) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(program);
    assert!(program.exists(), "{} is missing: run `make .venv`", program.display());
    let configuration = folder.join("ansible.cfg");
    fs::write(&configuration, CONFIGURATION).expect("Ansible's configuration is written");
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_CONFIG", &configuration)
        .env("ANSIBLE_HOME", folder.join("home"))
        .env("PYTHONUTF8", "1")
        .current_dir(folder);
    command
}

fn ask(folder: &Path, requests: &str) -> Vec<Value> {
    let mut child = ansible("python", folder)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory/oracle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(folder.join("stderr")).expect("a file for warnings"))
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let requests = requests.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(requests.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    writer.join().expect("the writer ends").expect("Python reads all requests");
    let stderr = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
    let last = &stderr[stderr.rfind("Traceback").unwrap_or(0)..];
    assert!(output.status.success(), "the oracle failed: {last}");
    let text = String::from_utf8(output.stdout).expect("the answers are UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect()
}
