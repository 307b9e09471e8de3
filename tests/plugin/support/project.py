"""A project as an operator keeps it (library, action_plugins, inventory, ansible.cfg) and runs of it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFIGURATION = """[defaults]
inventory = hosts.json
library = library
callbacks_enabled = results
callback_plugins = callback_plugins
interpreter_python = /usr/bin/python3
retry_files_enabled = false
[connection]
pipelining = true
"""


@functools.cache
def probe() -> Path:
    """The program of the tests' module, built as `make` builds modules."""
    said = subprocess.run(["rustc", "-vV"], check=True, text=True, stdout=subprocess.PIPE).stdout
    target = next(line.removeprefix("host: ") for line in said.splitlines() if line.startswith("host: "))
    subprocess.run(
        ["cargo", "build", "--quiet", "--target", target, "--profile", "quick", "--example", "probe"],
        cwd=ROOT,
        env={**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"},
        check=True,
    )
    return ROOT / "target" / target / "quick/examples/probe"


@dataclass
class Run:
    """What a run of ansible-playbook did."""

    status: int
    output: str
    results: list[dict] = field(default_factory=list)

    def result(self) -> dict:
        """The result of the only task."""
        assert len(self.results) == 1, f"expected one result: {self.results}\n{self.output}"
        return self.results[0]["result"]

    def kinds(self) -> list[str]:
        """How each task ended, in order."""
        return [line["kind"] for line in self.results]

    def connections(self) -> int:
        """How many commands went over ssh."""
        return self.output.count("SSH: EXEC ")


class Project:
    """A directory with the probe as a module and, unless told otherwise, the action plugin behind its name."""

    def __init__(self, hosts: dict[str, dict], plugin: bool = True):
        self.directory = Path(tempfile.mkdtemp(prefix="minicluster-project-"))
        for name in ("library", "action_plugins", "callback_plugins"):
            (self.directory / name).mkdir()
        shutil.copy(probe(), self.directory / "library/probe")
        shutil.copy(ROOT / "tests/plugin/support/callback.py", self.directory / "callback_plugins/results.py")
        if plugin:
            (self.directory / "action_plugins/probe.py").symlink_to(ROOT / "action_plugins/in_place.py")
        (self.directory / "ansible.cfg").write_text(CONFIGURATION)
        self.hosts(hosts)

    def hosts(self, hosts: dict[str, dict]) -> None:
        """Writes the inventory."""
        (self.directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    def play(self, *tasks: dict, arguments: tuple = ("-vvv",), environment: dict | None = None, **keywords) -> Run:
        """Runs one play of `tasks` on all hosts. Verbose, so that round trips can be counted."""
        return self.start(*tasks, arguments=arguments, environment=environment, **keywords)()

    def start(self, *tasks: dict, arguments: tuple = ("-vvv",), environment: dict | None = None, prefix: tuple = (), **keywords):
        """Starts such a run, behind the command `prefix`; what it returns waits for the end."""
        play = {"hosts": "all", "gather_facts": False, "tasks": list(tasks), **keywords}
        (self.directory / "play.json").write_text(json.dumps([play]))
        results = self.directory / "results"
        results.write_text("")
        process = subprocess.Popen(
            [*prefix, ROOT / ".venv/bin/ansible-playbook", *arguments, "play.json"],
            cwd=self.directory,
            env={**os.environ, "MINICLUSTER_RESULTS": str(results), "ANSIBLE_NOCOLOR": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def finish() -> Run:
            try:
                output, _ = process.communicate(timeout=180)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            lines = [json.loads(line) for line in results.read_text().splitlines()]
            return Run(process.returncode, output, lines)

        return finish

    def remove(self) -> None:
        """Removes the directory."""
        shutil.rmtree(self.directory)
