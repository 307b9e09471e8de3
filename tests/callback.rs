//! What a run prints, by Ansible itself: less than Ansible's own output, and all that matters of it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use crate::roles::root;

/// A module that answers what it is told to, in the name of a host.
const SAYS: &str = r#"#!/usr/bin/python3
# WANT_JSON
import json, sys
print(json.load(open(sys.argv[1]))["text"])
"#;

/// Runs the rest of its arguments on a terminal, and writes `yes` where a question mark has been for two seconds.
const TERMINAL: &str = r#"
import os, pty, sys, time
pid, terminal = pty.fork()
if not pid:
    os.execv(sys.argv[1], sys.argv[1:])
said, asked = b"", False
while True:
    try:
        said += os.read(terminal, 65536)
    except OSError:
        break
    if b"?" in said and not asked:
        asked = True
        time.sleep(2)
        os.write(terminal, b"yes\n")
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// A project with hosts that are this machine, and one that does not answer.
struct Project(tempfile::TempDir);

impl Project {
    fn new(play: &str) -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        it.write("play.yml", play);
        it.write(
            "hosts",
            "a2\na10\n[silent]\ngone ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n\
             [all:vars]\nansible_connection=local\nansible_python_interpreter=/usr/bin/python3\n",
        );
        for module in ["says", "service_units"] {
            it.write(&format!("library/{module}"), SAYS);
            fs::set_permissions(it.path(&format!("library/{module}")), fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        it.configure(&root().join("callback_plugins"));
        it
    }

    fn configure(&self, plugins: &Path) {
        let settings = fs::read_to_string(root().join("ansible.cfg")).unwrap();
        let settings = settings
            .replace("inventory = inventory/minicluster", "inventory = hosts")
            .replace("enable_plugins = script", "enable_plugins = ini")
            .replace("= callback_plugins", &format!("= {}", plugins.display()));
        self.write("ansible.cfg", &settings);
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn output(
        &self,
        mut command: Command,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> (String, i32) {
        command.args(["play.yml", "--limit", "a2,a10"]).args(arguments).current_dir(self.0.path());
        command.env_remove("ANSIBLE_CONFIG").env_remove("NO_COLOR").env("TERM", "xterm");
        let done = command.envs(environment.iter().copied()).output().expect("make installs .venv");
        let said = [done.stderr, done.stdout].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        (said, done.status.code().unwrap())
    }

    /// A run whose output goes into a pipe.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (String, i32) {
        self.output(Command::new(root().join(".venv/bin/ansible-playbook")), arguments, environment)
    }

    /// A run on a terminal.
    fn on_terminal(&self, environment: &[(&str, &str)]) -> (String, i32) {
        let mut command = Command::new(root().join(".venv/bin/python"));
        command.args(["-c", TERMINAL]).arg(root().join(".venv/bin/ansible-playbook"));
        self.output(command, &[], environment)
    }
}

/// The same for every duration.
fn timeless(text: &str) -> String {
    (0..60).rev().fold(text.to_owned(), |text, it| text.replace(&format!(" {it} s"), " _ s"))
}

/// What stands below a task's banner, until the next one or the end of the play.
fn below<'a>(said: &'a str, task: &str) -> &'a str {
    let (_, after) = said.split_once(&format!("TASK [{task}] *")).unwrap_or_else(|| panic!("{task}: {said}"));
    after.split("\nTASK [").next().unwrap()
}

const RECAP: &str = "PLAY RECAP *********************************************************************\n";

/// Two hosts change the same, one more; a role that is included, with arguments that are checked.
fn changing() -> Project {
    let it = Project::new(
        "- name: Prepare hosts\n  hosts: all\n  tasks:\n\
         \x20   - {name: Change here, says: {text: '{\"changed\": true, \"written\": [\"/etc/{{ number }}\"]}'}, vars: {number: '{{ 7 * 6 }}'}}\n\
         \x20   - {name: Change there, set_fact: {x: 1}, changed_when: true, loop: [0, b], when: inventory_hostname == 'a2'}\n\
         \x20   - {include_role: {name: web}}\n\
         - name: Look only\n  hosts: all\n  tasks: [{set_fact: {x: 1}}, {assert: {that: true}}, {debug: {msg: told}, run_once: true}]\n",
    );
    let units = r#"{"changed": true, "units": {"web.service": "restarted (what it reads has changed)", "x.timer": "unchanged"}}"#;
    it.write(
        "roles/web/tasks/main.yml",
        &format!(
            "- name: Run it\n  service_units: {{service: '{{{{ it }}}}', text: '{units}'}}\n  vars: {{it: web-1}}\n\
             - {{name: Write it, set_fact: {{x: 1}}, changed_when: true}}\n"
        ),
    );
    it.write("roles/web/meta/argument_specs.yml", "argument_specs: {main: {options: {}}}\n");
    it
}

