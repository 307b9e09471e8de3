"""Certificates that are renewed and a CA that is replaced, while clients go on working."""

import contextlib
import json
import pathlib
import subprocess
import tempfile
import unittest

from cluster import CREDENTIALS, HELLO, ROOT, Cluster

# The core services on every host, so that each has all of them to lose, and a client's credentials.
SERVICES = HELLO
HOSTS = ["host1", "host2", "host3"]

# Calls URLs over and over, as a client that trusts what lies on its host, until standard input ends. A program that is
# being restarted refuses connections or cuts them: such a call is repeated for so many seconds. Whatever TLS itself
# objects to is a failure at once. An argument is SECONDS,URL[,URL...]: of several URLs one has to answer.
CLIENT = """
import json, ssl, sys, threading, time, urllib.error, urllib.request
place, calls = sys.argv[1], sys.argv[2:]
served, failures, stop = dict.fromkeys(calls, 0), [], threading.Event()

def ask(url):
    context = ssl.create_default_context(cafile=place + "/ca.pem")
    context.load_cert_chain(place + "/prometheus/client/cert.pem", place + "/prometheus/client/private_key.pem")
    urllib.request.urlopen(url, context=context, timeout=10).read()

def answered(patience, *urls):
    urls, deadline = list(urls), time.monotonic() + int(patience)
    while True:
        url = urls.pop(0)
        urls.append(url)
        try:
            return ask(url)
        except OSError as error:
            reason = getattr(error, "reason", error)
            cut = isinstance(reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError))
            if isinstance(reason, ssl.SSLError) and not cut or time.monotonic() > deadline:
                raise
            time.sleep(0.05)

def repeat(call):
    while not stop.wait(0.5):
        try:
            answered(*call.split(","))
            served[call] += 1
        except Exception as error:
            failures.append(f"{call}: {error!r}")

threads = [threading.Thread(target=repeat, args=[call]) for call in calls]
for thread in threads: thread.start()
sys.stdin.read()
stop.set()
for thread in threads: thread.join()
print(json.dumps({"served": served, "failures": failures}))
"""

