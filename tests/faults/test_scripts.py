"""What scripts for hosts promise: every command counts, and a refusal is one."""

import subprocess
import unittest

from cluster import SHELL, whole


class Scripts(unittest.TestCase):
    def test_every_command_counts(self):
        cases = {
            "false\ntrue": 1,
            "false; echo well": 1,
            "for it in 1 0; do test $it = 0; done": 1,
            "false | true": 1,
            "echo $nothing; echo well": 1,
            "cat\necho well": 0,
            "true\ntest -e / && test ! -e /nowhere": 0,
        }
        for script, status in cases.items():
            with self.subTest(script):
                done = subprocess.run(SHELL, input=whole(script), text=True, capture_output=True)
                self.assertEqual((done.returncode, "well" in done.stdout), (status, "well" in script and not status), done)

    def test_a_command_that_would_fail_nothing_is_refused(self):
        for script in ["NOT true\ntrue", "cd / && NOT true", "if true; then NOT ls a b; fi", "NOT ls a b", "{ NOT true\n}"]:
            with self.subTest(script), self.assertRaises(AssertionError):
                whole(script.replace("NOT", "!"))