#[test]
fn in_a_pipe_there_is_a_line_for_each_play_and_change() {
    let project = changing();
    let (said, status) = project.run(&[], &[]);
    let expected = format!(
        "changed: a2, a10: Change here (/etc/42)\n\
         changed: a2: Change there (0; b)\n\
         changed: a2, a10: web : Run it (web.service restarted (what it reads has changed))\n\
         changed: a2, a10: web : Write it\n\
         Prepare hosts: 2 hosts, 5 tasks, 7 changed, _ s\n\
         \n\
         TASK [debug] *******************************************************************\n\
         ok: [a2] => \n    msg: told\n\
         Look only: 2 hosts, 3 tasks, _ s\n\
         \n\
         {RECAP}\
         a10                        : ok=7    changed=3    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0   \n\
         a2                         : ok=9    changed=4    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   \n\
         \n\
         changed in _ s:\n\
         \x20 Prepare hosts    a2 a10\n\
         \x20 web              a2 a10\n\
         \x20 web-1            a2 (restarted) a10 (restarted)\n"
    );
    assert_eq!((timeless(&said), status), (expected, 0));
}

#[test]
fn a_check_ends_with_what_would_change() {
    let (said, _) = changing().run(&["--check"], &[]);
    assert!(said.contains("\nwould change: a2, a10: web : Write it\n"), "{said}");
    let end = "\n\nwould change:\n  Prepare hosts    a2 a10\n  web              a2 a10\n  web-1            a2 (restart) a10 (restart)\n";
    assert!(said.ends_with(end), "{said}");
    let (said, _) = Project::new("- {hosts: all, tasks: [{set_fact: {x: 1}}]}\n").run(&["--check"], &[]);
    assert!(said.ends_with("\n\nwould change: nothing\n"), "{said}");
}

#[test]
fn verbosely_or_without_the_setting_it_is_ansibles_own_output() {
    let project = changing();
    let own = [("ANSIBLE_STDOUT_CALLBACK", "default")];
    // One host after the other, so that the order is the same.
    for arguments in [&["--forks=1", "-v"][..], &["--forks=1", "--check", "-v"], &["--forks=1"]] {
        let (said, _) = project.run(arguments, &own);
        assert!(
            said.contains("included: web for a2, a10") && said.contains("Validating arguments"),
            "{said}"
        );
        if arguments.len() == 1 {
            let settings = fs::read_to_string(project.path("ansible.cfg")).unwrap();
            project.write("ansible.cfg", &settings.replace("stdout_callback", "#"));
        }
        assert_eq!(project.run(arguments, &[]).0, said, "{arguments:?}");
    }
}

#[test]
fn a_difference_is_shown_as_ansible_does_once_for_hosts_that_have_the_same() {
    let project = Project::new(
        r#"- hosts: all
  tasks:
    - name: Edit
      says: {text: '{"changed": true, "diff": [{"before": "a\nb\n", "after": "a\u001b[31m\n", "after_header": "/etc/x"}, {"prepared": "more\n"}]}'}
    - name: Edit more
      says: {text: '{"changed": true, "diff": {"before": "1\n", "after": "{{ item }}\n"}}'}
      loop: [2, 3]
"#,
    );
    let (said, _) = project.run(&["--diff"], &[]);
    let (own, _) = project.run(&["--diff", "--limit", "a2"], &[("ANSIBLE_STDOUT_CALLBACK", "default")]);
    let (_, diff) = own.split_once("TASK [Edit] *").unwrap().1.split_once('\n').unwrap();
    let diff = diff.split("changed: [a2]").next().unwrap().replace('\u{1b}', "^[");
    assert!(diff.contains("+a^[[31m") && diff.contains("more"), "{own}");
    assert!(said.starts_with(&format!("changed: a2, a10: Edit\n{diff}")), "{said}\n{own}");
    assert_eq!((said.matches("+2\n").count(), said.matches("+3\n").count()), (1, 1), "{said}");
    assert!(!project.run(&[], &[]).0.contains("--- before"), "without --diff there is none");
}

