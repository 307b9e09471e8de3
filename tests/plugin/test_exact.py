"""A module starts once for each task, whatever happens to it; the copies survive what happens to them."""

from __future__ import annotations

import importlib.util
import subprocess
import threading
import unittest

from support import Host, HostCase
from support.case import MODULES
from support.host import ROOT

JOURNAL = "/tmp/journal"


class Exact(HostCase):
    """How often a module starts."""

    def journal(self) -> str:
        return self.host.shell(f"cat {JOURNAL}")

    def test_a_module_that_ends_badly_is_not_run_again(self):
        ends = [{"end": "abort"}, {"end": "garbage"}, {"end": "fail"}]
        ends += [{"end": "status", "status": status} for status in (0, 1, 126, 127, 137, 255)]
        for end in ends:
            with self.subTest(**end):
                self.host.shell(f"rm -f {JOURNAL}")
                run = self.project.play({"probe": {"journal": JOURNAL, **end}, "become": True})
                self.assertEqual(run.kinds(), ["failed"], run.output)
                self.assertEqual(self.journal(), "started\n")
                self.assertNotIn("minicluster-started", str(run.result()), "marks are not part of the result")

    def test_what_a_broken_module_wrote_is_shown(self):
        result = self.project.play({"probe": {"end": "garbage"}, "become": True}).result()
        self.assertEqual(result["module_stdout"].strip(), "this is not JSON")
        self.assertEqual(result["module_stderr"], "")

    def test_a_module_that_is_killed_is_not_run_again(self):
        finish = self.project.start({"probe": {"journal": JOURNAL, "gate": "/tmp/gate"}, "become": True})
        self.host.wait_for(JOURNAL)
        self.host.shell("pkill -KILL -f ^/var/lib/minicluster/modules/[0-9a-f]*.probe")
        self.assertEqual(finish().kinds(), ["failed"])
        self.assertEqual(self.journal(), "started\n")

    def test_a_connection_that_is_lost_makes_the_host_unreachable(self):
        # With retries, Ansible itself sends the command again; not even then does the module start twice.
        for retries in (0, 2):
            with self.subTest(retries=retries):
                self.host.shell(f"rm -f {JOURNAL}")
                variables = {"ansible_control_path": "none", "ansible_ssh_retries": retries}
                self.project.hosts({"host": {**self.host.variables(), **variables}})
                finish = self.project.start({"probe": {"journal": JOURNAL, "gate": "/tmp/gate"}, "become": True})
                self.host.wait_for(JOURNAL)
                self.host.shell("pkill -KILL -f '^sshd: admin'")
                run = finish()
                self.host.shell("timeout 10 sh -ec 'echo go > /tmp/gate'")
                self.assertEqual(run.kinds(), ["unreachable"], run.output)
                self.assertEqual(self.journal(), "started\n")

    def test_a_host_that_does_not_answer_is_unreachable(self):
        self.project.hosts({"host": {**self.host.variables(), "ansible_port": 9}})
        self.assertEqual(self.project.play({"probe": {}}).kinds(), ["unreachable"])

    def test_parallel_runs_do_not_disturb_each_other(self):
        # The same host under ten names, from two control nodes at once, with no copy there yet.
        hosts = {f"host{number}": self.host.variables() for number in range(10)}
        projects = [self.new_project(hosts) for _ in range(2)]
        runs = []
        task = {"probe": {"journal": JOURNAL}, "become": True}
        arguments = ("--forks=10", "-vv")
        threads = [
            threading.Thread(target=lambda it=it: runs.append(it.play(task, arguments=arguments))) for it in projects
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for run in runs:
            self.assertEqual(run.status, 0, run.output)
            # One that is replaced by its equal while it runs is `(deleted)`.
            self.assertEqual({line["result"]["program"].split()[0] for line in run.results}, {self.copy})
        self.assertEqual(self.journal(), "started\n" * 20)
        self.assertEqual(self.host.shell(f"ls {MODULES}"), f"{self.digest}\n")

    def test_copies_that_nobody_used_for_a_week_are_removed_with_the_next_push(self):
        self.host.shell(
            f"mkdir -p -m 700 {MODULES}; cd {MODULES}; for it in old-1 half.2 used-3; do echo > $it; done;"
            "touch -a -d '8 days ago' old-1 half.2; touch -m -d '30 days ago' used-3; touch -a -d '6 days ago' used-3"
        )
        self.play_well({"probe": {}, "become": True})
        self.assertEqual(self.host.shell(f"ls {MODULES}").split(), [self.digest, "used-3"])


class OtherPlaces(HostCase):
    """File systems on which no copy can be kept or run."""

    def run_on(self, *options: str):
        host = Host(*options)
        self.addCleanup(host.remove)
        project = self.new_project({"host": host.variables()})
        run = project.play({"probe": {"journal": JOURNAL}, "become": True})
        self.assertEqual(run.status, 0, run.output)
        self.assert_standard(run)
        self.assertEqual(host.shell(f"cat {JOURNAL}"), "started\n")
        self.assertEqual(host.shell("find /var/lib/minicluster -name '*.*' -type f"), "", "no half copy is left")
        return run

    def test_where_nothing_may_be_executed(self):
        self.assertIn("cannot be executed", self.run_on("--tmpfs", "/var/lib/minicluster:mode=0755,noexec").output)

    def test_where_it_does_not_fit(self):
        self.assertIn("the push failed", self.run_on("--tmpfs", "/var/lib/minicluster:mode=0755,exec,size=1m").output)

    def test_where_nothing_can_be_written(self):
        self.assertIn("unusable", self.run_on("--tmpfs", "/var/lib/minicluster:mode=0755,ro").output)


class Said(unittest.TestCase):
    """What is said to a host, and what is concluded from its answers in cases that cannot be made to happen at will."""

    @classmethod
    def setUpClass(cls):
        spec = importlib.util.spec_from_file_location("in_place", ROOT / "action_plugins/in_place.py")
        cls.plugin = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.plugin)

    def refused(self, status: int, stdout: str = "", stderr: str = ""):
        return self.plugin.refused({"rc": status, "stdout": stdout, "stderr": stderr}, "aa")

    def test_commands_pass_through_any_login_shell(self):
        program = self.plugin.Program("/bin/true")
        commands = [program.push_command("aa", next(iter(program.builds)))]
        for may_be_repeated, timeout in [(False, 0), (True, 0), (False, 600), (True, 600)]:
            commands.append(program.run_command("aa", "", may_be_repeated, timeout))
        for command in commands:
            self.assertNotRegex(command, r"[\n'\\!]", "csh and fish read these even between single quotes")
            subprocess.run(["/bin/sh", "-n", "-ec", command], check=True)

    def test_only_the_host_s_own_word_starts_a_module_again(self):
        started = "minicluster-started aa\n"
        verdicts = {
            "it ended well": (self.refused(0, "{}", started), None),
            "nothing came back": (self.refused(0), None),
            "nothing but a status": (self.refused(127), None),
            "the shell's word is missing": (self.refused(126, "", "Permission denied"), None),
            "it started": (self.refused(127, "", started + "minicluster-ended aa 127\n"), None),
            "removed after it was verified": (self.refused(127, "", "not found\nminicluster-ended aa 127\n"), "absent"),
            "not executable": (
                self.refused(126, "", "minicluster-ended aa 126\r\n"),
                "unusable: it cannot be executed there",
            ),
            "sudo speaks German": (
                self.refused(1, "", "sudo: Entschuldigung, Sie benötigen ein TTY, um sudo auszuführen\n"),
                "unusable: sudo wants a terminal",
            ),
            "a module speaks of sudo": (self.refused(1, "", started + "sudo: no tty\n"), None),
            "another run's word": (self.refused(0, "minicluster-refused bb absent x86_64\n"), None),
            "absent": (self.refused(0, "Welcome! minicluster-refused aa absent x86_64\r\n"), "absent x86_64"),
        }
        for name, (said, expected) in verdicts.items():
            with self.subTest(name):
                self.assertEqual(said, expected)
