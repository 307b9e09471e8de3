"""Nobody but the user who runs a module can decide what is run, and no secret is left anywhere."""

from __future__ import annotations

from support import HostCase
from support.case import MODULES

ROOT_PROBE = {"probe": {}, "become": True}


class Safe(HostCase):
    """The copies, what is verified about them, and what may lie where."""

    def test_the_copy_of_root_lies_where_only_root_can_write(self):
        self.assert_in_place(self.play_well(ROOT_PROBE))
        above = "/ /var /var/lib /var/lib/minicluster"
        owners = self.host.shell(f"stat -c '%U %A' {above} {MODULES} {self.copy}").splitlines()
        self.assertEqual(owners, ["root drwxr-xr-x"] * 4 + ["root drwx------", "root -r-x------"])

    def test_everyone_else_has_a_cache_of_their_own(self):
        run = self.play_well({"probe": {}}, {"probe": {}, "become": True, "become_user": "worker"})
        self.assertEqual(
            [line["result"]["program"] for line in run.results],
            [f"/home/{user}/.cache/minicluster/modules/{self.digest}" for user in ("admin", "worker")],
        )
        owner = self.host.shell("stat -c '%U %A' /home/worker/.cache/minicluster/modules/*")
        self.assertEqual(owner, "worker -r-x------\n")

    def test_the_home_directory_is_not_taken_from_the_environment(self):
        flags = {"ansible_become_flags": "-S -n -E"}
        run = self.play_well({"probe": {"variable": "HOME"}, "become": True, "become_user": "worker", "vars": flags})
        self.assertEqual(run.result()["variable"], "/home/admin", "sudo kept the other user's HOME")
        self.assertIn("/home/worker/", run.result()["program"])

    def test_the_path_of_the_ssh_user_does_not_verify(self):
        # With PATH kept by sudo, the verifying tools are still the system's.
        self.host.shell("mkdir -p ~/bin; for it in stat sha256sum id; do ln -sf /bin/false ~/bin/$it; done", "admin")
        self.host.shell("echo 'Defaults:admin !secure_path, env_keep+=PATH' > /etc/sudoers.d/path")
        self.host.shell("echo 'PATH=/home/admin/bin:/usr/bin:/bin' > /home/admin/.ssh/environment")
        self.host.shell("echo 'PermitUserEnvironment yes' > /etc/ssh/sshd_config.d/environment.conf; pkill -HUP -o sshd")
        undo = "rm -rf /etc/sudoers.d/path /etc/ssh/sshd_config.d/environment.conf /home/admin/bin /home/admin/.ssh/environment"
        self.addCleanup(self.host.shell, f"{undo}; pkill -HUP -o sshd")
        # A connection of its own: an earlier one would have the earlier environment.
        self.project.hosts({"host": {**self.host.variables(), "ansible_control_path": "none"}})
        run = self.play_well({"probe": {"variable": "PATH"}, "become": True})
        self.assertTrue(run.result()["variable"].startswith("/home/admin/bin:"), run.result())
        self.assert_in_place(run)

    def test_a_directory_that_others_can_write_is_not_used(self):
        openings = {
            "the directory is the ssh user's": f"chown admin {MODULES}",
            "the directory is open": f"chmod 777 {MODULES}",
            "its group can write": f"chgrp admin {MODULES}; chmod 770 {MODULES}",
            "the directory above is open": "chmod 775 /var/lib/minicluster",
            "it is a link to the ssh user's": f"mv {MODULES} /home/admin/modules; ln -s /home/admin/modules {MODULES}",
            "it is a link into /tmp": f"mv {MODULES} /tmp/modules; ln -s /tmp/modules {MODULES}",
        }
        close = f"rm -rf {MODULES} /home/admin/modules /tmp/modules; chmod 755 /var/lib/minicluster"
        for name, opening in openings.items():
            with self.subTest(name):
                self.host.shell(close)
                self.play_well(ROOT_PROBE)
                self.host.shell(opening)
                run = self.play_well(ROOT_PROBE)
                self.assert_standard(run)
                self.assertIn("can be written by other users", run.output)
        self.host.shell(close)
        self.assert_in_place(self.play_well(ROOT_PROBE))

    def test_a_damaged_copy_is_replaced(self):
        damages = {
            "shorter": f"chmod 700 {self.copy}; truncate -s 1000 {self.copy}; chmod 500 {self.copy}",
            "empty": f"chmod 700 {self.copy}; : > {self.copy}; chmod 500 {self.copy}",
            "one byte": f"printf x | dd of={self.copy} bs=1 seek=5000 conv=notrunc status=none",
            "another program": f"cp /bin/true {self.copy}",
            "others may write": f"chmod 777 {self.copy}",
            "the ssh user's": f"chown admin {self.copy}",
            "a link": f"mv {self.copy} /home/admin/copy; ln -s /home/admin/copy {self.copy}",
            "a dangling link": f"ln -sf /nonexistent {self.copy}",
        }
        for name, damage in damages.items():
            with self.subTest(name):
                self.play_well(ROOT_PROBE)
                self.host.shell(f"rm -f /tmp/journal; {damage}")
                run = self.play_well({"probe": {"journal": "/tmp/journal"}, "become": True})
                self.assert_in_place(run)
                self.assertEqual(self.host.shell("cat /tmp/journal"), "started\n")
                found = self.host.shell(f"stat -c '%U %A' {self.copy}; sha256sum < {self.copy}")
                self.assertEqual(found, f"root -r-x------\n{self.digest}  -\n")

    def test_what_cannot_be_replaced_is_not_run(self):
        self.host.shell(f"mkdir -p -m 700 {MODULES}; mkdir {self.copy}")
        self.assert_standard(self.play_well(ROOT_PROBE))
        self.assertEqual(self.host.shell(f"find {MODULES} -type f"), "", "nothing is left of the attempt")

    def test_arguments_are_on_no_command_line_and_in_no_file(self):
        secret = "mellon-3f9c1d"
        finish = self.project.start(
            {"probe": {"secret": secret, "text": secret, "gate": "/tmp/gate", "journal": "/tmp/journal"}, "become": True},
            arguments=("-vvvvv",),
            environment={"ANSIBLE_DEBUG": "1"},
        )
        self.host.wait_for("/tmp/journal")
        # In two parts, or the search would find itself.
        found = self.host.shell(f"""
            s={secret[:5]}; s=$s{secret[5:]}
            grep -l $s /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || [ $? -lt 3 ]
            grep -rl $s /tmp /home /root /var /run /etc || [ $? -lt 3 ]
            echo go >/tmp/gate
        """)
        run = finish()
        self.assertEqual(found, "")
        self.assertTrue(run.result()["secret_is_text"], "the module did get it")
        self.assert_in_place(run)
        commands = [line for line in run.output.splitlines() if "EXEC" in line or "executing:" in line]
        self.assertTrue(commands)
        self.assertFalse([line for line in commands if secret in line])
