"""The base of tests on the one host that they share."""

from __future__ import annotations

import atexit
import functools
import hashlib
import unittest

from .host import Host
from .project import Project, Run, probe

MODULES = "/var/lib/minicluster/modules"


@functools.cache
def shared_host() -> Host:
    """The host of all tests that need no other, removed at exit."""
    host = Host()
    atexit.register(host.remove)
    return host


class HostCase(unittest.TestCase):
    """A test with a project whose only host is the shared one, without copies of modules from earlier tests."""

    def setUp(self) -> None:
        self.host = shared_host()
        self.host.shell(f"rm -rf {MODULES} /home/*/.cache /home/*/.ansible /tmp/journal /tmp/gate; mkfifo -m 666 /tmp/gate")
        self.digest = hashlib.sha256(probe().read_bytes()).hexdigest()
        self.copy = f"{MODULES}/{self.digest}"
        self.project = self.new_project({"host": self.host.variables()})

    def new_project(self, hosts: dict, plugin: bool = True) -> Project:
        """A project that goes away with the test."""
        project = Project(hosts, plugin)
        self.addCleanup(project.remove)
        return project

    def play_well(self, *tasks: dict, **keywords) -> Run:
        """A run that succeeded."""
        run = self.project.play(*tasks, **keywords)
        self.assertEqual(run.status, 0, run.output)
        return run

    def assert_in_place(self, run: Run) -> None:
        """The only task ran the copy."""
        self.assertIn(f"/minicluster/modules/{self.digest}", run.result()["program"], run.output)

    def assert_standard(self, run: Run) -> None:
        """The only task ran as it does without the plugin."""
        self.assertIn("AnsiballZ_probe", run.result()["program"], run.output)
