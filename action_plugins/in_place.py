# Copyright: the minicluster authors
# GNU General Public License v3.0 or later (see LICENSE)
"""Runs a module where its program already lies on the host, in one round trip; behind every module's name as a symlink.

Ansible never pipelines binary modules: for each task it makes a directory, copies the program, copies
the arguments, runs, removes. This plugin lets Ansible treat such a module as one that it does
pipeline: the text sent on standard input is its arguments, the interpreter is a line of shell that
finds the program on the host, verifies it and runs it. The program holds all modules, so a host receives it once, and is
told the module's name. All that comes before and after (environment,
check mode, no_log, cleaning of results, errors) is Ansible's own code.

Safe: the copy lies where only the user who runs it, or root, can write, all directories above included,
and its owner, mode and SHA-256 are verified by the same command that runs it. Exact: a module
is run again only after the host has said, with this run's nonce, that it did not start. Whatever
stands in the way, the module runs as it would without this file: it is an accelerator.

One thing happens only with it: instances of a service take turns when they are restarted (`service_units`, `at_once`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import signal
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

try:
    from ansible.executor.module_common import _BuiltModule
    from ansible.module_utils.common.json import Direction, get_module_encoder
except ImportError:  # an Ansible of another shape: everything goes the standard way
    _BuiltModule = None

display = Display()
LOCAL = os.uname().machine

# Stands where the interpreter would be in the command that Ansible builds; `_low_level_execute_command` replaces it.
INTERPRETER = "minicluster-in-place"


class Shell:
    """A script of POSIX sh beside this file, in coreutils alone, with `@name` to fill in. It is sent as one line: a login
    shell such as csh takes no more. Outside of comments it holds no single quote: each of the two or three shells on the
    way would quote it again.
    """

    # What a line may end with that goes on in the next.
    GOES_ON = re.compile(r"([({|&]|;;|\b(then|do|else))$")

    def __init__(self, name: str):
        script = (Path(__file__).resolve().parent / "in_place" / f"{name}.sh").read_text()
        lines = [line for line in map(str.strip, script.splitlines()) if line and not line.startswith("#")]
        ended = [line if self.GOES_ON.search(line) or line.endswith(" in") else f"{line};" for line in lines]
        self.line = " ".join(ended).removesuffix(";")

    def substitute(self, **values: str) -> str:
        """The line with these values. Where one is empty, its command goes."""
        return re.sub(r"@(\w+)(;?)", lambda it: values[it[1]] and values[it[1]] + it[2], self.line)


PLACE, ONCE, RUN, PUSH = map(Shell, ["place", "once", "run", "push"])


# What rewrites a terminal, as text and as it stands in JSON: the same characters as `printable` in src/text.
# Not the end of a line, as a terminal between sudo and its user makes it.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\r*\n)")
ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u(00(?:0[0-8b-f]|1[0-9a-f]|7f|[89][0-9a-f])|20(?:2[a-e]|6[6-9]))|([bfr]))", re.I)


class StandardWay(Exception):
    """The module certainly did not start and cannot be run in place; says why."""


class Program:
    """The builds of a module's program, one for each architecture, and the commands that run and push them."""

    def __init__(self, path: str):
        file = Path(path)
        self.name = file.name
        self.builds = {LOCAL: file}
        for build in file.parent.parent.glob(f"library_arch/*/{file.name}"):
            self.builds.setdefault(build.parent.name, build)
        self.digests = {arch: digest_of(build) for arch, build in self.builds.items()}

    def is_binary(self) -> bool:
        """Whether these are programs, and their name one that a shell takes as it is."""
        return all(begins_as_elf(it) for it in self.builds.values()) and re.fullmatch(r"\w+", self.name, re.ASCII)

    def run_command(self, nonce: str, environment: str, may_be_repeated: bool, timeout: int) -> str:
        """The command that runs the copy, or refuses and says why. After `timeout` seconds, Ansible gives the task up."""
        if len(self.digests) == 1:
            digest = "h=" + "".join(self.digests.values())
        else:
            cases = " ".join(f"{arch}) h={digest};;" for arch, digest in self.digests.items())
            digest = f"case $(uname -m) in {cases} *) h=none;; esac"
        place = PLACE.substitute(digest=digest)
        once = ONCE.substitute(nonce=nonce) if may_be_repeated else ""
        # Before that, so that the module ends, and says that it did.
        limit = f"MINICLUSTER_TIMEOUT={max(timeout - 1, 1)}" if timeout else ""
        return RUN.substitute(
            place=place, once=once, nonce=nonce, environment=environment, limit=limit, module=self.name
        )

    def push_command(self, nonce: str, architecture: str) -> str:
        """The command that takes the build for `architecture` on standard input."""
        sha256 = self.digests[architecture]
        place = PLACE.substitute(digest=f"h={sha256}")
        return PUSH.substitute(place=place, nonce=nonce, sha256=sha256)


