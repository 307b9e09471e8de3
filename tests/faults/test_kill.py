"""A run that is killed, wherever, is finished by the next one."""

import re
import unittest

from cluster import HELLO, HOSTS, ROOT, Cluster

# etcd stays: a cluster that is founded twice would be the worst outcome of a killed run.
SERVICES = HELLO + "prometheus: {enabled: false}\nalertmanager: {enabled: false}\n"


class Kill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(SERVICES)
        cls.addClassCleanup(cls.cluster.close)

    def test_at_every_play_from_nothing(self):
        plays = re.findall(r"^- name: (.*)$", (ROOT / "site.yml").read_text(), re.MULTILINE)
        self.assertGreaterEqual(len(plays), 5)
        for play in plays:
            run = self.cluster.run(kill_at=f"PLAY [{play}")
            self.assertEqual(run.status, -9, run.text)
        self.finished()

    def test_while_it_works(self):
        for task in ["Install its certificates", "Write the users and groups", "Run the server"]:
            with self.subTest(task=task):
                self.cluster.on("host1", "rm -rf /etc/credentials/x509/node-exporter")
                self.cluster.run("--extra-vars", "hello_greeting=Killed", kill_at=task)
                self.finished()

    def finished(self):
        """The next run completes, the one after it has nothing to do, and the services answer."""
        run = self.cluster.run()
        self.assertEqual(run.status, 0, run.text)
        run = self.cluster.run()
        self.assertEqual((run.status, run.changed()), (0, 0), run.text)
        for host in HOSTS:
            self.cluster.on(host, "systemctl is-active prometheus-node-exporter; systemctl is-system-running")
        for host in self.cluster.running("hello"):
            self.cluster.on(host, "cd /etc/credentials/x509 && curl -sS --fail --cacert ca.pem "
                            "--cert hello/client/cert.pem --key hello/client/private_key.pem https://localhost:8443/")
