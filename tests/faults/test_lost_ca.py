"""A CA that has expired, and one that is lost: the new one is trusted by nobody who runs yet."""

import shutil
import unittest

from cluster import Cluster

HOSTS = ["host1", "host2", "host3"]
SERVICES = "prometheus: {enabled: false}\nalertmanager: {enabled: false}\n"


class LostCa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(SERVICES, name="lost-ca", subnet="10.213.10", count=len(HOSTS), converged=True)
        cls.addClassCleanup(cls.cluster.close)
        cls.on = cls.cluster.on_credentials

    def test_etcd_goes_on_with_a_ca_that_no_member_trusts_yet(self):
        cluster = self.cluster
        self.on("host1", "minicluster-etcdctl put which one")
        self.lose_the_ca()
        # It may end before etcd has restarted.
        cluster.run("--extra-vars", "common_ca_new=true common_ca_lifetime=90s")
        self.on("host1", "while openssl x509 -noout -checkend 0 -in ca.pem; do sleep 1; done >/dev/null")
        self.on("host1", "if minicluster-etcdctl endpoint health 2>&1; then exit 1; fi")
        expired = self.on("host1", "openssl x509 -noout -ext subjectKeyIdentifier -in ca.pem | tail -n 1 | tr -d ': \\n'")
        cluster.converges("--extra-vars", f"common_ca_replace={expired}")
        self.etcd_serves()

        self.lose_the_ca()
        cluster.converges("--extra-vars", "common_ca_new=true")
        self.assertEqual(self.on("host1", "grep -c BEGIN ca.pem").strip(), "1")
        self.etcd_serves()
        self.assertEqual(cluster.converges().changed(), 0)

    def lose_the_ca(self):
        shutil.rmtree(self.cluster.directory / "private/x509")

    def etcd_serves(self):
        """On every host, a client with what lies there by now."""
        for host in HOSTS:
            self.on(host, "minicluster-etcdctl endpoint health 2>&1")
            self.assertEqual(self.on(host, "minicluster-etcdctl get --print-value-only which").strip(), "one")
            self.assertEqual(len(self.on(host, "minicluster-etcdctl member list").splitlines()), len(HOSTS))
