"""A callback that writes each result as one JSON line to the file that MINICLUSTER_RESULTS names."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: results
type: notification
short_description: results as JSON lines
description: For tests.
"""


class CallbackModule(CallbackBase):
    """Writes what a person would see, censored by no_log as on the terminal."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"

    def _write(self, kind, result):
        line = {"kind": kind, "host": result._host.get_name(), "task": result.task_name, "result": result._result}
        line["time"] = time.monotonic()
        with open(os.environ["MINICLUSTER_RESULTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._write("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result):
        self._write("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._write("skipped", result)