def begins_as_elf(file: Path) -> bool:
    with file.open("rb") as it:
        return it.read(4) == b"\x7fELF"


def digest_of(file: Path) -> str:
    """The SHA-256 of a build, computed once a run: every task of every host is a process of its own.

    The note lies in this run's own directory. A build that is exchanged meanwhile has another note; between this and
    the push, the host finds that what it has received is not what was announced.
    """
    it = file.stat()
    build = f"{file.absolute()} {it.st_ino} {it.st_size} {it.st_mtime_ns} {it.st_ctime_ns}"
    note = Path(constants.DEFAULT_LOCAL_TMP) / f"minicluster-digest-{hashlib.sha256(build.encode()).hexdigest()[:16]}"
    with contextlib.suppress(FileNotFoundError):
        return note.read_text()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    new = note.with_name(f"{note.name}.{os.getpid()}")
    new.write_text(digest)
    # Another process reads all of it or nothing.
    new.replace(note)
    return digest


class Turns:
    """Whose turn it is to restart an instance of a service: files below this run's own directory, shared by its forks."""

    def __init__(self, service: str, at_once: int, host: str, hosts: list[str]):
        self.host = host
        place = Path(constants.DEFAULT_LOCAL_TMP) / "minicluster-turns"
        place.mkdir(mode=0o700, exist_ok=True)
        name = hashlib.sha256(service.encode()).hexdigest()[:16]
        # Each host has its lane, so that whoever waits is woken, and need not look again and again.
        self._lane = place / f"{name}.{hosts.index(host) % at_once if host in hosts else 0}"
        self._failed = place / f"{name}.failed"

    @contextlib.contextmanager
    def wait(self):
        """Waits for the turn, and has it. The time does not count towards the task's timeout: the others have theirs."""
        with self._lane.open("w") as lane:
            rest = signal.alarm(0)
            fcntl.flock(lane, fcntl.LOCK_EX)
            signal.alarm(rest)
            yield

    def failed_on(self) -> str | None:
        """The first host on which the service did not come up in this run."""
        with contextlib.suppress(FileNotFoundError):
            return self._failed.read_text().partition("\n")[0]
        return None

    def note_failure(self) -> None:
        """Notes that the service did not come up on this host."""
        with self._failed.open("a") as file:
            file.write(f"{self.host}\n")


