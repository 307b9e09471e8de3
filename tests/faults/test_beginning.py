"""A run that is killed, wherever, is finished by the next one: from virgin hosts to a cluster."""

import re
import unittest

from cluster import HELLO, HOSTS, ROOT, shared

# etcd is part of it: a cluster that is founded twice would be the worst outcome of a killed run.
SERVICES = HELLO + "prometheus: {enabled: false}\nalertmanager: {enabled: false}\n"
# Beside the beginning of each play: tasks in the middle of one.
TASKS = {
    "Prepare every host": ["Create missing users and groups", "Install the certificates"],
    "Run the core services": ["Start with existing data, or found the cluster"],
    "Run the operator's services": ["Write the files and run the units of hello"],
}


class Beginning(unittest.TestCase):
    def test_killed_again_and_again_it_becomes_a_cluster(self):
        cluster = shared(virgin=True)
        cluster.write_services(SERVICES)
        plays = re.findall(r"^- name: (.*)$", (ROOT / "site.yml").read_text(), re.MULTILINE)
        self.assertEqual(set(TASKS) - set(plays), set())
        self.assertGreaterEqual(len(plays), 5)
        for play in plays:
            for moment in [f"PLAY [{play}", *TASKS.get(play, [])]:
                run = cluster.run(kill_at=moment)
                self.assertEqual(run.status, -9, f"killed at {moment}: {run.text}")

        self.assertEqual(cluster.converges().status, 0)
        run = cluster.converges()
        self.assertEqual(run.changed(), 0, run.text)
        for host in HOSTS:
            cluster.on(host, "systemctl is-active prometheus-node-exporter; systemctl is-system-running")
        members = [cluster.on(host, "minicluster-etcdctl endpoint health --cluster >&2; minicluster-etcdctl member list")
                   for host in cluster.placed("etcd")]
        self.assertEqual([len(it.splitlines()) for it in members], [3, 3, 3], members)
        self.assertEqual(len({frozenset(it.splitlines()) for it in members}), 1, "they are one cluster")
        for host in cluster.placed("hello"):
            cluster.on(host, "cd /etc/credentials/x509 && curl -sS --fail --cacert ca.pem "
                       "--cert hello/client/cert.pem --key hello/client/private_key.pem https://localhost:8443/")
