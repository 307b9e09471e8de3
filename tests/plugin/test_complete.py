"""Everything that a task can say works as it does without the plugin, in one round trip."""

from __future__ import annotations

import sys

from support import HostCase
from support.case import shared_host

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


class Complete(HostCase):
    """The keywords of a task."""

    def test_a_task_is_one_round_trip_once_the_copy_is_there(self):
        for keywords in ({}, {"become": True}, {"become": True, "become_user": "worker"}):
            with self.subTest(**keywords):
                task = {"probe": {}, **keywords}
                self.assertEqual(self.play_well(task).connections(), 3, "refused, pushed, run")
                again = self.play_well(task)
                self.assertEqual(again.connections(), 1)
                self.assert_in_place(again)

    def test_check_mode_and_diff(self):
        for arguments in ((), ("--check",), ("--diff",), ("--check", "--diff")):
            with self.subTest(arguments=arguments):
                result = self.play_well({"probe": {}}, arguments=arguments).result()
                self.assertEqual(result["predicted"], "--check" in arguments)
                self.assertEqual(bool(result.get("diff")), "--diff" in arguments)

    def test_no_log_hides_the_result(self):
        run = self.play_well({"probe": {"text": "xyzzy", "values": {"said": "xyzzy"}}, "no_log": True})
        self.assertNotIn("xyzzy", run.output)
        self.assertIn("censored", run.result())

    def test_a_loop_is_one_round_trip_an_item(self):
        self.play_well({"probe": {}})
        run = self.play_well({"probe": {"text": "{{ item }}"}, "loop": ["a", "bb", "ccc"]})
        self.assertEqual([item["length"] for item in run.result()["results"]], [1, 2, 3])
        self.assertEqual(run.connections(), 3)

    def test_environment_reaches_the_module_and_only_the_module(self):
        value = """it's "quoted" $HOME `id` \\ and
        long"""
        # The verifying tools would not be found with this PATH, nor start with this library.
        environment = {"GREETING": value, "PATH": "/nonexistent", "LD_PRELOAD": "/nonexistent.so"}
        task = {"probe": {"variable": "GREETING"}, "environment": environment, "become": True}
        run = self.play_well(task)
        self.assertEqual(run.result()["variable"], value)
        self.assert_in_place(run)
        # The module is static: only another program would complain of the library.
        self.assertNotIn("nonexistent.so' from LD_PRELOAD", run.output)

    def test_async_goes_the_standard_way(self):
        waited = self.play_well({"probe": {}, "async": 30, "poll": 1, "become": True})
        self.assertIn("AnsiballZ_probe", waited.results[-1]["result"]["program"])
        self.play_well(
            {"probe": {"journal": "/tmp/journal"}, "async": 30, "poll": 0, "register": "job"},
            {
                "async_status": {"jid": "{{ job.ansible_job_id }}"},
                "register": "it",
                "until": "it.finished",
                "retries": 50,
                "delay": 0.2,
            },
        )
        self.assertEqual(self.host.shell("cat /tmp/journal"), "started\n")

    def test_defaults_of_the_play_are_arguments(self):
        run = self.play_well({"probe": {}}, module_defaults={"probe": {"text": "four"}})
        self.assertEqual(run.result()["length"], 4)

    def test_the_name_may_be_qualified(self):
        self.assert_in_place(self.play_well({"ansible.legacy.probe": {}}))

    def test_delegation_uses_the_other_connection(self):
        other = {**self.host.variables("typist")}
        self.project.hosts({"host": self.host.variables(), "other": other})
        run = self.project.play({"probe": {}, "delegate_to": "other", "when": "inventory_hostname == 'host'"})
        self.assertEqual(sorted(run.kinds()), ["ok", "skipped"])
        result = next(line["result"] for line in run.results if line["kind"] == "ok")
        self.assertTrue(result["program"].startswith("/home/typist/.cache/"), result)
        run = self.project.play({"probe": {}, "delegate_to": "localhost", "run_once": True, "vars": LOCAL})
        self.assert_in_place(run)
        self.assertEqual(run.connections(), 0)

    def test_arguments_of_any_size(self):
        text = "0123456789" * 500_000
        self.project.directory.joinpath("text").write_text(text)
        task = {"probe": {"text": "{{ lookup('file', 'text') }}"}, "become": True}
        for times in ("with a push", "in place"):
            with self.subTest(times):
                run = self.play_well(task, arguments=("-vv",))
                self.assertEqual(run.result()["length"], len(text))
                self.assert_in_place(run)

    def test_strange_text_arrives_unharmed(self):
        texts = ["", "ü€😀", "'\"`$(id)\\\n\t\0", "{{ '{{' }} not a template"]
        run = self.play_well(*[{"probe": {"text": text, "secret": text}} for text in texts])
        self.assertEqual([line["result"]["secret_is_text"] for line in run.results], [True] * len(texts))


class Connections(HostCase):
    """Ways to reach a host and to become another user there."""

    def run_with(self, variables: dict, user: str = "admin", **keywords):
        self.project.hosts({"host": {**self.host.variables(user), **variables}})
        return self.play_well({"probe": {"journal": "/tmp/journal"}}, **keywords)

    def test_sudo_with_a_password(self):
        run = self.run_with({"ansible_become_password": "letmein"}, "typist", become=True)
        self.assert_in_place(run)
        self.assertEqual(run.result()["uid"], 0)

    def test_sudo_that_wants_a_terminal(self):
        run = self.run_with({}, "terminal", become=True)
        self.assert_standard(run)
        self.assertEqual(run.result()["uid"], 0)
        self.assertIn("wants a terminal", run.output)

    def test_su(self):
        run = self.run_with({"ansible_become_password": "rootword"}, become=True, become_method="su")
        self.assert_standard(run)
        self.assertEqual(run.result()["uid"], 0)

    def test_a_user_without_a_home_directory(self):
        self.host.shell("mkdir -p /tmp/free; chmod 1777 /tmp/free")
        readable = {"ansible_shell_allow_world_readable_temp": True}
        run = self.run_with(readable, become=True, become_user="homeless")
        self.assert_standard(run)
        self.assertEqual(str(run.result()["uid"]), self.host.shell("id -u homeless").strip())

    def test_without_pipelining(self):
        run = self.run_with({"ansible_pipelining": False})
        self.assert_standard(run)

    def test_remote_files_are_kept_when_asked_for(self):
        self.project.hosts({"host": self.host.variables()})
        run = self.play_well({"probe": {}}, environment={"ANSIBLE_KEEP_REMOTE_FILES": "1"})
        self.assert_standard(run)
        self.assertEqual(self.host.shell("ls /home/admin/.ansible/tmp/*/AnsiballZ_probe | wc -l"), "1\n")

    def test_another_shell(self):
        run = self.run_with({"ansible_shell_executable": "/bin/bash"}, become=True)
        self.assert_in_place(run)

    def test_a_local_connection(self):
        self.project.hosts({"host": LOCAL})
        self.play_well({"probe": {}})
        run = self.play_well({"probe": {}})
        self.assert_in_place(run)
        self.assertNotIn("pushing the program", run.output)

    def test_a_docker_connection(self):
        docker = {"ansible_connection": "community.docker.docker", "ansible_host": shared_host().name}
        self.project.hosts({"host": {**docker, "ansible_user": "worker"}})
        run = self.play_well({"probe": {}})
        self.assertIn("/home/worker/", run.result()["program"])
        self.project.hosts({"host": {**docker, "ansible_user": "root"}})
        run = self.play_well({"probe": {}}, become=True, become_user="worker")
        self.assertIn("/home/worker/", run.result()["program"])