class ActionModule(NormalAction):
    """Ansible's action for a module without one, except for how the program gets to the host, and for turns."""

    _program: Program | None = None
    _reason_against: str | None = None

    def run(self, tmp=None, task_vars=None):
        task, arguments = self._task, self._task.args
        at_once = str(arguments.get("at_once", 1))
        if task.action != "service_units" or task.check_mode or task.async_val or "hold" in arguments or at_once == "0":
            return super().run(tmp, task_vars)
        service = str(arguments.get("service"))
        hosts = task_vars.get("groups", {}).get(service, [])
        turns = Turns(service, int(at_once) if at_once.isdecimal() else 1, task_vars["inventory_hostname"], hosts)
        # Most hosts have nothing to restart, and need no turn.
        task.args = {**arguments, "hold": True}
        try:
            result = super().run(tmp, task_vars)
        finally:
            task.args = arguments
        # What could not be written has stopped nothing.
        if result.get("down"):
            turns.note_failure()
        if not (held := result.get("held")):
            return result
        first = result
        display.vv(f"waits for its turn to restart {service}", host=self._play_context.remote_addr)
        with turns.wait():
            if not arguments.get("guard") and (culprit := turns.failed_on()):
                reason = f"{', '.join(map(str, held))} would be restarted, but {service} did not come up on {culprit}"
                reason += ", so what ran before goes on here. Mend that and run this again"
                if arguments.get("fall_back"):
                    # Its next start, by itself or with the host, shall not be the first with what failed elsewhere.
                    task.args = {**arguments, "state": "restored"}
                    try:
                        super().run(tmp, task_vars)
                    finally:
                        task.args = arguments
                return {**first, "failed": True, "msg": reason}
            result = {"failed": True}
            try:
                result = both(first, super().run(tmp, task_vars))
            finally:
                # Also when the host was lost on the way: nobody knows then.
                if result.get("failed") or result.get("unreachable"):
                    turns.note_failure()
        return result

    def _execute_module(self, *args, **kwargs):
        if self._task.delegate_to == "localhost":
            # The control node's tasks say themselves that they do not become; `-e ansible_become=true` beats them.
            self._connection.set_become_plugin(None)
        try:
            return super()._execute_module(*args, **kwargs)
        except StandardWay as reason:
            display.vv(f"{self._task.action} runs the standard way: {reason}", host=self._play_context.remote_addr)
            self._reason_against = str(reason)
            return super()._execute_module(*args, **kwargs)

    def _configure_module(self, module_name, module_args, task_vars):
        asynchronous = self._task.async_val and not self._connection.has_native_async
        shell = self._connection._shell
        if (
            _BuiltModule is None
            or self._reason_against
            or module_name != self._task.action
            or getattr(shell, "SHELL_FAMILY", None) != "sh"
            or getattr(self._connection, "_remote_is_local", False)
            or not self._is_pipelining_enabled("new", asynchronous)
        ):
            return super()._configure_module(module_name, module_args, task_vars)
        found = self._shared_loader_obj.module_loader.find_plugin_with_context(
            module_name, "", collection_list=self._task.collections
        )
        program = Program(found.plugin_resolved_path) if found.resolved else None
        if program is None or not program.is_binary():
            return super()._configure_module(module_name, module_args, task_vars)
        self._program = program
        encoder = get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)
        arguments = json.dumps(module_args, cls=encoder).encode(errors="surrogateescape")
        built = _BuiltModule(
            module_style="new", shebang=INTERPRETER, b_module_data=arguments, serialization_profile="legacy"
        )
        return built, found.plugin_resolved_path

    def _parse_returned_data(self, res, *args, **kwargs):
        return super()._parse_returned_data({**res, "stdout": without_escapes(res.get("stdout", ""))}, *args, **kwargs)

    def _execute(self, cmd, *args, **kwargs):
        """Runs a command there. What the host answers ends on a terminal."""
        try:
            result = super()._low_level_execute_command(cmd, *args, **kwargs)
        except AnsibleConnectionFailure as failure:
            if (message := printable(str(failure))) == str(failure):
                raise
            raise AnsibleConnectionFailure(message) from None
        clean = {name: printable(result[name]) for name in ("stdout", "stderr") if name in result}
        return {**result, **clean, **{f"{name}_lines": text.splitlines() for name, text in clean.items()}}

    def _low_level_execute_command(self, cmd, *args, **kwargs):
        if self._program is None or not cmd.endswith(INTERPRETER):
            return self._execute(cmd, *args, **kwargs)
        environment = cmd.removesuffix(INTERPRETER)
        may_be_repeated = bool(self.get_connection_option("reconnection_retries", 0))
        for _attempt in range(2):
            nonce = secrets.token_hex(16)
            command = self._program.run_command(nonce, environment, may_be_repeated, self._task.timeout or 0)
            result = self._execute(command, *args, **kwargs)
            refusal = refused(result, nonce)
            if refusal is None:
                return without_marks(result, nonce)
            self._remove_obstacle(refusal)
        raise StandardWay("the copy is refused although it was pushed")

    def _remove_obstacle(self, refusal: str) -> None:
        """Pushes the program where `refusal` says that it is absent; everything else is a reason for the standard way."""
        kind, _, detail = refusal.partition(" ")
        if kind == "unsafe":
            display.warning(
                f"{detail} on {self._get_remote_addr({})} or a directory above it can be written by other users:"
                " modules are not kept there"
            )
        if kind == "repeated":
            raise AnsibleConnectionFailure("the connection was lost while the module ran; it was not started again")
        if kind != "absent":
            raise StandardWay(refusal) if kind.startswith("un") else AnsibleActionFail(f"unknown answer: {refusal!r}")
        architecture = detail or LOCAL
        if architecture not in self._program.builds:
            raise AnsibleActionFail(
                f"the host is {architecture}, and there is no library_arch/{architecture}/{self._program.name} to run on it"
            )
        nonce = secrets.token_hex(16)
        display.vv(f"pushing the program of {self._program.name} for {architecture}", host=self._play_context.remote_addr)
        command = self._program.push_command(nonce, architecture)
        result = self._execute(command, in_data=self._program.builds[architecture].read_bytes())
        if f"minicluster-pushed {nonce}" not in result["stdout"]:
            raise StandardWay(f"the push failed: {result['stdout']}{result['stderr']}".strip())


