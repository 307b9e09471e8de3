"""Certificates that are renewed and a CA that is replaced, while clients go on working."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from cluster import HELLO, ROOT, Cluster

# etcd on every host, so that each has a member to lose and a client's credentials.
SERVICES = HELLO + "prometheus: {enabled: false}\nalertmanager: {enabled: false}\n"
HOSTS = ["host1", "host2", "host3"]
PLACE = "/etc/credentials/x509"

# Calls each URL over and over, as a client that trusts what lies on its host, until standard input ends. A program that
# is being restarted refuses connections or cuts them: such a call is repeated for ten seconds, as etcd's own clients
# do. Whatever TLS itself objects to is a failure at once.
CLIENT = """
import json, ssl, sys, threading, time, urllib.error, urllib.request
place, urls = sys.argv[1], sys.argv[2:]
served, failures, stop = dict.fromkeys(urls, 0), [], threading.Event()

def ask(url):
    context = ssl.create_default_context(cafile=place + "/ca.pem")
    context.load_cert_chain(place + "/etcd/client/cert.pem", place + "/etcd/client/private_key.pem")
    urllib.request.urlopen(url, context=context, timeout=10).read()

def answered(url):
    deadline = time.monotonic() + 10
    while True:
        try:
            return ask(url)
        except OSError as error:
            reason = getattr(error, "reason", error)
            cut = isinstance(reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError))
            if isinstance(reason, ssl.SSLError) and not cut or time.monotonic() > deadline:
                raise
            time.sleep(0.05)

def call(url):
    while not stop.wait(0.5):
        try:
            answered(url)
            served[url] += 1
        except Exception as error:
            failures.append(f"{url}: {error!r}")

