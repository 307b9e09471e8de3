"""Local hosts and the operator's directory, for tests that break things on the way."""

import atexit
import collections
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOSTS = [f"host{number}" for number in range(1, 6)]
# A host's certificates.
CREDENTIALS = "/etc/credentials/x509"
# Seconds: far above what a run takes, far below the patience of TCP with a host that is gone.
DEADLINE = 400

# A run takes a third of the time without these.
NO_CORE = """
etcd: {enabled: false}
prometheus: {enabled: false}
alertmanager: {enabled: false}
"""
HELLO = """
hello:
  num_instances: 2
  service_credentials: [{name: hello}]
  monitoring_endpoints: [{port: 8443}]
"""


# `set -e` passes over a command with a `!` before it, whatever comes of it.
VOID = re.compile(r"(?:^|[;&|{(]|\b(?:then|do|else)\b)\s*!\s", re.MULTILINE)


# Ends at the first command that fails, in a pipe too; see `whole`.
SHELL = ["bash", "-euo", "pipefail", "-s"]


def whole(script):
    """What SHELL reads: all of it at once, so that no command takes the rest for its own input."""
    assert not VOID.search(script), f"`!` would not end this script; ask with `fails` or `absent`: {script}"
    return f"{{\n{script}\n}} </dev/null\n"


class Run:
    """What one ansible-playbook run said."""

    def __init__(self, status, text):
        self.status = status
        self.text = text
        self.recap = {}
        for line in text.rpartition("PLAY RECAP")[2].splitlines():
            if found := re.match(r"(\S+)\s+: (.*)", line):
                self.recap[found[1]] = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", found[2])}

    def changed(self):
        """How many tasks changed something, over all hosts."""
        assert self.recap, self.text
        return sum(host["changed"] for host in self.recap.values())

    def play(self, name):
        """The output of one play."""
        _, found, after = self.text.partition(f"PLAY [{name}")
        assert found, self.text
        return re.split(r"PLAY (?:\[|RECAP)", after)[0]