#[test]
fn failures_are_in_full_and_say_what_becomes_of_them() {
    let project = Project::new(
        r#"- name: Fail
  hosts: all
  tasks:
    - name: Stumble
      says: {text: "{{ item }}"}
      loop: ['{"changed": true}', '{"failed": true, "msg": "no disk", "stderr": "first\nlast"}']
      loop_control: {label: "{{ item | length }}"}
      when: inventory_hostname == 'a2'
      ignore_errors: true
    - block:
        - block: [{name: Break, fail: {msg: for now}, when: inventory_hostname == 'a2'}]
          always: [{set_fact: {x: 1}}]
      rescue: [{name: Mend, fail: {msg: not mended}}]
    - {name: Warn, says: {text: '{"warnings": ["mind the gap"], "deprecations": [{"msg": "old", "version": "9"}]}'}}
"#,
    );
    let (said, status) = project.run(&["--limit", "all"], &[("ANSIBLE_DEPRECATION_WARNINGS", "1")]);
    assert_eq!(status, 4, "{said}");
    let stumble = below(&said, "Stumble");
    for part in [
        "failed: [a2] (item=59) =>",
        "msg: no disk",
        "stderr: |-\n        first\n        last",
        "...ignoring",
    ] {
        assert!(stumble.contains(part), "{part} is missing: {stumble}");
    }
    assert!(said.contains("changed: a2: Stumble (17)\n"), "what was changed before: {said}");
    let gone = said.split("UNREACHABLE").nth(1).unwrap_or_else(|| panic!("{said}"));
    assert!(said.contains("fatal: [gone]: UNREACHABLE!") && gone.contains("Connection refused"), "{said}");
    let broken = below(&said, "Break");
    assert!(
        broken.contains("fatal: [a2]: FAILED!") && broken.contains("msg: for now\n...rescued"),
        "{broken}"
    );
    let mend = below(&said, "Mend");
    assert!(
        mend.contains("msg: not mended") && !mend.contains("...rescued"),
        "a rescue rescues not itself: {mend}"
    );
    assert!(
        said.contains("[WARNING]: mind the gap") && said.contains("[DEPRECATION WARNING]: old"),
        "{said}"
    );
    let recap = "a2                         : ok=2    changed=1    unreachable=0    failed=1    skipped=0    rescued=1    ignored=1   \n";
    assert!(said.contains(recap), "{said}");
    assert!(
        timeless(&said).contains("\nFail: 3 hosts, 5 tasks, 1 changed, 2 failed, 1 unreachable, _ s\n"),
        "{said}"
    );
    assert!(said.ends_with("\nfailed:\n  Fail             a2\n"), "{said}");
}

