"""What a person and later tasks see is the same with the plugin and without it."""

from __future__ import annotations

import os
import shutil

from support import HostCase, probe

# What differs by nature: where the program lay and how it was started.
WHERE = ("program", "command_line")


class Same(HostCase):
    """Runs with the plugin against runs without."""

    def both(self, *tasks: dict, **keywords):
        """The kinds and the results of both ways, without what differs by nature."""
        answers = []
        for plugin in (True, False):
            project = self.new_project({"host": self.host.variables()}, plugin)
            run = project.play(*tasks, arguments=(), **keywords)
            programs = [line["result"].get("program") for line in run.results]
            self.assertEqual(any(it and "AnsiballZ" in it for it in programs), not plugin and any(programs), programs)
            for line in run.results:
                for name in WHERE:
                    line["result"].pop(name, None)
                # Ansible warns of a set's members in any order.
                line["result"].get("warnings", []).sort()
                line.pop("time")
            answers.append((run.status, run.results))
        return answers

    def test_results(self):
        cases = {
            "a report": {},
            "a failure": {"end": "fail"},
            "an unknown option": {"nonsense": 1},
            "a wrong type": {"status": "many"},
            "values as strings": {"status": "3", "values": '{"a": 1}'},
            "output of commands": {"values": {"stdout": "a\nb", "stderr": "c", "rc": 0}},
            "a status that means failure": {"values": {"rc": 3}},
            "warnings": {"values": {"warnings": ["take care"], "deprecations": []}},
            "a key of loops": {"values": {"results": "text"}},
            "an exception": {"values": {"failed": True, "exception": "Traceback: x", "msg": "no"}},
        }
        tasks = [
            {"name": name, "probe": arguments, "register": "it", "ignore_errors": True, "become": True}
            for name, arguments in cases.items()
        ]
        ours, standard = self.both(*tasks)
        self.assertEqual(len(ours[1]), len(cases))
        for mine, theirs in zip(ours[1], standard[1], strict=True):
            with self.subTest(mine["task"]):
                self.assertEqual(mine, theirs)
        self.assertEqual(ours[0], standard[0])

    def test_a_host_cannot_set_connection_variables(self):
        facts = {
            "ansible_connection": "local",
            "ansible_host": "192.0.2.1",
            "ansible_user": "mallory",
            "ansible_ssh_common_args": "-o ProxyCommand=false",
            "ansible_python_interpreter": "/tmp/evil",
            "ansible_become_exe": "/tmp/evil",
            "discovered_interpreter_python": "/tmp/evil",
            "harmless": "fact",
        }
        values = {"ansible_facts": facts, "_ansible_delegated_vars": {"ansible_host": "x"}, "_ansible_verbose_always": True}
        names = [name for name in facts if name.startswith("ansible_")]
        show = {name: "{{ " + name + " | default('undefined') }}" for name in names}
        show["fact"] = "{{ ansible_facts.harmless }}"
        show["python"] = "{{ ansible_facts.discovered_interpreter_python | default('none') }}"
        ours, standard = self.both(
            {"probe": {"values": values}, "become": True},
            {"debug": {"msg": show}},
            {"ping": {}},
        )
        self.assertEqual(ours, standard)
        self.assertEqual(ours[0], 0, "the host is still reached")
        shown = ours[1][1]["result"]["msg"]
        self.assertEqual((shown["ansible_host"], shown["ansible_user"]), (self.host.address, "admin"))
        self.assertEqual((shown["python"], shown["fact"]), ("none", "fact"))


    def test_the_control_node_never_becomes(self):
        folder = self.project.directory / "bin"
        folder.mkdir()
        (folder / "sudo").write_text("#!/bin/sh\necho sudo was called >&2\nexit 1\n")
        (folder / "sudo").chmod(0o755)
        environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
        task = {"probe": {}, "delegate_to": "localhost", "become": False, "vars": {"ansible_become": False}}
        arguments = ("-e", "ansible_become=true", "-e", "ansible_become_user=nobody")
        run = self.project.play(task, arguments=arguments, environment=environment)
        self.assertEqual(run.status, 0, run.output)
        self.assertEqual(run.result()["uid"], os.getuid())


class Architectures(HostCase):
    """Hosts of another architecture than the control node's."""

    # To Ansible under this personality, the control node is another machine than the host.
    FOREIGN = ("setarch", "i686")

    def setUp(self) -> None:
        super().setUp()
        # What the control node would run itself; here it only must not be what the host runs.
        shutil.copy("/bin/true", self.project.directory / "library/probe")
        self.machine = os.uname().machine

    def test_the_build_for_the_host_is_pushed(self):
        folder = self.project.directory / "library_arch" / self.machine
        folder.mkdir(parents=True)
        shutil.copy(probe(), folder / "probe")
        for connections in (3, 1):
            run = self.project.start({"probe": {}, "become": True}, prefix=self.FOREIGN)()
            self.assertEqual(run.result()["program"], self.copy, run.output)
            self.assertEqual(run.connections(), connections)

    def test_a_missing_build_is_named(self):
        run = self.project.start({"probe": {}, "become": True}, prefix=self.FOREIGN)()
        self.assertEqual(run.kinds(), ["failed"])
        self.assertIn(f"library_arch/{self.machine}/probe", run.result()["msg"])


class Mitogen(HostCase):
    """With Mitogen's strategy, Mitogen runs the module its own way."""

    def test_mitogen(self):
        import ansible_mitogen  # noqa: PLC0415, which is a requirement of the tests

        folder = os.path.join(os.path.dirname(ansible_mitogen.__file__), "plugins/strategy")
        environment = {"ANSIBLE_STRATEGY_PLUGINS": folder, "ANSIBLE_STRATEGY": "mitogen_linear"}
        run = self.project.play({"probe": {"journal": "/tmp/journal"}, "become": True}, environment=environment)
        self.assertEqual(run.status, 0, run.output)
        result = run.result()
        self.assertEqual(result["uid"], 0)
        self.assertNotRegex(result["program"], "AnsiballZ|minicluster", "Mitogen brought it")
        self.assertEqual(self.host.shell("cat /tmp/journal"), "started\n")


