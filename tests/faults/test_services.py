"""A service that is deleted is turned down: stopped, without credentials, its data kept."""

import unittest

from cluster import HELLO, HOSTS, NO_CORE, Cluster


class Turndown(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(NO_CORE + HELLO)
        cls.addClassCleanup(cls.cluster.close)
        first = cls.cluster.run()
        assert first.status == 0, first.text

    def test_moved_then_deleted(self):
        cluster = self.cluster
        before = cluster.running("hello")
        for host in before:
            cluster.on(host, "touch /var/lib/hello/precious; systemctl is-active hello")

        # The hosts it runs on are no longer allowed: it moves.
        others = [host for host in HOSTS if host not in before]
        hosts = (cluster.directory / "hosts").read_text()
        (cluster.directory / "hosts").write_text(hosts + "\n[elsewhere]\n" + "\n".join(others[:2]) + "\n")
        cluster.write_services(NO_CORE + HELLO + "  scheduling_group: elsewhere\n")
        run = cluster.run()
        self.assertEqual(run.status, 0, run.text)
        self.assertEqual(sorted(cluster.running("hello")), sorted(others[:2]))
        for host in others[:2]:
            self.assertEqual(cluster.on(host, "systemctl is-active hello"), "active")
        for host in before:
            self.gone(host)

        # Deleted from services.yml: what is left is found through the hosts' ledgers.
        cluster.write_services(NO_CORE)
        run = cluster.run()
        self.assertEqual(run.status, 0, run.text)
        for host in others[:2]:
            self.gone(host)
        self.assertEqual(cluster.run().changed(), 0)
        for host in before:
            cluster.on(host, "test -e /var/lib/hello/precious")

    def gone(self, host):
        self.cluster.on(host, """
            ! systemctl is-active --quiet hello
            ! systemctl is-enabled --quiet hello 2>/dev/null
            test ! -e /etc/credentials/x509/hello
            test ! -e /usr/local/bin/hello
            ! ss -Hltn | grep -q :8443
        """)
