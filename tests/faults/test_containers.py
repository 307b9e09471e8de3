"""A service of containers needs services.yml alone: real podman, small images made here, judged with podman, curl and systemctl."""

import collections
import subprocess
import unittest

from cluster import NO_CORE, ROOT, Cluster

IMAGES = ROOT / ".cache/images"
# An archive is made once, so that its image keeps its id. Each holds busybox.
BUSYBOX = "busybox-static"
PAGES = ["one", "two"]


def archive(name, command, page=""):
    """A docker archive of an image with busybox that runs `command`."""
    path = IMAGES / f"{name}.tar"
    if path.exists():
        return path
    IMAGES.mkdir(parents=True, exist_ok=True)
    script = f"""
        cd "$(mktemp -d)"
        trap 'rm -rf "$PWD"' EXIT
        chmod 755 .
        [ -e {IMAGES}/busybox ] || {{ apt-get download --quiet {BUSYBOX} >&2
          dpkg --fsys-tarfile {BUSYBOX}_*.deb | tar --extract --to-stdout ./bin/busybox >{IMAGES}/busybox; }}
        mkdir -p root/bin root/www root/data root/tmp
        install -m 0755 {IMAGES}/busybox root/bin/busybox
        for it in cat httpd id nc sh sleep stat touch; do ln -s busybox root/bin/$it; done
        echo '{page}' >root/www/index.html
        tar --create --directory root --owner 0 --group 0 . | docker import --change '{command}' - minicluster-test:{name} >&2
        docker save --output {path}.new minicluster-test:{name}
        docker rmi minicluster-test:{name} >&2
        mv {path}.new {path}
    """
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def archives():
    for page in PAGES:
        archive(f"app-{page}", 'CMD ["/bin/httpd", "-f", "-p", "1234", "-h", "/www"]', f"app {page}")
    archive("redis", 'CMD ["/bin/nc", "-ll", "-p", "6379", "-e", "/bin/cat"]')
    archive("broken", 'CMD ["/bin/sh", "-ec", "echo cannot find my configuration >&2; exit 1"]')


def services(app="app-one", options="", redis=True, credentials=False):
    """The second example of the documentation, with images that are here."""
    text = NO_CORE + f"""
myservice:
  num_instances: 2
  containers:
    - name: myapp
      image: myapp:latest
      image_archive: {IMAGES}/{app}.tar
      port: 1234
      health: {{path: /index.html}}
      volumes: {{/var/lib/myservice/data: /data}}
      resources: {{memory: 64m}}
      {options}
"""
    if redis:
        text += f"""
    - name: redis
      image: redis
      image_archive: {IMAGES}/redis.tar
      port: 6379
"""
    text += """
  public_endpoints:
    - name: myservice
      type: static
      port: 1234
      scheme: http
"""
    return text + ("  service_credentials: [{name: myservice}]\n" + OTHER if credentials else "")


GREETING = """env: {GREETING: 'a "b" $c %d'}"""

# Another service on the same hosts, whose key is none of the first one's business.
OTHER = f"""
other:
  schedule_with: myservice
  service_credentials: [{{name: other}}]
  containers:
    - name: app
      image: other
      image_archive: {IMAGES}/redis.tar
      user: "0"
      args: [/bin/sh, -ec, "trap 'exit 0' TERM; while sleep 1; do :; done"]
"""