threads = [threading.Thread(target=call, args=[url]) for url in urls]
for thread in threads: thread.start()
sys.stdin.read()
stop.set()
for thread in threads: thread.join()
print(json.dumps({"served": served, "failures": failures}))
"""

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
        cls.cluster = Cluster(SERVICES, name="certificates", subnet="10.213.5", count=len(HOSTS))
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.converges()

    def on(self, host, command):
        return self.cluster.on(host, f"cd {PLACE} && {{ {command}\n}}")

    def address(self, host):
        return f"{self.cluster.subnet}.{10 + int(host.removeprefix('host'))}"

    def calls(self, hosts):
        """What clients ask these hosts for: etcd, which asks the other members, and the node exporter."""
        return [f"https://{self.address(host)}:{rest}" for host in hosts for rest in ("2379/health", "9100/metrics")]

    @contextlib.contextmanager
    def no_call_fails(self, hosts):
        """A client on each of these hosts calls all of them, all the time."""
        command = ["ssh", "-F", self.cluster.directory / "ssh_config"]
        script = [subprocess.list2cmdline(["sudo", "python3", "-c"]), "'" + CLIENT + "'", PLACE, *self.calls(hosts)]
        clients = [subprocess.Popen([*command, host, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                   for host in hosts]
        try:
            yield
        finally:
            said = [client.communicate(timeout=60)[0] for client in clients]
        for host, text in zip(hosts, said):
            found = json.loads(text)
            self.assertEqual(found["failures"], [], f"of the client on {host}")
            for url, count in found["served"].items():
                self.assertGreater(count, 20, f"{host} has asked {url}")

    def anchors(self, host):
        """Names of the CAs that a host trusts."""
        return self.on(host, "openssl crl2pkcs7 -nocrl -certfile ca.pem | openssl pkcs7 -print_certs -noout | grep subject")

    def test_the_ca_is_replaced_while_a_host_is_down(self):
        cluster = self.cluster
        old = self.anchors("host1")
        self.on("host3", "cp -a etcd/client /root/before && cp ca.pem /root/before")
        old_id = self.on("host1", "openssl x509 -noout -ext subjectKeyIdentifier -in ca.pem | tail -n 1 | tr -d ': \\n'")
        replace = ["--extra-vars", f"common_ca_replace={old_id}"]
        with self.no_call_fails(["host1", "host2"]):
            # Both are trusted, then new certificates come, and host3 misses them.
            cluster.converges(*replace)
            both = self.anchors("host1")
            self.assertEqual(len(both.splitlines()), 2)
            self.assertIn(old, both)
            with cluster.dead("host3"):
                for _ in range(2):
                    run = cluster.run(*replace)
                    self.assertEqual(run.recap["host3"]["unreachable"], 1, run.text)
                self.assertEqual(self.issuer("host1", "etcd/server"), both.splitlines()[0].removeprefix("subject="))
                self.assertEqual(self.anchors("host1"), both, "the old CA waits for host3")
            # It is back, and works with what it has before any run reaches it.
            self.assertEqual(self.issuer("host3", "etcd/server"), old.removeprefix("subject="))
            self.works("host3", "host1")
            self.works("host1", "host3")
            for _ in range(4):
                cluster.converges(*replace)
                if all(len(self.anchors(host).splitlines()) == 1 for host in HOSTS):
                    break
        new = self.anchors("host1")
        self.assertNotEqual(new, old)
        for host in HOSTS:
            self.assertEqual(self.anchors(host), new, "the old anchor is gone")
            self.on(host, "for it in */client */server; do openssl verify -CAfile ca.pem $it/cert.pem; done")
            self.works(host, HOSTS[HOSTS.index(host) - 1])
        self.on("host3", "! openssl verify -CAfile ca.pem /root/before/cert.pem")
        for url in self.calls(HOSTS):
            self.on("host3", f"! curl -sS --cacert ca.pem --cert /root/before/cert.pem --key /root/before/private_key.pem {url}")
        self.assertEqual(cluster.converges(*replace).changed(), 0)

    def issuer(self, host, credential):
        return self.on(host, f"openssl x509 -noout -issuer -in {credential}/cert.pem").removeprefix("issuer=")

    def works(self, client, server):
        """One host is served by the other, each with what it holds now."""
        for url in self.calls([server]):
            self.on(client, f"curl -sS --fail --retry 20 --retry-delay 1 --retry-connrefused --cacert ca.pem "
                    f"--cert etcd/client/cert.pem --key etcd/client/private_key.pem {url} >/dev/null")

    def test_a_ca_that_no_member_of_etcd_trusts_yet(self):
        """The remedies for a CA that has expired and for one that is lost are no rollover: nobody trusts both."""
        cluster = self.cluster
        self.on("host1", "minicluster-etcdctl put which one")
        self.lose_the_ca()
        # It may end before etcd has restarted.
        cluster.run("--extra-vars", "common_ca_new=true common_ca_lifetime=90s")
        self.on("host1", "while openssl x509 -noout -checkend 0 -in ca.pem; do sleep 1; done >/dev/null")
        self.on("host1", "! minicluster-etcdctl endpoint health 2>&1")
        expired = self.on("host1", "openssl x509 -noout -ext subjectKeyIdentifier -in ca.pem | tail -n 1 | tr -d ': \\n'")
        cluster.converges("--extra-vars", f"common_ca_replace={expired}")
        self.etcd_serves()

        self.lose_the_ca()
        cluster.converges("--extra-vars", "common_ca_new=true")
        self.assertEqual(len(self.anchors("host1").splitlines()), 1)
        self.etcd_serves()
        self.assertEqual(cluster.converges().changed(), 0)

    def lose_the_ca(self):
        shutil.rmtree(self.cluster.directory / "private/x509")

    def etcd_serves(self):
        """On every host, a client with what lies there by now."""
        for host in HOSTS:
            self.on(host, "minicluster-etcdctl endpoint health 2>&1")
            self.assertEqual(self.on(host, "minicluster-etcdctl get --print-value-only which"), "one")
            self.assertEqual(len(self.on(host, "minicluster-etcdctl member list").splitlines()), len(HOSTS))

    def test_a_certificate_is_renewed_in_time(self):
        cluster = self.cluster
        host = cluster.placed("hello")[0]
        self.as_issued_300_days_ago(host)
        self.on(host, "systemctl restart hello && systemctl is-active hello")
        before, running = self.shown(host), self.invocations(host)
        cluster.converges()
        after = self.shown(host)
        self.assertNotEqual(after["serial"], before["serial"], "the server shows its new certificate")
        self.assertEqual(after["key"], before["key"], "the key stays")
        self.on(host, f"openssl x509 -noout -checkend {364 * 86400} -in hello/server/cert.pem")
        now = self.invocations(host)
        self.assertEqual({unit for unit in running if now[unit] != running[unit]}, {"hello.service"})
        self.assertEqual(cluster.converges().changed(), 0)

    def as_issued_300_days_ago(self, host):
        """Puts a certificate for the same key and names there, 65 days before its end."""
        csr = self.on(host, "openssl req -new -subj /CN=x -key hello/server/private_key.pem")
        request = {"credential": "hello", "side": "server", "reason": "a test", "key": "keep", "csr": csr}
        arguments = {
            "private_dir": f"{self.cluster.directory}/private", "inject_facts_as_vars": False,
            "domain": f"{self.cluster.name}.example", "services": {"hello": {"service_credentials": [{"name": "hello"}]}},
            "groups": {"all": HOSTS, "hello": [host]}, "ansible_hosts": {host: self.address(host)},
            "reports": {host: {"requests": [request]}}, "lifetime": "65d", "backdate": f"{300 * 24 + 1}h",
        }
        done = subprocess.run([ROOT / "library/x509_sign", "-"], input=json.dumps(arguments), text=True, check=True,
                              stdout=subprocess.PIPE)
        (delivered,) = json.loads(done.stdout)["hosts"][host]["certificates"]
        self.on(host, f"cat >hello/server/cert.pem <<'EOF'\n{delivered['chain']}EOF\n")

    def shown(self, host):
        """Serial number and public key of the certificate with which a server answers."""
        return {what: self.on(host, "openssl s_client -connect localhost:8443 -CAfile ca.pem -verify_return_error "
                              "-cert hello/client/cert.pem -key hello/client/private_key.pem </dev/null 2>/dev/null "
                              f"| openssl x509 -noout {option}") for what, option in
                [("serial", "-serial"), ("key", "-pubkey")]}

    def invocations(self, host):
        """Which start of each unit is running."""
        units = ["hello.service", "etcd.service", "prometheus-node-exporter.service", "ssh.service"]
        return {unit: self.on(host, f"systemctl show --property InvocationID,MainPID {unit}") for unit in units}

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
