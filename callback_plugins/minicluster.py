# Copyright: the minicluster authors
# GNU General Public License v3.0 or later (see LICENSE)
"""Prints what matters of a run: a line per play, changes and failures in full, and what changed where at the end.

It is Ansible's own output (`default`) with less of it: what is shown in full is formatted by Ansible's code. With `-v`, nothing
here is in its way; and what fails here is left to it, so that no result and no other version of Ansible breaks a run.

What a host says is data: control characters are shown as `cat -v` would, and what is too long is cut.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Mapping

from ansible import constants, context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.display import Display

DOCUMENTATION = """
name: minicluster
type: stdout
short_description: a line per play, changes and failures in full, a summary by service and host
description:
  - Prints one line per play, what changed, and what failed; at the end Ansible's recap, and which services changed on which hosts.
  - With C(-v) it prints what P(ansible.builtin.default#callback) prints. C(ANSIBLE_STDOUT_CALLBACK=default) turns it off.
  - On a terminal, the line of the play that runs is updated in place.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
"""

# The same characters as in action_plugins/in_place.py, for modules that do not run through it.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\r*\n)")
# How much of what a host says is shown: characters of a message, of a line, of a text in a diff; entries of a list; its depth.
LONG = 20_000
LONG_LINE = 1_000
LONG_DIFF = 1_000_000
MANY = 1_000
DEEP = 30
# What our modules and some of Ansible's say of what they have changed.
DETAILS = ["units", "written", "installed", "turned_down", "unused", "dropped", "dest", "path"]
COUNTED = ["changed", "failed", "unreachable"]
IN_CHECK = {"started": "start", "restarted": "restart", "reloaded": "reload", "stopped": "stop"}


def printable(text: str) -> str:
    """The text with control characters as `cat -v` shows them."""
    return CONTROL.sub(lambda it: f"^{chr(ord(it[0]) ^ 0x40)}" if it[0] < "\x80" else f"<U+{ord(it[0]):04X}>", text)


def bounded(text: str, limit: int = LONG) -> str:
    """The beginning and the end of a text that is too long, and how much is not shown."""
    cut = len(text) - limit
    return text if cut <= 0 else f"{text[: limit // 2]}\n… {cut} characters are not shown …\n{text[-limit // 2 :]}"


def clean(value, limit: int = LONG, depth: int = 0):
    """What a host has said, fit to be shown."""
    if isinstance(value, str):
        return printable(bounded(value, limit))
    if depth > DEEP:
        return "…"
    if isinstance(value, Mapping):
        some = list(value.items())[:MANY] + ([("…", f"{len(value) - MANY} more are not shown")] if len(value) > MANY else [])
        return {clean(name): clean(it, LONG_DIFF if name == "diff" else limit, depth + 1) for name, it in some}
    if isinstance(value, (list, tuple)):
        some = [clean(it, limit, depth + 1) for it in value[:MANY]]
        # Not among warnings, which are no text yet.
        more = len(value) > MANY and not dataclasses.is_dataclass(value[0])
        some += [f"… {len(value) - MANY} more are not shown"] if more else []
        return tuple(some) if isinstance(value, tuple) else some
    if dataclasses.is_dataclass(value):
        fields = {it.name: clean(getattr(value, it.name), limit, depth + 1) for it in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def brief(value) -> str:
    """Something of a result in one line."""
    if isinstance(value, Mapping):
        told = {name: it for name, it in value.items() if it and it != "unchanged"}
        return ", ".join(f"{name} {it}" if isinstance(it, str) else str(name) for name, it in told.items())
    if isinstance(value, list):
        return ", ".join(" ".join(map(str, it.values())) if isinstance(it, Mapping) else str(it) for it in value)
    return "" if value is None else str(value)


def details(result: Mapping) -> str:
    """What has changed, as far as a result says so."""
    return "; ".join(filter(None, (brief(result.get(it)) for it in DETAILS)))


def in_order(hosts) -> list[str]:
    """host2 before host10."""
    return sorted(hosts, key=lambda it: [part.zfill(20) for part in re.findall(r"\d+|\D+", it)])


def duration(since: float) -> str:
    """How long ago that was."""
    minutes, seconds = divmod(round(time.monotonic() - since), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def number(many, name: str) -> str:
    """So many of them."""
    return f"{len(many)} {name}{'' if len(many) == 1 else 's'}"


def columns(text: str) -> int:
    """How wide a text is at most."""
    return sum(2 if it > "\u10ff" else 1 for it in text)


def of(result) -> tuple[str, str]:
    """The task on the host."""
    return result.task._uuid, result.host.get_name()


def is_rescued(task) -> bool:
    """Whether the task stands in a block with a rescue, at whatever depth, and not in the rescue itself."""
    while parent := task._parent:
        if getattr(parent, "rescue", None) and any(it._uuid == task._uuid for it in parent.block):
            return True
        task = parent
    return False


class Line:
    """The line at the bottom of a terminal, rewritten each second; what is displayed meanwhile goes above it."""

    def __init__(self, display: Display, text):
        self._text = text
        self._width = 0
        # Ansible holds it while it forks: no child inherits a half-written line.
        self._lock = display._lock
        display.display = functools.partial(self._above, display.display)
        display.prompt = functools.partial(self._above, display.prompt)
        os.register_at_fork(after_in_child=self._forget)
        threading.Thread(target=self._tick, daemon=True).start()

    def draw(self) -> None:
        """Shows the text as it is now."""
        with self._lock:
            text, room = printable(self._text()).replace("\n", " "), shutil.get_terminal_size().columns
            while columns(text) >= room:
                text = text[:-1]
            self._write(text + " " * (self._width - columns(text)))
            self._width = columns(text)

    def erase(self) -> None:
        """Takes it away, until it is drawn again."""
        with self._lock:
            if self._width:
                self._write(" " * self._width + "\r")
            self._forget()

    def _above(self, function, *args, **kwargs):
        with self._lock:
            self.erase()
            return function(*args, **kwargs)

    def _tick(self) -> None:
        with contextlib.suppress(Exception):
            while True:
                time.sleep(1)
                with self._lock:
                    # Not where a question or a failure stands now.
                    if self._width:
                        self.draw()

    def _forget(self) -> None:
        self._width = 0

    @staticmethod
    def _write(text: str) -> None:
        # No escape code, so that every terminal can do it.
        sys.stdout.write(f"\r{text}")
        sys.stdout.flush()


def careful(handler):
    """Hands over what a host has said cleaned; and where a handler fails, Ansible's own does its work."""

    @functools.wraps(handler)
    def handle(self, *args, **kwargs):
        with contextlib.suppress(Exception):
            args = [self._cleaned(it) if hasattr(it, "task_fields") else it for it in args]
        try:
            handler(self, *args, **kwargs)
        except Exception:
            try:
                getattr(super(Brief, self), handler.__name__)(*args, **kwargs)
            except Exception as error:
                host = args[0].host.get_name() if args and hasattr(args[0], "host") else handler.__name__
                self._display.display(f"{host}: {self._task}: what it has said cannot be shown: {type(error).__name__}")

    return handle


class Brief(Default):
    """What is left of Ansible's own output."""

    def __init__(self):
        super().__init__()
        self._began = self._play_began = time.monotonic()
        self._line: Line | None = None
        self._playing, self._play_name, self._task = False, "", ""
        self._counts: collections.Counter = collections.Counter()
        # Of the play; and of the task.
        self._hosts, self._tasks, self._started, self._done = set(), set(), set(), set()
        self._names: dict = {}
        # What a host has said of a task, until it has done it; what a task has changed, until all hosts have done it.
        self._diffs: dict = collections.defaultdict(str)
        self._items: dict = collections.defaultdict(list)
        self._changes: dict = {}
        # By service and host, with what was done to the units.
        self._changed: dict = collections.defaultdict(lambda: collections.defaultdict(dict))
        self._failed: dict = collections.defaultdict(lambda: collections.defaultdict(dict))

    def get_option(self, k, hostvars=None):
        # So that a task's name is shown only where one of its results is.
        return False if k == "display_skipped_hosts" else super().get_option(k, hostvars)

    @careful
    def v2_playbook_on_play_start(self, play):
        self._end_play()
        self._play, self._playing, self._play_name = play, True, printable(play.get_name().strip())
        self._play_began, self._task = time.monotonic(), ""
        for it in (self._counts, self._hosts, self._tasks, self._started, self._done):
            it.clear()
        if self._line is None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            with contextlib.suppress(AttributeError):
                self._line = Line(self._display, self._progress)
        self._draw()

    @careful
    def v2_playbook_on_vars_prompt(self, *_args, **_kwargs):
        self._end_play()

    @careful
    def _task_start(self, task, prefix=None):
        self._show_changes()
        super()._task_start(task, prefix)
        self._task = self._names[task._uuid] = printable(task.get_name().strip())
        if self._last_task_name is not None:
            self._last_task_name = self._task
        self._started.clear()
        self._done.clear()
        sys.stdout.flush()

    @careful
    def v2_runner_on_start(self, host, task):
        super().v2_runner_on_start(host, task)
        self._started.add(host.get_name())
        self._draw()

    @careful
    def v2_runner_on_ok(self, result):
        self._count(result)
        if result.task.action in constants._ACTION_DEBUG:
            super().v2_runner_on_ok(result)
        self._handle_warnings_and_exception(result)
        if result.result.get("changed") and not isinstance(result.task, TaskInclude):
            self._note_change(result)
        self._draw()

    @careful
    def v2_runner_on_skipped(self, result):
        self._count(result, ran=False)
        self._handle_warnings_and_exception(result)
        self._draw()

    @careful
    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._count(result)
        self._note_items(result)
        super().v2_runner_on_failed(result, ignore_errors)
        if not ignore_errors:
            self._counts["failed"] += 1
            # That role repeats what has failed before.
            if self._service(result) != "report":
                self._note_service(result, self._failed)
            if is_rescued(result.task):
                self._display.display("...rescued", color=constants.COLOR_SKIP)

    @careful
    def v2_runner_on_unreachable(self, result):
        self._count(result)
        self._note_items(result)
        super().v2_runner_on_unreachable(result)
        self._counts["unreachable"] += 1

    @careful
    def v2_runner_item_on_ok(self, result):
        if result.task.action in constants._ACTION_DEBUG:
            super().v2_runner_item_on_ok(result)
        self._handle_warnings_and_exception(result)
        if result.result.get("changed") and not isinstance(result.task, TaskInclude):
            secret = result.result.get("_ansible_no_log")
            told = ["" if secret else brief(self._get_item_label(result.result)), details(result.result)]
            self._items[of(result)].append(": ".join(filter(None, told)))
            self._note_service(result, self._changed)

    @careful
    def v2_runner_item_on_failed(self, result):
        super().v2_runner_item_on_failed(result)

    @careful
    def v2_runner_item_on_skipped(self, result):
        self._handle_warnings_and_exception(result)

    @careful
    def v2_on_file_diff(self, result):
        items = result.result.get("results") if result.task.loop else None
        for it in items if isinstance(items, list) else [result.result]:
            if it.get("diff") and it.get("changed"):
                self._diffs[of(result)] += self._get_diff(it["diff"])

    def _nothing(self, *_args, **_kwargs):
        """The last try is shown, the end of what is asynchronous, and what the tasks of an included file do."""

    v2_runner_retry = v2_runner_on_async_poll = v2_runner_on_async_ok = v2_playbook_on_include = _nothing

    @careful
    def v2_playbook_on_stats(self, stats):
        self._end_play()
        super().v2_playbook_on_stats(stats)
        check = context.CLIARGS.get("check")
        self._summary("would change" if check else f"changed in {duration(self._began)}", self._changed, IN_CHECK if check else {})
        if self._failed:
            self._summary("failed", self._failed, {})
        sys.stdout.flush()

    def _cleaned(self, result):
        data = clean(result._return_data)
        if data.get("_ansible_no_log") or "censored" in data:
            # Ansible leaves the message of a failure in there.
            data = {name: it for name, it in data.items() if name not in ("exception", "warnings", "deprecations")}
        self._current_task_result = type(result)(result.host, result.task, data, result.task_fields)
        return self._current_task_result

    def _dump_results(self, *args, **kwargs):
        text = super()._dump_results(*args, **kwargs)
        return bounded(printable(text)) if isinstance(text, str) else text

    def _count(self, result, ran=True):
        self._done.add(result.host.get_name())
        self._hosts.add(result.host.get_name())
        if ran and not isinstance(result.task, TaskInclude):
            self._tasks.add(result.task._uuid)

    def _note_items(self, result) -> None:
        """What items of a loop had changed before another one failed."""
        if of(result) in self._items:
            self._note_change(result)

    def _note_change(self, result) -> None:
        self._counts["changed"] += 1
        self._note_service(result, self._changed)
        told = "; ".join(filter(None, self._items.pop(of(result), []))) or details(result.result)
        told = " ".join(bounded(told, LONG_LINE).split())
        groups = self._changes.setdefault(result.task._uuid, (result.task, {}))[1]
        groups.setdefault((told, self._diffs.pop(of(result), "")), []).append(self.host_label(result))

    def _note_service(self, result, services: dict) -> None:
        words = services[self._service(result)][result.host.get_name()]
        units = result.result.get("units") if result.task.action == "service_units" else None
        for it in units.values() if isinstance(units, Mapping) else []:
            if (word := str(it).partition(" ")[0].rstrip(",")) in IN_CHECK:
                words[word] = None

    def _service(self, result) -> str:
        """The service that a task belongs to: the one that it names, that its role was given, or the role itself."""
        role = result.task._role
        given = role.get_role_params() if role else {}
        named = [result.task_fields.get("args", {}).get("service")] if result.task.action == "service_units" else []
        named += [given.get("service"), given.get(f"{role}_service"), role and role.get_name()]
        return printable(next((it for it in named if isinstance(it, str) and it and "{{" not in it), self._play_name))

    def _show_changes(self) -> None:
        """What a task has changed, the hosts on which it is the same together."""
        for task, groups in self._changes.values():
            verb = "would change" if task.check_mode else "changed"
            for (told, diff), hosts in groups.items():
                text = f"{verb}: {', '.join(in_order(hosts))}: {self._names.get(task._uuid)}" + (f" ({told})" if told else "")
                self._display.display(text, color=constants.COLOR_CHANGED)
                if diff:
                    self._display.display(diff)
        self._changes.clear()

    def _summary(self, title: str, services: dict, words: dict) -> None:
        self._display.display(f"{title}:" if services else f"{title}: nothing")
        for service, hosts in sorted(services.items()):
            done = {host: ", ".join(words.get(it, it) for it in hosts[host]) for host in in_order(hosts)}
            told = (f"{host} ({it})" if it else host for host, it in done.items())
            self._display.display(f"  {service:<16} {' '.join(told)}")

    def _told(self, *first: str) -> list[str]:
        return [*first, *(f"{self._counts[it]} {it}" for it in COUNTED if self._counts[it]), duration(self._play_began)]

    def _progress(self) -> str:
        """The line while the play runs; what is long stands last."""
        done = [f"{len(self._done & self._started)}/{len(self._started)} hosts"] if self._started else []
        return f"{self._play_name}: {', '.join(self._told(*done))}" + (f": {self._task}" if self._task else "")

    def _draw(self) -> None:
        if self._line and self._playing:
            self._line.draw()
        else:
            sys.stdout.flush()

    def _end_play(self) -> None:
        """The line when the play has ended."""
        if self._playing:
            self._show_changes()
            self._playing = False
            told = self._told(number(self._hosts, "host"), number(self._tasks, "task"))
            self._display.display(f"{self._play_name}: {', '.join(told)}")
            sys.stdout.flush()


class CallbackModule(Default if Display().verbosity else Brief):
    """What Ansible loads."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "minicluster"
