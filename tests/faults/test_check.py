"""What `--check` says will change is what the run right after it changes: the same tasks on the same hosts."""

import json
import re
import unittest

from cluster import HELLO, Cluster

SERVICES = HELLO + """
prometheus: {enabled: false}
alertmanager: {enabled: false}
"""
WEB = """
web:
  num_instances: 1
  service_credentials: [{name: web}]
"""
HOSTS = ["host1", "host2", "host3", "host4"]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice"


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(SERVICES, name="check", subnet="10.213.14", count=len(HOSTS), prepared=True)
        cls.addClassCleanup(cls.cluster.close)
        cls.hosts = cls.cluster.directory / "hosts"
        cls.everyone = cls.hosts.read_text() + "ssh_trust=True\n"
        cls.hosts.write_text(cls.everyone)
        cls.rows, cls.differences = [], []

    def same(self, row, *arguments):
        """A row of the table: what a check predicts, and what the run after it does."""
        predicted = self.cluster.changes("--check", *arguments)
        done = self.cluster.changes(*arguments)
        self.rows.append((row, done.total()))
        print(f"\n  {row:34}{done.total():4} changes  {'equal' if predicted == done else 'DIFFERENT'}", end=" ", flush=True)
        self.differences += [f"{row}: not predicted: {host}: {task}" for task, host in (done - predicted).elements()]
        self.differences += [f"{row}: predicted only: {host}: {task}" for task, host in (predicted - done).elements()]

    def test_check_says_what_the_run_does(self):
        cluster = self.cluster
        for host in HOSTS:
            cluster.on(host, "useradd --create-home alice")
        cluster.converges("--extra-vars", self.users(KEY))
        alice = ["--extra-vars", self.users(KEY)]
        self.same("nothing", *alice)
        self.same("an SSH user removed", "--extra-vars", self.users())
        self.same("changed configuration", "--extra-vars", "hello_greeting=Changed")
        self.same("changed configuration of etcd", "--extra-vars", "etcd_snapshots_kept=9")
        cluster.converges()
        cluster.write_services(SERVICES.replace("{name: hello}", "{name: hello, extra_san: [www2]}"))
        self.same("extra_san")
        cluster.write_services(SERVICES + WEB)
        self.same("a new service")
        (old,) = cluster.placed("web")
        new = "host4" if old == "host3" else "host3"
        self.hosts.write_text(f"{self.everyone}\n[elsewhere]\n{new}\n")
        cluster.write_services(SERVICES + WEB + "  scheduling_group: elsewhere\n")
        self.same("a moved instance")
        cluster.write_services(SERVICES)
        self.same("a service turned down")

        self.hosts.write_text(self.everyone.replace("host4 ", "# host4 "))
        self.same("a host out")
        self.hosts.write_text(self.everyone)
        self.same("a host back")
        cluster.docker("rm", "--force", f"minicluster-{cluster.name}-host4")
        cluster.up()
        self.same("a host rebuilt")

        old = cluster.on("host1", "openssl x509 -noout -ext subjectKeyIdentifier -in /etc/credentials/x509/ca.pem")
        replace = ["--extra-vars", "common_ca_replace=" + re.sub(r"[:\s]", "", old.splitlines()[-1])]
        for step in ["both CAs trusted", "new certificates", "the old CA goes", "done"]:
            self.same(f"CA replacement: {step}", *replace)
        self.assertEqual(self.rows[-1][1], 0, "the replacement has more steps")
        self.assertEqual(self.differences, [])

    @staticmethod
    def users(*keys):
        """Alice, who may log in as `admin` with a certificate and as `alice` with her key; or nobody."""
        certificates = [{"name": "alice", "key": key, "principals": ["admin"]} for key in keys]
        return json.dumps({"ssh_certificates": certificates, "ssh_users": [{"user": "alice", "keys": [key]} for key in keys]})
