"""No single host ends the run: dead ones, failing ones, left out ones."""

import unittest

from cluster import HELLO, HOSTS, NO_CORE, Cluster

SERVICES = NO_CORE + HELLO + """
lonely:
  num_instances: 1
marked:
  num_instances: 2
"""


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(SERVICES)
        cls.addClassCleanup(cls.cluster.close)
        first = cls.cluster.run()
        assert first.status == 0, first.text

    def converges(self):
        run = self.cluster.run()
        self.assertEqual(run.status, 0, run.text)
        return run

    def greeting(self, host):
        return self.cluster.on(host, "grep -o '\"[^\"]*{socket.gethostname()}' /usr/local/bin/hello")

    def test_a_dead_host_in_each_position(self):
        for dead in HOSTS:
            with self.subTest(dead=dead), self.cluster.dead(dead):
                run = self.cluster.run("--extra-vars", f"hello_greeting=Without-{dead}")
                self.assertNotEqual(run.status, 0, "the exit status says that the run was partial")
                self.assertEqual(run.recap[dead]["unreachable"], 1, run.text)
                for alive in HOSTS:
                    if alive != dead:
                        self.assertEqual((run.recap[alive]["unreachable"], run.recap[alive]["failed"]), (0, 0), run.text)
                        self.assertIn(f"[{alive}]", run.play("Turn down"), "later plays run")
                for host in self.cluster.running("hello"):
                    if host != dead:
                        self.assertIn(f"Without-{dead}", self.greeting(host))
        self.converges()
        self.assertEqual(self.converges().changed(), 0)

    def test_a_failing_service_with_one_instance(self):
        (host,) = self.cluster.running("lonely")
        run = self.cluster.run("--extra-vars", "lonely_breaks=true hello_greeting=Lonely")
        self.assertEqual(run.status, 2, run.text)
        self.assertEqual({name for name, it in run.recap.items() if it["failed"]}, {host}, run.text)
        for other in set(HOSTS) - {host}:
            self.assertIn(f"[{other}]", run.play("Turn down"), "later plays run")
        for other in set(self.cluster.running("hello")) - {host}:
            self.assertIn("Lonely", self.greeting(other))
        self.converges()
        self.assertEqual(self.converges().changed(), 0)

    def test_a_global_role_runs_everywhere(self):
        marked = [host for host in HOSTS if self.cluster.on(host, "test -e /etc/marked && echo marked || true")]
        self.assertEqual(marked, sorted(self.cluster.running("marked")))
        extra = (set(HOSTS) - set(marked)).pop()
        self.cluster.on(extra, "touch /etc/marked")
        self.assertEqual(self.cluster.run("--tags", "marked").changed(), 1)
        self.cluster.on(extra, "test ! -e /etc/marked")

    def test_limit_leaves_the_others_and_their_places_alone(self):
        before = self.cluster.lock()
        self.cluster.write_services(SERVICES + "later: {num_instances: 1}\n")
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
