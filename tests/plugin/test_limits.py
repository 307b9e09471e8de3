"""A host that hangs or lies harms only itself, and what it says harms no terminal."""

from __future__ import annotations

import json
import subprocess

from support import HostCase

HOSTILE = "\x1b]0;title\x07\x1b[2J\rok\x9b31m"
SHOWN = "^[]0;title^G^[[2J^Mok<U+009B>31m"


class Limits(HostCase):
    """The end of a module that never ends."""

    def hang(self, plugin: bool, environment: dict) -> None:
        self.project = self.new_project({it: self.host.variables() for it in ("bad", "good")}, plugin)
        gate = "{{ '/tmp/gate' if inventory_hostname == 'bad' else omit }}"
        task = {"probe": {"gate": gate}, "become": True, "timeout": 4, "environment": environment}
        run = self.project.play(task)
        self.assertEqual({it["host"]: it["kind"] for it in run.results}, {"bad": "failed", "good": "ok"}, run.output)
        # Neither there nor here, where ssh waits for it.
        self.host.shell("timeout 30 sh -ec 'while pgrep -f [p]robe; do sleep 0.1; done'")
        client = f"[s]sh .*{self.host.address} .*MINICLUSTER_TIMEOUT"
        waits = f"while pgrep -f '{client}' >/dev/null; do sleep 0.1; done"
        subprocess.run(["timeout", "30", "sh", "-ec", waits], check=True)
        bad = next(it["result"] for it in run.results if it["host"] == "bad")
        self.said = str(bad.get("msg"))

    def test_a_module_that_never_returns_costs_its_host(self):
        self.play_well({"probe": {}, "become": True})
        self.hang(True, {})
        self.assertIn("probe was not done after 3 s and was stopped", self.said)

    def test_without_the_plugin_too(self):
        # Nobody tells the module how long it has; usually that is an hour.
        self.hang(False, {"MINICLUSTER_TIMEOUT": "6"})
        self.assertIn("Timed out after 4 second(s)", self.said)


class Terminal(HostCase):
    """Nothing that a host answers rewrites a terminal."""

    def assert_harmless(self, run) -> None:
        self.assertNotRegex(run.output, "[\x00-\x08\x0b-\x1f\x7f-\x9f]")

    def test_what_a_lying_module_answers(self):
        for said in (
            json.dumps({"changed": True, "msg": HOSTILE, "warnings": [HOSTILE], "diff": {"prepared": HOSTILE}}),
            json.dumps({"failed": True, "msg": HOSTILE, "exception": HOSTILE, HOSTILE: HOSTILE}, ensure_ascii=False),
            HOSTILE,
            HOSTILE + json.dumps({"changed": False}) + HOSTILE,
        ):
            with self.subTest(said):
                run = self.project.play({"probe": {"end": "say", "text": said}}, arguments=("--diff",))
                self.assert_harmless(run)
                self.assertEqual(len(run.results), 1, run.output)
        run = self.project.play({"probe": {"end": "say", "text": json.dumps({"msg": HOSTILE, "path": "a\\u001b"})}})
        self.assertEqual((run.result()["msg"], run.result()["path"]), (SHOWN, "a\\u001b"))