# Holds a connection to each front, with certificates of a host that will have left, and uses it until it is ended.
HOLDER = """
import socket, ssl, sys, time
def connect(port, name):
    context = ssl.create_default_context(cafile="/etc/credentials/x509/ca.pem")
    context.load_cert_chain(f"/root/gone/{name}.pem", f"/root/gone/{name}.key")
    return context.wrap_socket(socket.create_connection(("localhost", port), timeout=1), server_hostname="localhost")
def lives(port, it):
    try:
        if port != 9094:
            it.sendall(b"GET /-/healthy HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        return it.recv(1 << 20) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
held = {port: connect(port, "alertmanager" if port == 9094 else "prometheus") for port in (9090, 9093, 9094)}
assert all([lives(port, it) for port, it in held.items()])
print("all are open", flush=True)
while held:
    held = {port: it for port, it in held.items() if lives(port, it)}
    time.sleep(0.2)
print("all have ended", flush=True)
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
        cls.cluster = Cluster(SERVICES, name="certificates", subnet="10.213.5", count=len(HOSTS), converged=True)
        cls.addClassCleanup(cls.cluster.close)
        cls.on, cls.address = cls.cluster.on_credentials, cls.cluster.address

    def calls(self, hosts):
        """What clients ask these hosts for: etcd, which asks the other members, and what stands behind a front."""
        paths = ("2379/health", "9100/metrics", "9090/-/healthy", "9093/-/healthy")
        return [f"https://{self.address(host)}:{rest}" for host in hosts for rest in paths]

    @contextlib.contextmanager
    def no_call_fails(self, hosts):
        """A client on each of these hosts calls all of them, all the time, with ten seconds' patience, as etcd's clients have.

        An Alertmanager that restarts beside a dead one takes up to twelve seconds. Who sends alerts calls all of them: the
        client also finds one or another within ten.
        """
        alertmanagers = [it for it in self.calls(hosts) if ":9093/" in it]
        calls = [f"{20 if it in alertmanagers else 10},{it}" for it in self.calls(hosts)] + [",".join(["10", *alertmanagers])]
        command = ["ssh", "-F", self.cluster.directory / "ssh_config"]
        script = [subprocess.list2cmdline(["sudo", "python3", "-c"]), "'" + CLIENT + "'", CREDENTIALS, *calls]
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
        self.on("host3", "cp -a prometheus/client /root/before && cp ca.pem /root/before")
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
        cluster.fails("host3", f"openssl verify -CAfile {CREDENTIALS}/ca.pem /root/before/cert.pem", 2)
        for url in self.calls(HOSTS):
            # It is TLS that fails: the server has closed the connection. A front answers 403 before it does.
            cluster.fails("host3", f"curl -sS --fail --http1.1 --cacert {CREDENTIALS}/ca.pem --cert /root/before/cert.pem "
                          f"--key /root/before/private_key.pem {url}", 22, 35, 55, 56)
        self.assertEqual(cluster.converges(*replace).changed(), 0)

    def issuer(self, host, credential):
        return self.on(host, f"openssl x509 -noout -issuer -in {credential}/cert.pem").removeprefix("issuer=")

    def works(self, client, server):
        """One host is served by the other, each with what it holds now."""
        for url in self.calls([server]):
            self.on(client, f"curl -sS --fail --retry 20 --retry-delay 1 --retry-connrefused --cacert ca.pem "
                    f"--cert prometheus/client/cert.pem --key prometheus/client/private_key.pem {url} >/dev/null")

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
        chain = self.signed(host, "hello", "server", csr, ansible_hosts={host: self.address(host)}, lifetime="65d",
                            backdate=f"{300 * 24 + 1}h")
        self.on(host, f"cat >hello/server/cert.pem <<'EOF'\n{chain}EOF\n")

    def signed(self, host, service, side, csr, **more):
        """A certificate of the cluster, as the control node makes it."""
        request = {"credential": service, "side": side, "reason": "a test", "key": "keep", "csr": csr}
        arguments = {
            "private_dir": f"{self.cluster.directory}/private", "inject_facts_as_vars": False,
            "domain": f"{self.cluster.name}.example", "services": {service: {"service_credentials": [{"name": service}]}},
            "groups": {"all": [*HOSTS, host], service: [host]}, "reports": {host: {"requests": [request]}},
        } | more
        done = subprocess.run([ROOT / "library/x509_sign", "-"], input=json.dumps(arguments), text=True, check=True,
                              stdout=subprocess.PIPE)
        (delivered,) = json.loads(done.stdout)["hosts"][host]["certificates"]
        return delivered["chain"]

    def test_what_was_revoked_is_refused_everywhere(self):
        cluster, host, server = self.cluster, "host1", "localhost"
        hello = cluster.placed("hello")[0]
        for service in ("prometheus", "alertmanager"):
            csr = self.on(host, f"mkdir -p /root/gone; openssl req -new -subj /CN=x -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                          f"-keyout /root/gone/{service}.key 2>/dev/null")
            self.on(host, f"cat >/root/gone/{service}.pem <<'EOF'\n{self.signed('gone', service, 'client', csr)}EOF\n")
        urls = [f"{server}:2379/health", f"{server}:9100/metrics", f"{server}:9090/-/healthy", f"{server}:9093/api/v2/status",
                f"{self.address(hello)}:8443/"]

        def status(url, certificate, key):
            return self.on(host, f"curl -s -o /dev/null -w '%{{http_code}}' --max-time 10 --cacert ca.pem --cert {certificate} "
                           f"--key {key} https://{url} || true")

        def stolen(url):
            return status(url, "/root/gone/prometheus.pem", "/root/gone/prometheus.key")

        def held(certificate, key):
            """Whether the gossip's port keeps a connection on which nothing is said."""
            ended = self.on(host, f"timeout 5 openssl s_client -quiet -connect {server}:9094 -CAfile ca.pem -verify_return_error "
                            f"-cert {certificate} -key {key} </dev/null >/dev/null 2>&1 || echo $?")
            return ended == "124"

        self.assertEqual({url: stolen(url) for url in urls}, dict.fromkeys(urls, "200"), "while the host belongs to the cluster")
        self.assertTrue(held("/root/gone/alertmanager.pem", "/root/gone/alertmanager.key"))
        self.assertFalse(held("prometheus/client/cert.pem", "prometheus/client/private_key.pem"), "it is no Alertmanager's")
        # A valid certificate of whom the service does not name opens nothing.
        for url in urls[1:4]:
            self.assertEqual(status(url, "etcd/client/cert.pem", "etcd/client/private_key.pem"), "403", url)
        self.assertEqual(status(urls[3], "alertmanager/client/cert.pem", "alertmanager/client/private_key.pem"), "403")

        command = ["ssh", "-F", cluster.directory / "ssh_config", host, "sudo", "python3", "-c", "'" + HOLDER + "'"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            self.assertEqual(holder.stdout.readline(), "all are open\n")
            # The host is in no inventory: this run revokes what it holds.
            cluster.converges()
            self.assertEqual(holder.communicate(timeout=60)[0], "all have ended\n")
        refused = {url: stolen(url) for url in urls}
        self.assertEqual(refused, dict(zip(urls, ["000", "403", "403", "403", "000"])))
        self.assertFalse(held("/root/gone/alertmanager.pem", "/root/gone/alertmanager.key"))
        self.assertTrue(held("alertmanager/client/cert.pem", "alertmanager/client/private_key.pem"))
        self.on(host, "journalctl --unit alertmanager-front | grep '9094 \"CN=alertmanager@gone\" FAILED:certificate revoked'")
        for url in [*urls[:4], f"{self.address(hello)}:8443/"]:
            self.assertEqual(status(url, "prometheus/client/cert.pem", "prometheus/client/private_key.pem"), "200", url)
        self.alertmanagers_are_one()
        self.assertEqual(cluster.converges().changed(), 0)

    def alertmanagers_are_one(self):
        """Each knows all, and what one is told the others know."""
        ask = "curl -sS --fail --cacert ca.pem --cert prometheus/client/cert.pem --key prometheus/client/private_key.pem "
        for host in HOSTS:
            cluster = json.loads(self.on(host, ask + "https://localhost:9093/api/v2/status"))["cluster"]
            self.assertEqual(len(cluster["peers"]), len(HOSTS), f"{host} has found the others")
        silence = json.dumps({"matchers": [{"name": "alertname", "value": "nothing", "isRegex": False}], "createdBy": "a test",
                              "comment": "a test", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"})
        told = self.on(HOSTS[0], ask + f"--json '{silence}' https://localhost:9093/api/v2/silences")
        silence = f"https://localhost:9093/api/v2/silence/{json.loads(told)['silenceID']}"
        for host in HOSTS[1:]:
            self.on(host, f"{ask} --retry 90 --retry-delay 1 --retry-all-errors {silence} >/dev/null")
        self.on(HOSTS[0], f"{ask} --request DELETE {silence}")

    def shown(self, host):
        """Serial number and public key of the certificate with which a server answers."""
        # Not through a pipe, whose reader ends before its writer.
        ask = ("shown=$(openssl s_client -connect localhost:8443 -CAfile ca.pem -verify_return_error -cert hello/client/cert.pem "
               "-key hello/client/private_key.pem </dev/null 2>/dev/null)\n")
        return {what: self.on(host, ask + f'openssl x509 -noout -{option} <<<"$shown"')
                for what, option in [("serial", "serial"), ("key", "pubkey")]}

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

    def test_an_exporters_user_does_not_become_root(self):
        host = "host2"
        # Where the certificates' expiry is written, as the exporter reads it; everything on the way there that its user may rename.
        self.on(host, """
            owner=$(systemctl show --property User --value prometheus-node-exporter)
            places="/var/lib/prometheus/node-exporter $(sed -n 's/.*textfile.directory=\\([^ "]*\\).*/\\1/p' /etc/default/prometheus-node-exporter)"
            for it in $places; do
              runuser -u "$owner" -- sh -ec "mv $it $it.aside || true; ln -s /etc $it" || true
            done
            systemctl restart certificate-metrics || true
            for it in $places; do runuser -u "$owner" -- sh -ec "test ! -L $it || rm $it; test ! -e $it.aside || mv $it.aside $it" || true; done
            systemctl restart certificate-metrics""")
        self.on(host, "test ! -e /etc/certificates.prom")
        # Not by accident: nothing of ours that runs as root may write below a directory of another user.
        self.on(host, """
            for unit in $(cd /etc/systemd/system && ls *.service); do
              case $(systemctl show --property User --value "$unit") in ""|root) ;; *) continue;; esac
              for path in $(systemctl show --property ReadWritePaths --value "$unit"); do
                while [ "$path" != / ]; do
                  test "$(stat --format %U "$path")" = root || { echo "$unit writes below $path"; exit 1; }
                  path=$(dirname "$path")
                done
              done
            done""")
        # Confined, the exporter still sees what it is there for.
        metrics = self.on(host, f"curl -sS --fail --cacert ca.pem --cert prometheus/client/cert.pem --key prometheus/client/private_key.pem https://localhost:9100/metrics")
        for wanted in ["minicluster_certificate_not_after_seconds{", "node_network_receive_bytes_total{", "node_systemd_unit_state{",
                       "node_filesystem_avail_bytes{", "node_timex_offset_seconds ", "node_textfile_scrape_error 0"]:
            self.assertIn(wanted, metrics)
        self.on(host, "grep '^NoNewPrivs:.*1' /proc/$(systemctl show --property MainPID --value prometheus-node-exporter)/status")
        self.cluster.fails(host, "nsenter --target $(systemctl show --property MainPID --value prometheus-node-exporter) --mount "
                           "runuser -u prometheus -- touch /var/lib/prometheus/x", 1)

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