class Containers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        archives()
        cls.cluster = Cluster(services(), name="containers", subnet="10.213.15", count=3, converged=True)
        cls.addClassCleanup(cls.cluster.close)
        cls.hosts = cls.cluster.placed("myservice")

    def setUp(self):
        self.cluster.write_services(services())
        self.cluster.converges("--extra-vars", "services_remove_all=true")

    def page(self, host):
        return self.cluster.on(host, "curl --silent --fail http://localhost:1234/index.html")

    def started(self, host, name):
        return self.cluster.on(host, f"podman container inspect --format '{{{{.State.StartedAt}}}}' {name}")

    def same(self, what, *arguments):
        """A check says what the run does, and the run leaves nothing to do."""
        predicted = self.cluster.changes("--check", *arguments)
        done = self.cluster.changes(*arguments)
        self.assertEqual(predicted, done, what)
        self.assertNotEqual(done, collections.Counter(), what)
        self.assertEqual(self.cluster.changes(*arguments), collections.Counter(), what)

    def test_runs_as_documented(self):
        cluster = self.cluster
        self.assertEqual(len(self.hosts), 2)
        for host in self.hosts:
            self.assertEqual(self.page(host), "app one")
            self.assertEqual(cluster.on(host, "exec 3<>/dev/tcp/localhost/6379; echo hello >&3; head --lines 1 <&3"), "hello")
            self.assertEqual(cluster.on(host, "systemctl is-active myservice-myapp myservice-redis | uniq"), "active")
            self.assertEqual(cluster.on(host, "podman ps --format '{{.Names}}' | sort"), "myservice-myapp\nmyservice-redis")
            uid = cluster.on(host, "id --user myservice")
            self.assertEqual(cluster.on(host, "podman exec myservice-myapp sh -ec 'id -u; id -G'"), f"{uid}\n{uid}")
            cluster.on(host, "podman exec myservice-myapp touch /data/mine")
            self.assertEqual(cluster.on(host, "stat --format %U:%G /var/lib/myservice/data /var/lib/myservice/data/mine | uniq"),
                             "myservice:myservice")
            cluster.fails(host, "podman exec myservice-myapp touch /www/mine")
            self.assertEqual(cluster.on(host, "podman exec myservice-myapp cat /proc/1/status | sed -n 's/^CapBnd:.//p'"), "0" * 16)
            self.assertEqual(cluster.on(host, "podman container inspect --format '{{.HostConfig.Memory}}' myservice-myapp"), "67108864")
        run = cluster.converges()
        self.assertEqual(run.changed(), 0, run.text)

    def test_killed_payload_comes_back(self):
        cluster, host = self.cluster, self.hosts[0]
        cluster.on(host, """
            old=$(podman container inspect --format '{{.State.Pid}}' myservice-myapp)
            systemctl kill --signal KILL myservice-myapp; kill -KILL "$old" 2>/dev/null || true
            timeout 60 bash -ec 'until new=$(podman container inspect --format "{{.State.Pid}}" myservice-myapp 2>/dev/null) &&
              [ "$new" != '"$old"' ] && systemctl is-active --quiet myservice-myapp; do sleep 0.2; done'""")
        self.assertEqual(self.page(host), "app one")

    def test_changes_restart_one_container_and_checks_say_so(self):
        cluster, (host, _) = self.cluster, self.hosts
        before = {name: self.started(host, name) for name in ["myservice-myapp", "myservice-redis"]}
        image = cluster.on(host, "podman container inspect --format '{{.Image}}' myservice-myapp")
        cluster.write_services(services("app-two"))
        self.same("a new image")
        for it in self.hosts:
            self.assertEqual(self.page(it), "app two")
            cluster.fails(it, f"podman image exists {image}", 1)
        self.assertEqual(self.started(host, "myservice-redis"), before["myservice-redis"])
        self.assertNotEqual(self.started(host, "myservice-myapp"), before["myservice-myapp"])

        cluster.write_services(services("app-two", GREETING))
        self.same("an option")
        self.assertEqual(cluster.on(host, "podman exec myservice-myapp sh -ec 'echo \"$GREETING\"'"), 'a "b" $c %d')
        self.assertEqual(self.started(host, "myservice-redis"), before["myservice-redis"])

        cluster.write_services(services("app-two", redis=False))
        self.same("a container less")
        for it in self.hosts:
            self.assertEqual(cluster.on(it, "podman ps --all --format '{{.Names}}'"), "myservice-myapp")
            self.assertEqual(cluster.on(it, "podman image ls --quiet | wc --lines"), "1")
            cluster.absent(it, "/etc/systemd/system/myservice-redis.service")

    def test_broken_image_goes_back(self):
        cluster, hosts = self.cluster, self.hosts
        before = {host: self.started(host, "myservice-redis") for host in hosts}
        cluster.write_services(services("broken"))
        run = cluster.run()
        self.assertNotEqual(run.status, 0, run.text)
        self.assertIn("cannot find my configuration", run.text)
        self.assertIn("myservice-myapp.service: back to what ran before", run.text)
        self.assertIn("so what ran before goes on here", run.text)
        for host in hosts:
            self.assertEqual(self.page(host), "app one")
            self.assertEqual(self.started(host, "myservice-redis"), before[host])
            # Neither does a restart of the host bring the broken one.
            cluster.on(host, "systemctl restart myservice-myapp")
            self.assertEqual(self.page(host), "app one")
        cluster.write_services(services("app-two"))
        cluster.converges()
        for host in hosts:
            self.assertEqual(self.page(host), "app two")
            self.assertEqual(cluster.on(host, "podman image ls --quiet | wc --lines"), "2", "the broken one is gone")

    def test_a_tag_that_moves_is_a_change(self):
        cluster, (host, _) = self.cluster, self.hosts
        registry = f"{cluster.address(host)}:5000"
        mirror = ["--extra-vars", f"containers_mirror=http://{registry}"]
        cluster.on(host, f"""
            DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends docker-registry
            systemctl disable --now --quiet docker-registry
            printf '%s\\n' 'version: 0.1' 'http: {{addr: "{registry}"}}' 'storage: {{filesystem: {{rootdirectory: /tmp/registry}}}}' \\
              >/tmp/registry.yml
            systemd-run --quiet --unit test-registry docker-registry serve /tmp/registry.yml
            until exec 3<>/dev/tcp/{cluster.address(host)}/5000; do sleep 0.1; done 2>/dev/null
            podman push --quiet --tls-verify=false \\
              "$(podman container inspect --format '{{{{.Image}}}}' myservice-myapp)" {registry}/library/page:1""")
        self.addCleanup(cluster.ask, host, "systemctl stop test-registry")
        text = services() + """
shop:
  num_instances: 2
  containers: [{name: page, image: "page:1", args: [/bin/httpd, -f, -p, "1235", -h, /www], port: 1235}]
"""
        cluster.write_services(text)
        self.same("an image of the mirror", *mirror)
        hosts = cluster.placed("shop")
        for it in hosts:
            self.assertEqual(cluster.on(it, "curl --silent --fail http://localhost:1235/"), "app one")
        before = {it: self.started(it, "shop-page") for it in hosts}

        cluster.on(host, f"""
            podman container create --quiet --name next {registry}/library/page:1 2>/dev/null ||
              podman container create --name next --tls-verify=false {registry}/library/page:1 >/dev/null
            podman commit --quiet --change 'ENV VERSION=2' next {registry}/library/page:1
            podman rm next
            podman push --quiet --tls-verify=false {registry}/library/page:1
            podman rmi --force {registry}/library/page:1""")
        self.same("a tag that has moved", *mirror)
        for it in hosts:
            self.assertNotEqual(self.started(it, "shop-page"), before[it])
            self.assertEqual(cluster.on(it, "podman exec shop-page sh -ec 'echo $VERSION'"), "2")

        # Without the registry, what is there goes on, and the run says so.
        cluster.on(host, "systemctl stop test-registry")
        run = cluster.converges(*mirror)
        self.assertEqual(run.changed(), 0, run.text)
        self.assertIn("image 'page:1': whether its tag has moved is not known", run.text)

    def test_credentials_are_its_own_and_stay_current(self):
        cluster, host = self.cluster, self.hosts[0]
        cluster.write_services(services(credentials=True))
        cluster.converges()
        own = "/etc/credentials/x509/myservice/server"
        cluster.on(host, f"podman exec myservice-myapp cat {own}/private_key.pem >/dev/null")
        cluster.on(host, "podman exec other-app cat /etc/credentials/x509/other/server/private_key.pem >/dev/null")
        self.assertEqual(cluster.on(host, "podman exec other-app id -u"), "0")
        # Root in one container, and the key of the other: neither where it lies on the host, nor by another way.
        cluster.fails(host, f"podman exec other-app cat {own}/private_key.pem", 1)
        cluster.fails(host, "podman exec other-app sh -ec 'cat /proc/*/root/etc/credentials/x509/myservice/server/private_key.pem'", 1)
        cluster.fails(host, "podman exec other-app touch /etc/credentials/x509/other/mine", 1)

        # A new pair arrives with a restart, of this container alone; a revocation list, by a rename, without one.
        started = self.started(host, "other-app")
        serial = f"openssl x509 -noout -serial -in {own}/cert.pem"
        before = cluster.on(host, serial)
        cluster.write_services(services(credentials=True).replace("{name: myservice}]", "{name: myservice, extra_san: [shop]}]"))
        cluster.converges()
        self.assertNotEqual(cluster.on(host, serial), before)
        self.assertEqual(cluster.on(host, f"podman exec myservice-myapp cat {own}/cert.pem"), cluster.on(host, f"cat {own}/cert.pem"))
        self.assertEqual(self.started(host, "other-app"), started)
        now = self.started(host, "myservice-myapp")
        crl, copy = "/etc/credentials/x509/crl.pem", "/etc/credentials/containers/myservice/crl.pem"
        cluster.on(host, f"echo outdated >{copy}.new; mv {copy}.new {copy}")
        self.assertEqual(cluster.on(host, f"podman exec myservice-myapp cat {crl}"), "outdated")
        cluster.converges("--tags", "credentials")
        self.assertEqual(cluster.on(host, f"podman exec myservice-myapp cat {crl}"), cluster.on(host, f"cat {crl}"))
        self.assertEqual(self.started(host, "myservice-myapp"), now)

        cluster.write_services(NO_CORE)
        cluster.converges("--extra-vars", "services_remove_all=true")
        for it in self.hosts:
            self.assertEqual(cluster.on(it, "podman ps --all --quiet; podman image ls --quiet"), "")
            cluster.absent(it, "/etc/systemd/system/myservice*", "/etc/systemd/system/other*", "/etc/credentials/x509/myservice",
                           "/etc/credentials/containers/*", "/usr/local/sbin/minicluster-container", "/run/myservice*",
                           "/var/lib/minicluster/came-up/*", "/var/lib/minicluster/images/*")
            cluster.on(it, "test -e /var/lib/myservice/data")