#[test]
fn what_a_host_says_is_data() {
    let long = "x".repeat(50_000);
    let deep = format!("{}1{}", r#"{"a": "#.repeat(100), "}".repeat(100));
    let hostile = r#"{"failed": true, "msg": "\u001b[2Jgone\u009b1m", "stderr": "a\rb\u202e", "warnings": ["w\u001b]0;x\u0007"]}"#;
    let odd = r#"{"changed": "yes", "msg": {"\u001b[1m": 5}, "diff": 5, "units": {"a\u001b[1m.service": {"x": 1}}, "written": 7, "warnings": "w"}"#;
    let answers = [
        hostile.to_owned(),
        odd.to_owned(),
        format!(r#"{{"failed": true, "stdout": "{long}", "list": [{}1]}}"#, "1, ".repeat(5000)),
        format!(r#"{{"changed": true, "msg": {deep}, "units": [1], "diff": [{{"before": 3, "after": 4}}]}}"#),
        "[1]".to_owned(),
    ];
    let tasks = |text: &String| {
        let text = serde_json::to_string(text).unwrap();
        format!(
            "    - {{says: {{text: {text}}}, ignore_errors: true}}\n\
             \x20   - {{service_units: {{text: '{{{{ item }}}}'}}, loop: [{text}], ignore_errors: true}}\n"
        )
    };
    let tasks = answers.iter().map(tasks).collect::<Vec<_>>().concat();
    let secret = r#"    - {says: {text: "{{ lookup('file', 'changed') }}"}, no_log: true, loop: "{{ [lookup('file', 'changed')] }}"}
    - {says: {text: "{{ lookup('file', 'failed') }}"}, no_log: true, ignore_errors: true}
    - {says: {text: "{{ lookup('file', 'failed') }}"}, no_log: true, ignore_errors: true, loop: [1]}
"#;
    let project = Project::new(&format!("- name: Listen\n  hosts: all\n  tasks:\n{tasks}{secret}"));
    let diff = r#"{"before": "", "after": "hunter2"}"#;
    project.write("changed", &format!(r#"{{"changed": true, "written": ["hunter2"], "diff": {diff}}}"#));
    project.write("failed", r#"{"failed": true, "msg": "hunter2", "warnings": ["hunter2"]}"#);
    let (said, status) = project.run(&["--diff"], &[]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("^[[2Jgone<U+009B>1m") && said.contains("a^Mb<U+202E>") && said.contains("w^[]0;x^G"),
        "{said}"
    );
    assert!(said.contains("a^[[1m.service"), "{said}");
    assert!(!said.contains(|it: char| it.is_control() && it != '\n'), "{said}");
    assert!(said.contains("characters are not shown …") && said.len() < 400_000, "{} long", said.len());
    assert!(!said.contains("hunter2") && said.contains("no_log: true"), "{said}");
    assert!(
        timeless(&said).contains("\nListen: 2 hosts, 13 tasks, 10 changed, _ s\n"),
        "all have been counted: {said}"
    );
    let ends = "unreachable=0    failed=0    skipped=0    rescued=0    ignored=8   \n";
    assert_eq!(said.matches(ends).count(), 2, "{said}");
}

/// Beside what every terminal understands: back to the beginning of the line.
const ESCAPE: char = '\u{1b}';

#[test]
fn on_a_terminal_the_line_of_the_play_is_updated_in_place() {
    let project = Project::new(
        "- name: Work\n  hosts: all\n  tasks:\n\
         \x20   - {name: Wait, command: sleep 3, changed_when: false}\n\
         \x20   - {name: Change, set_fact: {x: 1}, changed_when: true}\n\
         - name: Ask\n  hosts: all\n  vars_prompt: [{name: sure, prompt: 'sure?', private: false}]\n  tasks: [{debug: {var: sure}}]\n",
    );
    for (variable, value) in [("ANSIBLE_NOCOLOR", "1"), ("NO_COLOR", "1"), ("X", "")] {
        let (said, status) = project.on_terminal(&[(variable, value)]);
        assert_eq!((status, said.contains(ESCAPE)), (0, variable == "X"), "{said}");
        let updates: Vec<_> = said.split('\r').filter(|it| it.starts_with("Work: ")).collect();
        let waits = |it: &&&str| it.contains("0/2 hosts, ") && it.ends_with(" s: Wait");
        assert!(updates.iter().filter(waits).count() > 2, "it goes on while nothing happens: {updates:?}");
        let timeless = timeless(&said);
        for part in ["\rWork: 2/2 hosts, _ s: Wait", "\rWork: 2/2 hosts, 2 changed, _ s: Change"] {
            assert!(timeless.contains(part), "{part}: {said}");
        }
        let (_, asked) = said.split_once("sure?: ").unwrap();
        assert!(asked.starts_with("yes\r\n"), "nothing is written over a question: {said}");
        assert_eq!(said.matches("sure: 'yes'").count(), 2, "{said}");
        let lines: Vec<_> = timeless.split("\r\n").map(|it| it.rsplit('\r').next().unwrap()).collect();
        assert!(
            lines.contains(&"Work: 2 hosts, 2 tasks, 2 changed, _ s"),
            "it stays when the play has ended: {lines:?}"
        );
        assert!(!lines.iter().any(|it| it.contains("/2 hosts")), "what was rewritten is gone: {lines:?}");
    }
}

#[test]
fn where_it_does_not_fit_ansibles_own_output_is_there() {
    let project = changing();
    let plugin = fs::read_to_string(root().join("callback_plugins/minicluster.py")).unwrap();
    for broken in ["_note_change", "_cleaned", "_draw", "_count"] {
        project.write("plugins/minicluster.py", &format!("{plugin}\n\nBrief.{broken} = None\n"));
        project.configure(&project.path("plugins"));
        let (said, status) = project.run(&[], &[]);
        assert_eq!(status, 0, "{broken}: {said}");
        let shown = said.contains("changed: [a10]") || said.contains("changed: a2, a10: web : Write it");
        assert!(shown && !said.contains("Callback dispatch"), "{broken}: {said}");
        assert!(said.contains("a10                        : ok=7    changed=3 "), "{broken}: {said}");
    }
}

#[test]
fn both_plugins_show_the_same_characters_in_the_same_way() {
    let compare = "import importlib.util, sys\n\
        def load(path):\n    spec = importlib.util.spec_from_file_location('it', path)\n    it = importlib.util.module_from_spec(spec)\n\
        \x20   spec.loader.exec_module(it)\n    return it.printable\n\
        one, other = map(load, sys.argv[1:])\n\
        every = [chr(it) for it in range(0x11000)] + ['\\r\\n', '\\r\\r\\n', 'a\\rb']\n\
        assert one('\\x1b') == '^[' and [one(it) for it in every] == [other(it) for it in every]\n";
    let done = Command::new(root().join(".venv/bin/python"))
        .args(["-c", compare, "action_plugins/in_place.py", "callback_plugins/minicluster.py"])
        .current_dir(root())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn ansible_knows_its_settings() {
    let done = Command::new(root().join(".venv/bin/ansible-doc"))
        .args(["-t", "callback", "minicluster"])
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success() && said.contains("display_failed_stderr") && done.stderr.is_empty(),
        "{done:?}"
    );
}
