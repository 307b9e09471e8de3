"""No single host ends the run: dead ones, failing ones, left out ones."""

import unittest

from cluster import HELLO, HOSTS, NO_CORE, shared

SERVICES = NO_CORE + HELLO + """
lonely:
  num_instances: 1
marked:
  num_instances: 2
"""


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = shared()
        cls.cluster.write_services(SERVICES)
        cls.cluster.converges()

    def greeting(self, host):
        """What the service there answers."""
        ask = "curl -sS --fail --retry 20 --retry-delay 1 --retry-connrefused --cacert ca.pem"
        return self.cluster.on_credentials(
            host, f"{ask} --cert hello/client/cert.pem --key hello/client/private_key.pem https://localhost:8443/")

    def test_dead_hosts_in_each_position(self):
        """The first, the last, the only one of a service: in two runs each host is dead once, and once survives."""
        cluster = self.cluster
        for hosts, dead in [(HOSTS[::2], cluster.unplugged), (HOSTS[1::2], cluster.dead)]:
            with self.subTest(dead=hosts), dead(*hosts):
                word = "Without-" + "-".join(hosts)
                run = cluster.run("--extra-vars", f"hello_greeting={word}")
                self.assertNotEqual(run.status, 0, "the exit status says that the run was partial")
                for host in HOSTS:
                    count = run.recap[host]
                    self.assertEqual((count["unreachable"], count["failed"]), (host in hosts, 0), run.text)
                    self.assertEqual(f"[{host}]" in run.play("Turn down"), host not in hosts, "later plays run")
                for host in set(cluster.placed("hello")) - set(hosts):
                    self.assertIn(word, self.greeting(host))
        cluster.converges()
        run = cluster.converges()
        self.assertEqual(run.changed(), 0, run.text)

    def test_a_failing_service_with_one_instance(self):
        cluster = self.cluster
        (host,) = cluster.placed("lonely")
        run = cluster.run("--extra-vars", "lonely_breaks=true hello_greeting=Lonely")
        self.assertEqual(run.status, 2, run.text)
        self.assertEqual({name for name, it in run.recap.items() if it["failed"]}, {host}, run.text)
        for other in set(HOSTS) - {host}:
            self.assertIn(f"[{other}]", run.play("Turn down"), "later plays run")
        for other in set(cluster.placed("hello")) - {host}:
            self.assertIn("Lonely", self.greeting(other))
        cluster.converges()

    def test_a_global_role_runs_everywhere(self):
        cluster = self.cluster
        marked = [host for host in HOSTS if cluster.on(host, "test -e /etc/marked && echo marked || true")]
        self.assertEqual(marked, sorted(cluster.placed("marked")))
        extra = (set(HOSTS) - set(marked)).pop()
        cluster.on(extra, "touch /etc/marked")
        self.assertEqual(cluster.run("--tags", "marked").changed(), 1)
        cluster.on(extra, "test ! -e /etc/marked")

    def test_limit_leaves_the_others_and_their_places_alone(self):
        before = self.cluster.lock()
        self.cluster.write_services(SERVICES + "later: {num_instances: 1, role: none}\n")
        self.addCleanup(self.cluster.write_services, SERVICES)
        run = self.cluster.run("--limit", "host5")
        self.assertEqual(run.status, 0, run.text)
        self.assertEqual(set(run.recap) - {"localhost"}, {"host5"})
        for line in before.splitlines():
            self.assertIn(line, self.cluster.lock(), "what ran before keeps its place")

    def test_a_mistake_in_services_yml_stops_before_any_host(self):
        self.cluster.write_services("hello:\n  num_instance: 2\n")
        self.addCleanup(self.cluster.write_services, SERVICES)
        run = self.cluster.run()
        self.assertEqual(run.status, 1, run.text)
        self.assertIn("services.yml:2:3: unknown attribute 'num_instance'", run.text)
        self.assertNotIn("PLAY [", run.text)

    def test_without_a_domain_the_first_task_says_where_it_belongs(self):
        hosts = self.cluster.directory / "hosts"
        text = hosts.read_text()
        self.addCleanup(hosts.write_text, text)
        hosts.write_text("".join(line for line in text.splitlines(True) if not line.startswith("domain=")))
        run = self.cluster.run()
        self.assertEqual(run.status, 2, run.text)
        self.assertIn("group_vars/all beside the playbook", run.text)
        self.assertNotIn("PLAY [Prepare", run.text)