def both(first: dict, second: dict) -> dict:
    """The result of one task in two calls: the first wrote its files, the second restarted its units."""
    lists = {name: first.get(name, []) + second.get(name, []) for name in ("diff", "written", "warnings")}
    changed = first.get("changed", False) or second.get("changed", False)
    return {**second, **{name: it for name, it in lists.items() if it}, "changed": changed}


def printable(text: str) -> str:
    """The text with control characters as `cat -v` shows them."""
    return CONTROL.sub(lambda it: shown(ord(it[0])), text)


def without_escapes(text: str) -> str:
    """JSON that holds no control characters either once it is read."""
    letters = {"b": 8, "f": 12, "r": 13}

    def written(it: re.Match) -> str:
        return it[1] + json.dumps(shown(int(it[2], 16) if it[2] else letters[it[3].lower()]))[1:-1]

    return ESCAPED.sub(written, text)


def shown(code: int) -> str:
    """A control character in words."""
    return f"^{chr(code ^ 0x40)}" if code < 0x80 else f"<U+{code:04X}>"


def refused(result: dict, nonce: str) -> str | None:
    """Why the module certainly did not start; None when it did, or may have.

    A shell that cannot execute a program ends with 126 or 127, but so may a program. What the program wrote
    comes before the shell's last word in the same stream: without the program's first word there, it did not start.
    """
    if answer := re.search(rf"minicluster-refused {nonce} (.*?)\s*$", result["stdout"], re.MULTILINE):
        return answer[1]
    started = f"minicluster-started {nonce}" in result["stderr"]
    ended = re.search(rf"minicluster-ended {nonce} (126|127)\s*$", result["stderr"], re.MULTILINE)
    if ended and not started:
        return "absent" if ended[1] == "127" else "unusable: it cannot be executed there"
    # sudo with requiretty refuses what comes through a pipe, in words of the host's language, with this one among
    # them; the standard way asks for a terminal.
    if result["rc"] == 1 and not started and re.search(r"(?im)^sudo: .*\btty\b", result["stderr"]):
        return "unusable: sudo wants a terminal"
    return None


def without_marks(result: dict, nonce: str) -> dict:
    """The result without what the module and the shell said to this plugin."""
    stderr = re.sub(rf"^minicluster-(started|ended) {nonce}.*\n?", "", result["stderr"], flags=re.MULTILINE)
    return {**result, "stderr": stderr, "stderr_lines": stderr.splitlines()}
