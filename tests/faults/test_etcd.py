"""etcd and what watches it: founded once whatever is killed, rebuilt from nothing, refused rather than lost."""

import base64
import json
import subprocess
import time
import unittest

from cluster import Cluster

CORE = ["host1", "host2", "host3"]
# Alerts come in seconds, which costs all hosts: for the test that waits for one.
QUICK = json.dumps({f"prometheus_{it}": "5s" for it in ["scrape_interval", "evaluation_interval", "alert_delay"]})
DATA = "/var/lib/etcd/minicluster"


class Etcd(unittest.TestCase):
    """One cluster for all tests; each leaves it whole. `host4` is not in group core."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("", name="etcd", subnet="10.213.4", count=4, prepared=True)
        cls.addClassCleanup(cls.cluster.close)
        cls.hosts = (cls.cluster.directory / "hosts").read_text()
        cls.found()

    @classmethod
    def found(cls):
        """Founds the cluster: not while a member is dead, then killed on the way. What came of it, tests judge."""
        with cls.cluster.dead("host3"):
            cls.without_host3 = cls.cluster.run()
            cls.members_without_host3 = [cls.cluster.on(host, f"ls -d {DATA} || true") for host in ("host1", "host2")]
        cls.killed = [
            cls.cluster.run(kill_at="TASK [etcd : Decide each host's membership step]"),
            # The first of the founders has started, the others have not.
            cls.cluster.run("--tags", "etcd", "--forks", "1", kill_at="changed: [host1]"),
            # All have; nobody has written that down.
            cls.cluster.run("--tags", "etcd", kill_at="TASK [etcd : Record that the cluster is founded]"),
        ]
        cls.finished = cls.cluster.run()

    def run_etcd(self, *arguments):
        return self.cluster.run("--tags", "etcd", *arguments)

    def converges(self, *arguments):
        return self.cluster.converges("--tags", "etcd", *arguments)

    def etcdctl(self, host, arguments):
        return self.cluster.on(host, f"minicluster-etcdctl {arguments} 2>&1")

    def read(self, host, path):
        """The bytes of a file."""
        return base64.b64decode(self.cluster.on(host, f"cat {path} | base64"))

    def write_hosts(self, core, others=("host4",)):
        """An inventory with these hosts, in this order."""
        hosts, _, rest = self.hosts.partition("[core]")
        line = {line.split()[0]: line for line in hosts.splitlines() if line.startswith("host")}
        lines = [line[host] for host in [*core, *others]] + ["[core]", *core, "[all:vars]"]
        (self.cluster.directory / "hosts").write_text("\n".join(lines) + rest.partition("[all:vars]")[2])

    def wipe(self, host):
        """As if the host had been installed anew, while its etcd ran."""
        self.cluster.on(host, f"systemctl kill -s KILL etcd; rm -rf {DATA}")

    def is_one_cluster(self, members=CORE):
        """Each member lists these members, all of them answer, and all are of one cluster. Returns its number."""
        numbers = set()
        for host in members:
            listed = [line.split(", ") for line in self.etcdctl(host, "member list").splitlines()]
            self.assertEqual(sorted((it[2], it[1]) for it in listed), [(it, "started") for it in sorted(members)])
            self.etcdctl(host, "endpoint health")
            status = json.loads(self.etcdctl(host, "endpoint status --write-out=json"))
            numbers.add(status[0]["Status"]["header"]["cluster_id"])
        self.assertEqual(len(numbers), 1)
        return numbers.pop()

    def processes(self, hosts):
        return [self.cluster.on(host, "systemctl show --property MainPID --value etcd") for host in hosts]

    def test_nothing_is_founded_without_a_member_and_the_rest_of_the_run_goes_on(self):
        run = self.without_host3
        self.assertEqual(self.members_without_host3, ["", ""])
        self.assertNotEqual(run.status, 0)
        self.assertEqual(run.recap["host3"]["unreachable"], 1, run.text)
        self.assertEqual((run.recap["host4"]["unreachable"], run.recap["host4"]["failed"]), (0, 0), run.text)
        for host in ["host1", "host2"]:
            self.assertEqual((run.recap[host]["rescued"], run.recap[host]["failed"]), (1, 1), run.text)
            self.assertIn(f"[{host}]", run.play("Turn down"), "later plays run")
            self.assertIn(f"fatal: [{host}]", run.play("Report failed services"))
        self.assertIn("etcd: etcd is not founded yet", run.play("Report failed services"))
        self.assertIn("host3 did not answer", run.play("Report failed services"))

    def test_the_operators_account_can_look_at_it(self):
        command = ["ssh", "-F", self.cluster.directory / "ssh_config", "host1", "id -u; minicluster-etcdctl member list"]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        self.assertNotEqual(said[0], "0")
        self.assertEqual(len(said[1:]), len(CORE))
        self.cluster.on("host1", "if runuser -u nobody -- cat /etc/credentials/x509/etcd/client/private_key.pem; then exit 1; fi")

    def test_it_is_one_cluster_whatever_was_killed(self):
        self.assertEqual([run.status for run in self.killed], [-9, -9, -9], self.killed[-1].text)
        self.assertEqual(self.finished.status, 0, self.finished.text)
        number = self.is_one_cluster()
        record = json.loads((self.cluster.directory / "private/etcd.json").read_text())
        self.assertEqual((int(record["cluster_id"], 16), record["state"]), (number, "founded"))

    def test_each_member_is_rebuilt_from_nothing(self):
        number = self.is_one_cluster()
        self.etcdctl("host1", "put before rebuilding")
        for host, order in [("host1", CORE), ("host2", CORE[::-1]), ("host3", CORE)]:
            with self.subTest(host=host):
                self.write_hosts(order)
                self.wipe(host)
                self.converges()
                self.assertEqual(self.is_one_cluster(), number)
                self.assertEqual(self.etcdctl(host, "get --print-value-only before"), "rebuilding")

    def test_a_setting_that_etcd_does_not_start_with_costs_one_member(self):
        before = self.processes(CORE)
        run = self.run_etcd("--extra-vars", json.dumps({"etcd_environment": {"ETCD_HEARTBEAT_INTERVAL": "often"}}))
        self.assertEqual(run.status, 2, run.text)
        last = run.play("Report failed services")
        self.assertIn("etcd.service does not run: it ends again and again", last)
        for host in ["host2", "host3"]:
            said = last.partition(f"fatal: [{host}]")[2].partition("fatal: [")[0]
            self.assertIn("minicluster-etcd-guard is against it", " ".join(said.split()))
        self.assertEqual(self.processes(CORE)[1:], before[1:], "the others run on with their old process")
        self.etcdctl("host2", "put key value")
        self.converges()
        self.is_one_cluster()
        self.assertEqual(self.processes(CORE)[1:], before[1:], "they have what they were started with again")

    def test_without_a_majority_nothing_is_founded_anew_and_a_snapshot_is_restored(self):
        number = self.is_one_cluster()
        self.etcdctl("host1", "put in the-snapshot")
        self.cluster.on("host1", "systemctl start etcd-snapshot.service")
        self.etcdctl("host1", "put after the-snapshot")
        snapshot = self.cluster.directory / "snapshot.db"
        snapshot.write_bytes(self.read("host1", "/var/lib/etcd/snapshots/*.db"))
        record = self.cluster.directory / "private/etcd.json"
        remembered = record.read_text()

        before = self.processes(CORE)
        torn = self.cluster.directory / "torn.db"
        torn.write_bytes(snapshot.read_bytes()[:-100])
        run = self.restore(torn)
        self.assertNotEqual(run.status, 0, run.text)
        self.assertEqual(self.processes(CORE), before, "it is noticed before etcd is stopped")
        self.assertEqual(self.is_one_cluster(), number)

        for host in ["host1", "host2"]:
            self.wipe(host)

        run = self.run_etcd()
        self.assertEqual(run.status, 2, run.text)
        self.assertEqual([run.recap[host]["failed"] for host in ["host1", "host2", "host4"]], [1, 1, 0], run.text)
        self.assertIn("ansible-playbook restore.yml -e etcd_snapshot=FILE", run.play("Report failed services"))
        self.assertEqual(record.read_text(), remembered)
        for host in ["host1", "host2"]:
            self.cluster.on(host, f"test ! -e {DATA}/member/wal")

        record.write_text('{"version": 1, "sta')
        run = self.run_etcd()
        self.assertEqual([run.recap[host]["failed"] for host in [*CORE, "host4"]], [1, 1, 1, 0], run.text)
        self.assertIn("etcd.json is damaged: remove it", run.play("Report failed services"))

        restored = self.restore(snapshot)
        self.assertEqual(restored.status, 0, restored.text)
        self.assertNotEqual(self.is_one_cluster(), number, "it is another cluster")
        self.assertEqual(self.etcdctl("host2", "get --print-value-only in"), "the-snapshot")
        self.assertEqual(self.etcdctl("host2", "get --print-value-only after"), "")
        self.converges()
        self.is_one_cluster()

    def restore(self, snapshot):
        return self.cluster.run("--extra-vars", f"etcd_snapshot={snapshot}", playbook="restore.yml")

    def test_a_host_that_leaves_is_no_member_its_certificates_are_refused_and_it_may_come_back(self):
        stolen = "/root/stolen"
        for what in ["cert", "private_key"]:
            text = self.read("host3", f"/etc/credentials/x509/etcd/client/{what}.pem").decode()
            self.cluster.on("host1", f"umask 077; mkdir -p {stolen}; cat >{stolen}/{what}.pem <<'.'\n{text}.\n")
        thief = (f"ETCDCTL_API=3 etcdctl --endpoints=https://localhost:2379 --cacert=/etc/credentials/x509/ca.pem "
                 f"--cert={stolen}/cert.pem --key={stolen}/private_key.pem --command-timeout=3s")
        self.cluster.on("host1", f"{thief} put key value")
        # A connection from before.
        self.addCleanup(self.cluster.on, "host1", "systemctl stop thief || true; systemctl reset-failed thief || true")
        self.cluster.on("host1", f"systemd-run --unit=thief --setenv=ETCDCTL_API=3 {thief.partition(' ')[2]} watch key")
        self.within(20, lambda: self.etcdctl("host1", "put key seen") and "seen" in self.heard_by_the_thief())

        self.write_hosts(["host1", "host2"])
        self.converges("--tags", "credentials")
        self.is_one_cluster(["host1", "host2"])
        serial = self.cluster.on("host1", f"openssl x509 -in {stolen}/cert.pem -noout -serial").partition("=")[2]
        revoked = self.cluster.on("host1", "openssl crl -in /etc/credentials/x509/crl.pem -noout -text")
        self.assertIn(serial, revoked)
        refused = self.cluster.fails("host1", f"{thief} put key stolen 2>&1")
        self.assertIn("context deadline exceeded", refused)
        self.assertIn("revoked", self.cluster.on("host1", "journalctl --unit etcd --since -2min --output cat"))
        self.etcdctl("host1", "put key unseen")
        self.assertNotIn("unseen", self.heard_by_the_thief())

        self.write_hosts(CORE)
        self.converges("--tags", "credentials")
        self.is_one_cluster()

    def heard_by_the_thief(self):
        return self.cluster.on("host1", "journalctl --unit thief --output cat")

    def test_only_members_are_heard_on_the_port_of_the_members(self):
        ask = ("curl -sS --http1.1 --fail --cacert ca.pem --cert {0}/cert.pem --key {0}/private_key.pem "
               "https://localhost:2380/version")
        here = "cd /etc/credentials/x509\n"
        self.cluster.on("host1", here + ask.format("etcd/server"))
        refused = self.cluster.fails("host1", f"{here}{ask.format('etcd/client')} 2>&1")
        self.assertIn("alert bad certificate", refused)

    def test_an_alert_tells_what_does_not_answer(self):
        self.addCleanup(self.cluster.converges, "--tags", "prometheus")
        self.cluster.converges("--tags", "prometheus", "--extra-vars", QUICK)
        self.cluster.on("host2", "systemctl stop prometheus-node-exporter")
        fired = self.within(40, lambda: self.alerts("host2"))[0]
        self.assertEqual((fired["labels"]["service"], fired["labels"]["severity"]), ("node-exporter", "critical"))
        self.assertEqual(fired["annotations"]["summary"], "node-exporter on host2 does not answer")
        self.cluster.on("host2", "systemctl start prometheus-node-exporter")

    def alerts(self, host):
        """The alerts DoesNotAnswer about a host, as the Alertmanager on host3 tells."""
        return json.loads(self.cluster.on("host3", (
            "cd /etc/credentials/x509 && curl -sS --fail --cacert ca.pem --cert prometheus/client/cert.pem "
            "--key prometheus/client/private_key.pem "
            f"'https://localhost:9093/api/v2/alerts?filter=alertname=DoesNotAnswer&filter=host={host}'")))

    def within(self, seconds, ask):
        """Asks until the answer is one; other hosts' states are no events."""
        until = time.monotonic() + seconds
        while not (answer := ask()):
            self.assertLess(time.monotonic(), until, f"nothing came within {seconds} s")
            time.sleep(0.5)
        return answer
