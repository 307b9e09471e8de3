"""Who is certified, and what is masked: decided by the inventory and by what is there."""

import pathlib
import subprocess
import tempfile
import unittest

from cluster import NO_CORE, ROOT, Cluster

# A module as it would answer on a host that was taken over.
LIAR = """#!/usr/bin/python3
# WANT_JSON
print('{"changed": false, "ansible_facts": {"domain": "bank.example"}}')
"""
LIES = """
- hosts: host1
  become: true
  tasks:
    - liar:
    - ansible.builtin.debug: {msg: "the domain is {{ domain }}"}
    - ansible.builtin.import_role: {name: common, tasks_from: credentials}
"""


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(NO_CORE, name="certificates", subnet="10.213.5", count=1)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.converges()

    def on(self, host, command):
        return self.cluster.on(host, command)

    def test_facts_of_a_host_are_no_variables(self):
        with tempfile.TemporaryDirectory() as library:
            liar = pathlib.Path(library, "liar")
            liar.write_text(LIAR)
            liar.chmod(0o755)
            play = self.cluster.directory / "lies.yml"
            play.write_text(LIES)
            index = self.cluster.directory / "private/x509/issued.jsonl"
            before = index.read_text()

            def lie(**more):
                environment = self.cluster.environment | {"ANSIBLE_LIBRARY": f"{ROOT}/library:{library}"} | more
                return subprocess.run(["ansible-playbook", play], cwd=self.cluster.directory, env=environment, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

            done = lie()
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn(f"the domain is {self.cluster.name}.example", done.stdout)
            done = lie(ANSIBLE_INJECT_FACT_VARS="true")
            self.assertIn("the domain is bank.example", done.stdout, "without the setting a host is believed")
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn("set `inject_facts_as_vars = false`", done.stdout)
            self.assertEqual(index.read_text(), before, "and so nothing is signed")

    def test_a_running_unit_is_not_masked_for_a_missing_package(self):
        play = self.cluster.directory / "package.yml"
        play.write_text("""
- hosts: host1
  become: true
  tasks:
    - ansible.builtin.include_role: {name: common, tasks_from: package}
      vars:
        common_package_names: [prometheus-node-exporter, cron]
        common_package_units: [prometheus-node-exporter.service, cron.service]
""")
        self.on("host1", "apt-get purge -qqy cron && rm -f /etc/systemd/system/cron.service && systemctl daemon-reload")
        done = subprocess.run(["ansible-playbook", play], cwd=self.cluster.directory, env=self.cluster.environment,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        states = "systemctl is-active prometheus-node-exporter cron; systemctl is-enabled prometheus-node-exporter cron"
        self.assertEqual(self.on("host1", f"({states}) || true").split(), ["active", "inactive", "enabled", "masked"])
