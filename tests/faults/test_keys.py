"""Keys are exchanged on a running cluster, and whatever goes wrong, some key of the control node opens every host."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import time
import unittest

from cluster import NO_CORE, ROOT, SHELL, Cluster, whole

HOSTS = ["host1", "host2", "host3"]
KEYS = "/home/admin/.ssh/authorized_keys"


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(NO_CORE, name="keys", subnet="10.213.6", count=3)
        cls.addClassCleanup(cls.cluster.close)
        cls.control = cls.cluster.directory / "id_ed25519"
        cls.rotation = cls.cluster.directory / "private/ssh/rotation"

    def setUp(self):
        self.old = self.keep("old")

    def keep(self, name):
        """A copy of the control key as it is now, for a thief."""
        copy = self.cluster.directory / name
        for half in ["", ".pub"]:
            shutil.copy(f"{self.control}{half}", f"{copy}{half}")
        return copy

    def rotate(self, *arguments, kill_at=None):
        return self.cluster.run(*arguments, playbook="rotate.yml", kill_at=kill_at)

    def opens(self, key, host):
        """Whether a key alone opens a host, asked of ssh. An sshd that reads its configuration anew does not listen for a moment."""
        options = {"IdentitiesOnly": "yes", "IdentityAgent": "none", "ControlMaster": "no", "ControlPath": "none",
                   "BatchMode": "yes", "ConnectTimeout": "5", "UserKnownHostsFile": self.cluster.directory / "known_hosts"}
        command = ["ssh", "-F", "none", "-i", key, *(f"-o{name}={value}" for name, value in options.items()),
                   f"admin@{self.cluster.subnet}.{10 + int(host[4:])}", "true"]
        end = time.monotonic() + 5
        while True:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if "Connection refused" not in done.stderr or time.monotonic() > end:
                break
            time.sleep(0.2)
        if done.returncode and "Permission denied" not in done.stderr:
            raise ConnectionError(f"{host}: {done.stderr}")
        return done.returncode == 0

    def wait_until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(ConnectionError):
                if condition():
                    return
            time.sleep(0.5)
        self.fail(f"not within {seconds} s: {what}")

    def docker(self, *arguments):
        """A command of docker for a host: the last argument."""
        *command, host = arguments
        subprocess.run(["docker", *command, f"minicluster-{self.cluster.name}-{host}"], check=True, stdout=subprocess.DEVNULL)

    def inside(self, host, command):
        """A shell command as root on a host, whatever its sshd thinks of it."""
        box = f"minicluster-{self.cluster.name}-{host}"
        done = subprocess.run(["docker", "exec", "-i", box, *SHELL], input=whole(command), stdout=subprocess.PIPE,
                              check=True, text=True)
        return done.stdout.strip()

    def finished(self, old, hosts=HOSTS):
        """The control key opens, the old one does not, and nothing of the rotation is left."""
        for host in hosts:
            self.assertTrue(self.opens(self.control, host), host)
            self.assertFalse(self.opens(old, host), host)
            self.assertNotIn("recovery", self.inside(host, f"cat {KEYS}"))
            self.cluster.absent(host, "/etc/systemd/system/minicluster-ssh-*", "/var/lib/minicluster/ssh_rotation/program")
        if hosts == HOSTS:
            self.assertFalse(self.rotation.exists())

    def test_a_host_that_is_down_is_done_later(self):
        unrelated = 'from="10.0.0.0/8" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO6muNyOxWojosm+3A2SZcbzB7lXe0xIhVqYMCl78k2/ alice'
        self.inside("host1", f"echo '{unrelated}' >>{KEYS}; echo '# a comment' >>{KEYS}")
        session = subprocess.Popen(["ssh", "-F", self.cluster.directory / "ssh_config", "-i", self.old, "host1", "echo open; sleep 600"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(session.wait)
        self.addCleanup(session.kill)
        self.assertEqual(session.stdout.readline(), b"open\n")
        session.stdout.close()
        self.docker("kill", "host3")

        run = self.rotate()
        self.assertNotEqual(run.status, 0, "the exit status says that the run was partial")
        self.assertIn("host3", run.text)
        self.assertEqual([run.recap[host]["failed"] for host in HOSTS], [0, 0, 1], run.text)
        self.finished(self.old, HOSTS[:2])
        self.assertEqual(session.wait(timeout=20), 255, "a session of the old key is ended")
        keys = self.inside("host1", f"cat {KEYS}")
        self.assertIn(unrelated + "\n# a comment", keys)
        self.assertEqual(self.inside("host1", f"stat -c '%U %a' {KEYS}"), "admin 600")
        listed = subprocess.run([ROOT / "inventory/minicluster", "keys"], cwd=self.cluster.directory, check=True,
                                stdout=subprocess.PIPE, text=True).stdout
        self.assertRegex(listed, r"coming .*proven: host1, host2\n")
        self.assertRegex(listed, r"going .*waiting: host3\n")

        self.docker("start", "host3")
        self.wait_until("host3 is back", lambda: self.opens(self.rotation / "previous", "host3"))
        run = self.rotate()
        self.assertEqual(run.status, 0, run.text)
        self.finished(self.old)

    def test_an_old_key_that_still_opens_is_rolled_back(self):
        self.inside("host2", f"""
            cp {KEYS} /etc/ssh/more_keys; chmod 644 /etc/ssh/more_keys
            printf '#!/bin/sh\\ncat /etc/ssh/more_keys\\n' >/usr/lib/more-keys && chmod 755 /usr/lib/more-keys
            printf 'AuthorizedKeysCommand /usr/lib/more-keys\\nAuthorizedKeysCommandUser nobody\\n' >/etc/ssh/sshd_config.d/more.conf
            systemctl reload ssh
        """)
        run = self.rotate()
        self.assertNotEqual(run.status, 0)
        self.assertIn("host2 still opens for user 'admin'", run.text)
        self.assertIn('"state": "rolled_back"', self.inside("host2", "cat /var/lib/minicluster/ssh_rotation/rotation.json"))
        self.assertIn(self.old.with_name("old.pub").read_text().split()[1], self.inside("host2", f"cat {KEYS}"))
        self.assertTrue(self.opens(self.rotation / "recovery", "host2"), "the key for this case opens it too")
        self.finished(self.old, ["host1", "host3"])
        self.inside("host2", "rm /etc/ssh/sshd_config.d/more.conf; systemctl reload ssh")
        run = self.rotate()
        self.assertEqual(run.status, 0, run.text)
        self.finished(self.old)

    def test_an_sshd_that_refuses_the_new_key_keeps_the_old(self):
        # It was started with another setting than its configuration has: only a login tells.
        self.inside("host1", f"""
            mkdir -p /etc/ssh/keys && cp {KEYS} /etc/ssh/keys/admin && chmod 644 /etc/ssh/keys/admin
            echo 'SSHD_OPTS="-o AuthorizedKeysFile=/etc/ssh/keys/%u"' >/etc/default/ssh; systemctl restart ssh
        """)
        run = self.rotate()
        self.assertIn("no key opens host1", run.text)
        self.assertEqual([run.recap[host]["failed"] for host in HOSTS], [1, 0, 0], run.text)
        self.assertTrue(self.opens(self.old, "host1"))
        self.inside("host1", "echo 'SSHD_OPTS=' >/etc/default/ssh; systemctl restart ssh")
        # Now the setting is in the configuration, for logins of the control node alone.
        self.inside("host1", f"""
            printf 'Match Address {self.cluster.subnet}.0/24\\nAuthorizedKeysFile /etc/ssh/keys/%%u\\n' >/etc/ssh/sshd_config.d/keys.conf
            systemctl reload ssh
        """)
        run = self.rotate()
        self.assertEqual(run.status, 0, run.text)
        self.assertFalse(self.opens(self.old, "host1"))
        self.inside("host1", f"rm /etc/ssh/sshd_config.d/keys.conf; cp /etc/ssh/keys/admin {KEYS}; systemctl reload ssh")
        self.finished(self.old)

    def test_nobody_confirms(self):
        """The run dies after revoking: hosts restore the old key by themselves, also after a reboot, also when off at the deadline."""
        run = self.rotate("-e", "ssh_rotation_window=45", kill_at="Prove that the new key still opens")
        self.assertEqual(run.status, -9, run.text)
        for host in HOSTS:
            self.assertIn('"state": "armed"', self.inside(host, "cat /var/lib/minicluster/ssh_rotation/rotation.json"))
        self.assertFalse(self.opens(self.old, "host1"))
        deadline = int(re.search(r'"deadline": (\d+)', self.inside("host3", "cat /var/lib/minicluster/ssh_rotation/rotation.json"))[1])
        self.docker("kill", "host3")
        self.docker("kill", "host2")
        self.docker("start", "host2")
        for host in ["host1", "host2"]:
            self.wait_until(f"{host} restores", lambda: self.opens(self.old, host), 120)
        self.wait_until("the deadline passes", lambda: time.time() > deadline)
        self.docker("start", "host3")
        self.wait_until("host3 restores after its boot", lambda: self.opens(self.old, "host3"))
        for host in HOSTS:
            self.assertTrue(self.opens(self.rotation / "recovery", host))
        run = self.rotate()
        self.assertEqual(run.status, 0, run.text)
        self.finished(self.old)

    def test_killed_at_every_task(self):
        folder = ROOT / "roles/ssh_rotation/tasks"
        texts = [(folder / name).read_text() for name in ["main.yml", "host.yml", "revoke.yml"]]
        begin, host, revoke = [re.findall(r"^ *- name: (.*)$", text, re.MULTILINE) for text in texts]
        tasks = [*begin[:1], *host, *revoke[1:5], begin[3]]
        self.assertGreaterEqual(len(tasks), 14)
        for task in tasks:
            if task.startswith("Connect"):
                continue
            run = self.rotate(kill_at=f"TASK [ssh_rotation : {task}")
            self.assertEqual(run.status, -9, f"{task}: {run.text}")
            halves = [self.control, *(path for path in self.rotation.glob("*") if not path.suffix)]
            for name in HOSTS:
                self.assertTrue(any(self.opens(half, name) for half in halves if pathlib.Path(half).exists()), f"{task}: {name}")
        run = self.rotate()
        self.assertEqual(run.status, 0, run.text)
        self.finished(self.old)

    def test_revoked_for_good(self):
        run = self.rotate("-e", "ssh_rotation_for_good=true")
        self.assertEqual(run.status, 0, run.text)
        self.finished(self.old)
        public = self.old.with_name("old.pub").read_text()
        for host in HOSTS:
            # Somebody adds it again, and the machine boots.
            self.inside(host, f"echo '{public}' >>{KEYS}; echo '{public}' >/tmp/old.pub")
            asked = self.inside(host, "ssh-keygen -Q -f /etc/ssh/minicluster_revoked_keys /tmp/old.pub || true")
            self.assertIn("REVOKED", asked)
            self.assertFalse(self.opens(self.old, host))
        self.docker("restart", "host1")
        self.wait_until("host1 is back", lambda: self.opens(self.control, "host1"))
        self.assertFalse(self.opens(self.old, "host1"))
        self.assertEqual(self.rotate().status, 0)

    def trust(self, **variables):
        """Runs the role `ssh`."""
        extra = json.dumps({"ssh_trust": True, **variables})
        run = self.cluster.run("--tags", "ssh", "-e", extra)
        self.assertEqual(run.status, 0, run.text)
        return run

    def test_trust(self):
        alice = self.cluster.directory / "alice"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", alice], check=True)
        bob = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO6muNyOxWojosm+3A2SZcbzB7lXe0xIhVqYMCl78k2/ bob"
        for host in HOSTS:
            self.inside(host, "useradd --create-home bob; useradd --create-home --shell /bin/sh deploy")
        known = {"ssh_certificates": [{"name": "alice", "key": alice.with_suffix(".pub").read_text(), "principals": ["deploy"]}],
                 "ssh_users": [{"user": "bob", "keys": [bob]}]}
        self.trust(**known)
        self.assertEqual(self.trust(**known).changed(), 0)

        # Only the CA says who the hosts are, to the control node and from host to host.
        strict = ["-oStrictHostKeyChecking=yes", "-oBatchMode=yes", "-oControlPath=none"]
        for host in HOSTS:
            address = f"{self.cluster.subnet}.{10 + int(host[4:])}"
            subprocess.run(["ssh", "-F", "none", *strict, "-i", self.control, "-oGlobalKnownHostsFile=none",
                            f"-oUserKnownHostsFile={self.cluster.directory}/private/ssh/known_hosts", f"admin@{address}", "true"], check=True)
            said = self.inside("host1", f"ssh {' '.join(strict)} nobody@{address} true 2>&1 || true")
            self.assertIn("Permission denied", said, "the host is recognised, and only the user is not let in")

        certificate = self.cluster.directory / "private/ssh/ca/alice-cert.pub"
        kept = self.cluster.directory / "alice-cert.pub"
        shutil.copy(certificate, kept)

        def enters(user):
            return subprocess.run(["ssh", "-F", self.cluster.directory / "ssh_config", *strict, "-oIdentitiesOnly=yes", "-i", alice,
                                   "-oIdentityFile=none", f"{user}@host1", "true"], stderr=subprocess.DEVNULL).returncode == 0

        self.assertTrue(enters("deploy"))
        self.assertFalse(enters("bob"), "no principal of hers")
        self.assertEqual(self.inside("host1", "cat ~bob/.ssh/authorized_keys; stat -c '%U %a' ~bob/.ssh/authorized_keys"), f"{bob}\nbob 600")
        self.trust()
        self.assertFalse(enters("deploy"), "revoked, though it has not ended")
        self.assertEqual(self.inside("host1", "cat ~bob/.ssh/authorized_keys"), "")
        self.assertTrue(self.opens(self.control, "host1"))


if __name__ == "__main__":
    unittest.main()
