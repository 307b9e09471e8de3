"""DNS of the cluster: what runs is there, what stopped or died is not, and etcd, the daemon and hosts may be away."""

import contextlib
import json
import subprocess
import time
import unittest

from cluster import HELLO, Cluster

HEALTH = "  health: {path: /, port: 8443, interval: 1, timeout: 1}\n"
DISCOVERY = HELLO + HEALTH + "discovery: {enabled: true}\n"


class Discovery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(HELLO, name="discovery", subnet="10.213.16", count=3, converged=True)
        cls.addClassCleanup(cls.cluster.close)
        # A cluster that has been there turns it on.
        cls.cluster.write_services(DISCOVERY)
        predicted, changed = cls.cluster.changes("--check"), cls.cluster.changes()
        assert predicted == changed and changed, f"check and run differ: {predicted - changed} {changed - predicted}"
        again = cls.cluster.changes()
        assert not again, again
        cls.domain = json.loads(cls.cluster.on("host1", "cat /etc/minicluster/discovery.json"))["domain"]
        cls.keys = "/".join(["/skydns", *reversed(cls.domain.split(".")), "hello"])
        cls.hello = cls.cluster.placed("hello")
        cls.idle = next(it for it in ["host1", "host2", "host3"] if it not in cls.hello)

    def dig(self, host, *arguments):
        """What the daemon of a host answers, asked by this machine's dig in that host's network."""
        box = f"minicluster-{self.cluster.name}-{host}"
        process = subprocess.run(["docker", "inspect", "--format", "{{.State.Pid}}", box], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.strip()
        command = ["nsenter", "--target", process, "--net", "dig", "@127.0.0.55", "+tries=1", "+time=10", *arguments]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def answer(self, host, name, kind="A"):
        return sorted(self.dig(host, "+short", f"{name}.{self.domain}", kind).split("\n"))[1:]

    def addresses(self, hosts):
        return sorted(map(self.cluster.address, hosts))

    def becomes(self, host, name, hosts, patience):
        """Waits until a name stands for these hosts; returns how long that took."""
        began = time.monotonic()
        while (found := self.answer(host, name)) != self.addresses(hosts):
            self.assertLess(time.monotonic() - began, patience, f"{name} on {host}: {found}")
        return time.monotonic() - began

    def test_every_name_is_answered_on_every_host(self):
        for host in ["host1", "host2", "host3"]:
            self.becomes(host, "hello", self.hello, 15)
            self.assertEqual(self.answer(host, "hello", "SRV"),
                             sorted(f"10 10 8443 {it}.{self.domain}." for it in self.hello))
        one = self.hello[0]
        self.assertEqual(self.answer("host1", f"{one}.hello"), self.addresses([one]))
        self.assertEqual(self.answer("host1", self.idle), self.addresses([self.idle]))
        self.assertEqual(len(self.answer("host1", "etcd")), 3)
        self.assertEqual(self.dig("host1", "+short", "-x", self.cluster.address(one)).strip(), f"{one}.{self.domain}.")
        # A client of libc, and a server that is found by its name.
        self.assertIn(self.cluster.address(one), self.cluster.on("host1", f"getent ahosts hello.{self.domain}"))
        # The certificate is for the name.
        self.cluster.on(one, f"""cd /etc/credentials/x509
curl --silent --show-error --cacert ca.pem --cert hello/client/cert.pem --key hello/client/private_key.pem \
  https://hello.{self.domain}:8443/""")

    def test_other_names_go_to_the_resolvers_that_the_host_had(self):
        # Docker's resolver knows the hosts by the names of their containers.
        box = f"minicluster-{self.cluster.name}-host2"
        self.assertIn(self.cluster.address("host2"), self.cluster.on("host1", f"getent ahosts {box}"))
        self.assertEqual(self.cluster.on("host1", "grep -c ^nameserver /etc/resolv.conf"), "1")
        self.assertEqual(self.dig("host1", "+short", "+tcp", box).strip(), self.cluster.address("host2"))

    def test_a_service_that_stops_is_gone_within_two_seconds_and_comes_back(self):
        one, other = self.hello
        self.becomes(self.idle, "hello", self.hello, 15)
        self.cluster.on(one, "systemctl stop hello.service")
        took = self.becomes(self.idle, "hello", [other], 2)
        self.cluster.on(one, "systemctl start hello.service")
        back = self.becomes(self.idle, "hello", self.hello, 5)
        # One that is killed, and is back at once, or not.
        self.cluster.on(one, "systemctl kill --signal=KILL hello.service")
        self.becomes(self.idle, "hello", self.hello, 10)
        print(f"gone after {took:.2f} s, back after {back:.2f} s", flush=True)

    def test_a_service_that_hangs_is_gone_until_it_answers_again(self):
        one, other = self.hello
        self.becomes(self.idle, "hello", self.hello, 15)
        self.cluster.on(one, "systemctl kill --signal=STOP hello.service")
        self.becomes(self.idle, "hello", [other], 10)
        self.cluster.on(one, "systemctl is-active hello.service; systemctl kill --signal=CONT hello.service")
        self.becomes(self.idle, "hello", self.hello, 10)

    def test_a_host_that_dies_is_gone_within_fifteen_seconds(self):
        one, other = self.hello
        self.becomes(self.idle, "hello", self.hello, 15)
        with self.cluster.dead(one):
            took = self.becomes(self.idle, "hello", [other], 15)
            self.assertEqual(self.answer(self.idle, one), self.addresses([one]))
        self.becomes(self.idle, "hello", self.hello, 60)
        print(f"gone after {took:.2f} s", flush=True)

    def test_names_are_answered_while_etcd_is_away(self):
        hosts = ["host1", "host2", "host3"]
        for host in hosts:
            self.becomes(host, "hello", self.hello, 15)
        with contextlib.ExitStack() as after:
            for host in hosts:
                self.cluster.on(host, "systemctl stop etcd.service")
                after.callback(self.cluster.on, host, "systemctl start --no-block etcd.service")
            # From its disk, too.
            self.cluster.on(self.idle, "systemctl restart minicluster-discovery.service")
            for host in hosts:
                self.assertEqual(self.answer(host, "hello"), self.addresses(self.hello))
            self.assertIn("minicluster_discovery_etcd_connected 0", self.cluster.on(self.idle, "curl --silent http://127.0.0.1:19153/metrics"))
            self.cluster.on(self.hello[0], "systemctl stop hello.service")
        self.becomes(self.idle, "hello", self.hello[1:], 60)
        self.cluster.on(self.hello[0], "systemctl start hello.service")
        self.becomes(self.idle, "hello", self.hello, 10)

    def test_no_query_is_lost_while_the_daemon_is_killed(self):
        for _ in range(3):
            self.cluster.on("host1", "systemctl kill --signal=KILL minicluster-discovery.service")
            self.assertEqual(self.answer("host1", "host2"), self.addresses(["host2"]))
        self.cluster.on("host1", "systemctl reset-failed minicluster-discovery.service")
        self.becomes("host1", "hello", self.hello, 15)

    def test_a_host_whose_daemon_does_not_run_asks_its_own_resolvers(self):
        box = f"minicluster-{self.cluster.name}-host2"
        self.cluster.on("host1", "systemctl stop minicluster-discovery.socket")
        self.cluster.on("host1", "grep -q ^nameserver /etc/resolv.conf")
        self.cluster.fails("host1", "grep 127.0.0.55 /etc/resolv.conf", 1)
        self.assertIn(self.cluster.address("host2"), self.cluster.on("host1", f"getent ahosts {box}"))
        self.cluster.on("host1", "systemctl start minicluster-discovery.socket minicluster-resolv-conf.path")
        self.cluster.on("host1", "grep -q 127.0.0.55 /etc/resolv.conf")
        self.becomes("host1", "hello", self.hello, 15)

    def test_where_the_daemon_does_not_start_the_host_asks_its_own_resolvers(self):
        self.cluster.on("host1", """mv /etc/minicluster/discovery.json /etc/minicluster/aside
systemctl kill --signal=KILL minicluster-discovery.service
timeout 60 bash -ec 'while grep -q 127.0.0.55 /etc/resolv.conf; do sleep 0.2; done'
getent ahosts "$HOSTNAME" >/dev/null
mv /etc/minicluster/aside /etc/minicluster/discovery.json
systemctl reset-failed minicluster-discovery.service minicluster-discovery.socket
systemctl start minicluster-discovery.socket minicluster-discovery.service minicluster-resolv-conf.path
grep -q 127.0.0.55 /etc/resolv.conf""")
        self.becomes("host1", "hello", self.hello, 15)

    def test_what_a_dhcp_client_writes_is_used_and_the_daemon_named_again(self):
        before = self.cluster.on("host1", "cat /var/lib/minicluster/resolv.conf")
        self.cluster.on("host1", """{ cat /var/lib/minicluster/resolv.conf; echo 'search renewed.example'; } >/etc/resolv.conf
timeout 10 bash -ec 'until grep -q 127.0.0.55 /etc/resolv.conf; do sleep 0.1; done'
grep -q renewed.example /etc/resolv.conf
grep -q renewed.example /var/lib/minicluster/resolv.conf""")
        self.cluster.on("host1", f"""cat >/etc/resolv.conf <<'END'
{before}
END
timeout 10 bash -ec 'until grep -q 127.0.0.55 /etc/resolv.conf; do sleep 0.1; done'""")

    def test_an_entry_for_a_host_where_a_service_is_not_placed_is_not_believed(self):
        key = f"{self.keys}/{self.idle}"
        self.assertIn(f"{self.keys}/{self.hello[0]}", self.cluster.on("host1", f"minicluster-etcdctl get --prefix --keys-only {self.keys}"))
        value = json.dumps({"host": self.cluster.address(self.idle), "port": 8443})
        self.cluster.on("host1", f"minicluster-etcdctl put {key} '{value}'")
        # What was written after it has been seen.
        one, other = self.hello
        self.cluster.on(one, "systemctl stop hello.service")
        self.becomes(self.idle, "hello", [other], 5)
        self.cluster.on(one, "systemctl start hello.service")
        self.becomes(self.idle, "hello", self.hello, 10)
        self.cluster.on("host1", f"minicluster-etcdctl del {key}")

    def test_z_it_can_be_turned_off_again(self):
        self.cluster.write_services(HELLO)
        self.cluster.converges()
        for host in ["host1", "host2", "host3"]:
            self.cluster.fails(host, "grep 127.0.0.55 /etc/resolv.conf", 1)
            self.cluster.fails(host, "systemctl is-active minicluster-discovery.service minicluster-discovery.socket", 3)
            self.cluster.absent(host, "/etc/systemd/system/minicluster-discovery.*", "/etc/minicluster/discovery.json")
