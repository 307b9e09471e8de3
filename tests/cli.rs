//! What `minicluster` does for people: completions, manual pages, colours. Shells, groff and a terminal judge it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_minicluster");
/// Runs a program on a terminal of its own, and ends as it does.
const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Standard output of a run that succeeds in silence.
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{command:?}: {}", text(stderr));
    text(stdout)
}

fn minicluster(arguments: &[&str]) -> String {
    printed(Command::new(PROGRAM).args(arguments))
}

/// The commands that `--help` lists.
fn commands() -> BTreeSet<String> {
    let help = minicluster(&["--help"]);
    let lines = help.lines().skip_while(|it| *it != "Commands:").skip(1).take_while(|it| !it.is_empty());
    let commands: BTreeSet<_> = lines.map(|it| it.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(commands.len() > 10, "the guard sees the commands: {help}");
    commands
}

fn script(directory: &Path, shell: &str) -> PathBuf {
    let path = directory.join(shell);
    std::fs::write(&path, minicluster(&["completions", shell])).unwrap();
    path
}

#[test]
fn bash_completes_every_command_and_its_options() {
    let directory = tempfile::tempdir().unwrap();
    let script = script(directory.path(), "bash");
    let bash = |code: &str| printed(Command::new("bash").args(["-euc", code, "bash"]).arg(&script));
    printed(Command::new("bash").arg("-n").arg(&script));
    let registered = bash("source $1; complete -p minicluster");
    assert!(registered.ends_with("-F _minicluster minicluster\n"), "{registered}");
    let offered = |words: &str| -> BTreeSet<String> {
        let code = format!(
            "source $1; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _minicluster minicluster \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' ${{COMPREPLY[@]}}"
        );
        bash(&code).lines().map(str::to_owned).collect()
    };
    let (options, names): (BTreeSet<_>, BTreeSet<_>) =
        offered("minicluster ''").into_iter().partition(|it| it.starts_with('-'));
    assert_eq!(names, commands(), "all that --help lists, and nothing that it hides");
    assert!(options.contains("--services"), "{options:?}");
    assert_eq!(offered("minicluster reb"), BTreeSet::from(["rebalance".into()]));
    assert_eq!(offered("minicluster plan --e"), BTreeSet::from(["--exit-code".into()]));
    assert_eq!(offered("minicluster completions z"), BTreeSet::from(["zsh".into()]));
}

#[test]
fn other_shells_can_read_their_scripts() {
    let directory = tempfile::tempdir().unwrap();
    for (shell, begins) in [("zsh", "#compdef minicluster\n"), ("fish", "# Print an optspec")] {
        let script = script(directory.path(), shell);
        let said = std::fs::read_to_string(&script).unwrap();
        assert!(said.starts_with(begins) && said.contains("rebalance"), "{said}");
        match Command::new(shell).arg("-n").arg(&script).env("HOME", directory.path()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            judged => assert!(judged.as_ref().unwrap().status.success(), "{judged:?}"),
        }
    }
    let unknown = Command::new(PROGRAM).args(["completions", "tcsh"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page_that_groff_reads() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("share/man1");
    let said = minicluster(&["man", place.to_str().unwrap()]);
    let mut wanted: BTreeSet<_> = commands().iter().map(|it| format!("minicluster-{it}.1")).collect();
    wanted.remove("minicluster-help.1");
    wanted.insert("minicluster.1".into());
    assert_eq!(said, format!("{} pages in {}\n", wanted.len(), place.display()));
    let pages = std::fs::read_dir(&place).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(pages.collect::<BTreeSet<_>>(), wanted);
    if Command::new("groff").arg("--version").output().is_err() {
        return;
    }
    for name in &wanted {
        let groff = ["-man", "-Tutf8", "-ww", "-Kutf8", "-P-c"];
        let page = printed(Command::new("groff").args(groff).arg(place.join(name)));
        let (title, last) = (page.lines().next().unwrap(), page.trim_end().lines().last().unwrap());
        let heads: Vec<&str> = title.split_whitespace().collect();
        let title = name.replace(".1", "(1)");
        assert_eq!(heads, [&*title, "minicluster", &*title], "{page}");
        let version = concat!("minicluster ", env!("CARGO_PKG_VERSION"));
        assert!(last.starts_with(version), "a version is no date: {page}");
    }
}

/// A cluster of which something moves, with names that would rewrite a terminal.
fn cluster() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("hosts", "[core]\nhost[1:3]\n[workers]\nhost4\n[all:vars]\ndomain=example.com\n"),
        ("services.yml", "db: {scheduling_group: workers, num_instances: 1, stateful: true}\n"),
        ("services.lock", "minicluster-lock 2\ndb gone\nend\n"),
        ("wrong\u{1b}c", "[core:\u{1b}]0;title\u{7}]\na\n"),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// What a terminal gets, with its ends of lines as in a file.
fn on_terminal(directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, PROGRAM]).args(arguments).current_dir(directory).env_clear();
    let path = std::env::var_os("PATH").unwrap();
    let output = command.env("PATH", path).envs(variables.iter().copied()).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    text(output.stdout).replace("\r\n", "\n")
}

/// What a pipe gets, of both streams.
fn in_pipe(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(directory).env_clear().env("TERM", "xterm");
    let Output { stdout, stderr, .. } = command.output().unwrap();
    text(stdout) + &text(stderr)
}

#[test]
fn colours_are_for_terminals_alone() {
    let directory = cluster();
    let path = directory.path();
    let plain = |text: &str| {
        ["0", "1", "31", "33"]
            .iter()
            .fold(text.to_owned(), |text, it| text.replace(&format!("\u{1b}[{it}m"), ""))
    };
    for (arguments, coloured) in [
        (&["plan"][..], "\u{1b}[31mdb moves without its data: "),
        (&["plan"], "  \u{1b}[31mholds data, which stays behind\u{1b}[0m\n"),
        (&["explain", "db"], "\u{1b}[1mHOST\u{1b}[0m   \u{1b}[1mRANK\u{1b}[0m  "),
        (&["check", "--hosts", "nowhere"], "\u{1b}[31mnowhere:\u{1b}[0m there is no such file"),
        (&["explain", "bd"], "\u{1b}[31mminicluster:\u{1b}[0m there is no service 'bd'"),
    ] {
        let piped = in_pipe(path, arguments);
        assert!(!piped.contains('\u{1b}') && !piped.is_empty(), "{piped}");
        let shown = on_terminal(path, &[("TERM", "xterm")], arguments);
        assert!(shown.contains(coloured), "{arguments:?}: {shown:?}");
        assert_eq!(plain(&shown), piped, "{arguments:?}");
        assert_eq!(on_terminal(path, &[("TERM", "xterm"), ("NO_COLOR", "")], arguments), shown);
        for refused in [&[("TERM", "xterm"), ("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[]] {
            assert_eq!(on_terminal(path, refused, arguments), piped, "{refused:?}");
        }
    }
}

#[test]
fn warnings_stand_out_and_what_programs_read_does_not() {
    let directory = cluster();
    let terminal = |arguments: &[&str]| on_terminal(directory.path(), &[("TERM", "xterm")], arguments);
    std::fs::write(
        directory.path().join("services.yml"),
        "web: {public_endpoints: [{name: web, port: 80}]}\n",
    )
    .unwrap();
    let said = terminal(&["check", "--without-hosts"]);
    assert!(said.starts_with("\u{1b}[33mwarning:\u{1b}[0m services.yml:1:"), "{said:?}");
    for arguments in [&["--list"][..], &["completions", "bash"], &["plan", "--json"]] {
        let said = terminal(arguments);
        assert!(!said.contains("\u{1b}["), "{arguments:?}: {said:?}");
    }
}

#[test]
fn a_terminal_gets_no_escape_sequence_but_ours() {
    let directory = cluster();
    let said = on_terminal(directory.path(), &[("TERM", "xterm")], &["check", "--hosts", "wrong\u{1b}c"]);
    assert!(said.contains("^[]0;title^G") && !said.contains("\u{1b}]"), "{said:?}");
    assert!(said.starts_with("\u{1b}[31mwrong^[c:1:"), "{said:?}");
}