def kill(process):
    """Kills a process and all that it started: each worker of Ansible is a session of its own."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        # Stopped first, so that it starts no more.
        os.kill(process, signal.SIGSTOP)
        for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                kill(int(child))
        os.kill(process, signal.SIGKILL)


SHARED = []


def shared(virgin=False):
    """The hosts of the tests that leave them as good as they found them: made once, gone at the end. A suite that asks for
    virgin ones leaves those that come after it what became of them."""
    if virgin or not SHARED:
        SHARED[:] = [Cluster("") if virgin else Cluster(NO_CORE + HELLO, converged=True)]
        atexit.register(SHARED[0].close)
    return SHARED[0]


@functools.cache
def shape():
    """Digest of what makes a cluster what it is, beside its name and its services."""
    image = subprocess.run([ROOT / "molecule/node/image", "prepared"], check=True, stdout=subprocess.PIPE).stdout
    digest = hashlib.sha256(image + bytes(ROOT))
    for name in ["action_plugins", "ansible.cfg", "inventory/minicluster", "library", "molecule/node", "requirements.txt", "roles",
                 "site.yml", "tests/faults/roles"]:
        for path in sorted([ROOT / name, *(ROOT / name).rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


class Cluster:
    """The hosts host1, host2, … at `subnet`.11 and up, for one test suite; `name` keeps two suites apart."""

    def __init__(self, services, name="faults", subnet="10.213.3", count=5, converged=False, prepared=False):
        """Virgin hosts; with `prepared`, those that have the roles' packages already, as the roles install them; with `converged`,
        those of a run of site.yml after that, which are kept, so that the next time they are there in seconds."""
        # `FAULTS_CLUSTER="mine 10.0.7" tests/faults/run test_…`: elsewhere, beside another checkout's hosts.
        self.name, self.subnet = os.environ.get("FAULTS_CLUSTER", f"{name} {subnet}").split()
        self.count = count
        self.directory = ROOT / ".cache/clusters" / self.name
        # Ansible's own output: it names each task and each host as they happen.
        self.environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_NOCOLOR="1",
                                ANSIBLE_STDOUT_CALLBACK="default",
                                ANSIBLE_ROLES_PATH=f"{ROOT}/roles:{ROOT}/tests/faults/roles")
        self.close()
        kept = self.kept(services) if converged else None
        if kept and self.manage("again", self.name, str(count), self.subnet, kept, statuses=(0, 3)) == 0:
            return
        self.up(*(["prepared"] if prepared or converged else []))
        self.write_services(services)
        if kept:
            self.converges()
            # CI begins with nothing, each time.
            if "CI" not in os.environ:
                self.manage("keep", self.name, kept)
                self.up()

    def kept(self, services):
        """A name for the hosts that a run with these services leaves; another one as soon as anything is that shapes them."""
        own = hashlib.sha256(repr((self.subnet, self.count, services)).encode())
        return f"{shape()}-{own.hexdigest()[:8]}"

    def up(self, *prepared):
        """Starts the hosts that are missing or stopped: the former are virgin, if it does not say otherwise."""
        self.manage("up", self.name, str(self.count), self.subnet, *prepared)

    def close(self):
        self.manage("down", self.name)

    @staticmethod
    def manage(*arguments, statuses=(0,)):
        status = subprocess.run([ROOT / "molecule/node/cluster", *arguments]).returncode
        assert status in statuses, f"{arguments}: status {status}"
        return status

    def write_services(self, text):
        (self.directory / "services.yml").write_text(text)

    def lock(self):
        """services.lock as it lies there; empty where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "services.lock").read_text()
        return ""

    def converges(self, *arguments):
        """A run that must succeed."""
        run = self.run(*arguments)
        assert run.status == 0, run.text
        return run

    def changes(self, *arguments):
        """How often each (task, host) of a run, which must succeed, has changed something."""
        results = self.directory / "results"
        results.unlink(missing_ok=True)
        run = self.run(*arguments, environment={
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugin/support"), "ANSIBLE_CALLBACKS_ENABLED": "callback",
            "MINICLUSTER_RESULTS": str(results)})
        assert run.status == 0, run.text
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        return collections.Counter((it["task"], it["host"]) for it in lines if it["result"].get("changed"))

    def run(self, *arguments, kill_at=None, environment=None, playbook="site.yml"):
        """Runs site.yml or another playbook; with `kill_at`, kills all of the run as soon as its output has that text."""
        command = ["ansible-playbook", ROOT / playbook, *arguments]
        process = subprocess.Popen(command, cwd=self.directory, env=self.environment | (environment or {}), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = []
        hangs = threading.Timer(DEADLINE, kill, [process.pid])
        hangs.start()
        with process.stdout as output:
            for line in output:
                lines.append(line)
                if kill_at and kill_at in line:
                    kill(process.pid)
        status = process.wait()
        assert hangs.is_alive(), f"still running after {DEADLINE} s: {''.join(lines)}"
        hangs.cancel()
        return Run(status, "".join(lines))

    def on(self, host, script):
        """Standard output of a shell script as root on a host, all of whose commands must succeed."""
        done = self.ask(host, script)
        if done.returncode:
            raise AssertionError(f"on {host}: {script}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def on_credentials(self, host, script):
        """The same, in the directory of the host's certificates."""
        return self.on(host, f"cd {CREDENTIALS}\n{script}")

    def address(self, host):
        return f"{self.subnet}.{10 + int(host.removeprefix('host'))}"

    def fails(self, host, script, *statuses):
        """Standard output of a script that must fail on a host, with one of these statuses if there are any."""
        done = self.ask(host, script)
        # A host that is not reached, and a program that is not there, have refused nothing.
        if done.returncode in (0, 126, 127, 255) or statuses and done.returncode not in statuses:
            raise AssertionError(f"on {host} does not fail so: {script}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def absent(self, host, *patterns):
        """None of these paths is on a host."""
        for pattern in patterns:
            found = self.on(host, f'for it in {pattern}; do if [ -e "$it" ] || [ -L "$it" ]; then echo "$it"; fi; done')
            assert not found, f"on {host} there is {found}"

    def ask(self, host, script):
        return subprocess.run(["ssh", "-F", self.directory / "ssh_config", host, "sudo", *SHELL], input=whole(script),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @contextlib.contextmanager
    def dead(self, *hosts):
        """Hosts whose power is off."""
        self.docker("kill", *(f"minicluster-{self.name}-{host}" for host in hosts))
        try:
            yield
        finally:
            self.up()

    @contextlib.contextmanager
    def unplugged(self, *hosts):
        """Hosts without their network cable: no goodbye, so that connections which are open hang."""
        network = f"minicluster-{self.name}"
        for host in hosts:
            self.docker("network", "disconnect", network, f"{network}-{host}")
        try:
            yield
        finally:
            for host in hosts:
                self.docker("network", "connect", "--ip", self.address(host), network, f"{network}-{host}")

    @staticmethod
    def docker(*arguments):
        subprocess.run(["docker", *arguments], check=True, stdout=subprocess.DEVNULL)

    def placed(self, service):
        """The hosts on which the inventory places a service."""
        graph = subprocess.run(["ansible", service, "--list-hosts"], cwd=self.directory, env=self.environment,
                               check=True, stdout=subprocess.PIPE, text=True).stdout
        _, _, *hosts = graph.split()
        assert hosts, f"{service} runs nowhere"
        return hosts
