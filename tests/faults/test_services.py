"""What moves away or is deleted is turned down: stopped, without credentials, its data kept; never too early."""

import unittest

from cluster import HELLO, HOSTS, NO_CORE, shared

# What a move needs: certificates, the service's role, turndown.
MOVE = ["--tags", "credentials,hello,turndown"]


class Turndown(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = shared()
        cls.cluster.write_services(NO_CORE + HELLO)
        cls.cluster.converges()

    def test_moved_while_hosts_are_dead_then_deleted(self):
        cluster = self.cluster
        before = cluster.placed("hello")
        absent, present = before
        others = [host for host in HOSTS if host not in before]
        late, ready = others[:2]
        for host in before:
            cluster.on(host, "touch /var/lib/hello/precious; systemctl is-active hello")

        # The hosts it runs on are no longer allowed: it moves. One new host is dead, and one old.
        hosts = (cluster.directory / "hosts").read_text()
        self.addCleanup((cluster.directory / "hosts").write_text, hosts)
        (cluster.directory / "hosts").write_text(f"{hosts}\n[elsewhere]\n{late}\n{ready}\n")
        cluster.write_services(NO_CORE + HELLO + "  scheduling_group: elsewhere\n")
        with cluster.dead(absent, late):
            self.assertEqual(self.unreachable(cluster.run(*MOVE)), {absent, late})
            self.assertEqual(cluster.placed("hello"), [late, ready])
            self.runs(ready)
            self.runs(present)
            self.assertIn(f"hello {present} leaving", cluster.lock(), "a run with --tags is not the whole story")
        with cluster.dead(absent):
            self.assertEqual(self.unreachable(cluster.run(*MOVE)), {absent})
            self.runs(late)
            self.runs(ready)
            self.gone(present)
        numbers = {cluster.on(host, "id -u hello; id -g hello") for host in before + [late, ready]}
        self.assertEqual(len(numbers), 1, "each host has the number of services.lock")
        uid, gid = map(int, numbers.pop().split())
        self.assertTrue(uid == gid and 400 <= uid <= 899, f"{uid}, {gid}")
        self.assertIn(f"uid hello {uid}", cluster.lock())
        # It comes back with the service it once had, which is elsewhere now.
        self.runs(absent)
        cluster.converges(*MOVE)
        self.gone(absent)

        # Deleted from services.yml: what is left is found through the hosts' ledgers.
        cluster.write_services(NO_CORE)
        refused = cluster.run(*MOVE)
        self.assertIn("names no service of your own, but", refused.text)
        self.assertNotIn("PLAY [Prepare", refused.text)
        meant = ["--extra-vars", "services_remove_all=true"]
        cluster.converges(*MOVE, *meant)
        for host in [late, ready]:
            self.gone(host)
        for host in before:
            cluster.on(host, "test -e /var/lib/hello/precious")
        cluster.converges(*meant)
        self.assertNotIn("leaving", cluster.lock(), "a whole run has nothing left to turn down")
        self.assertIn(f"uid hello {uid}", cluster.lock(), "its number stays its own")
        run = cluster.converges()
        self.assertEqual(run.changed(), 0, run.text)

    @staticmethod
    def unreachable(run):
        return {host for host, count in run.recap.items() if count["unreachable"]}

    def runs(self, host):
        self.cluster.on(host, "systemctl is-active hello; test -e /etc/credentials/x509/hello/server/cert.pem")

    def gone(self, host):
        self.assertEqual(self.cluster.on(host, "systemctl show --property ActiveState --value hello"), "inactive")
        self.assertIn(self.cluster.on(host, "systemctl show --property UnitFileState --value hello"), ["", "disabled"])
        self.cluster.absent(host, "/etc/credentials/x509/hello", "/usr/local/bin/hello")
        self.assertNotIn(":8443 ", self.cluster.on(host, "ss -Hltn"))
