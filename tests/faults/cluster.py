"""Five local hosts and the operator's directory, for tests that break things on the way."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUBNET = "10.213.3"
HOSTS = [f"host{number}" for number in range(1, 6)]

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
        return sum(host["changed"] for host in self.recap.values())

    def play(self, name):
        """The output of one play."""
        after = self.text.partition(f"PLAY [{name}")[2]
        return re.split(r"PLAY (?:\[|RECAP)", after)[0]


class Cluster:
    """Hosts of their own for a test class; `name` keeps two of them apart."""

    def __init__(self, services, name="faults"):
        self.name = name
        self.directory = ROOT / ".cache/clusters" / name
        self.hosts("down")
        self.hosts("up", "5", SUBNET)
        self.write_services(services)
        self.environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_NOCOLOR="1",
                                ANSIBLE_ROLES_PATH=f"{ROOT}/roles:{ROOT}/tests/faults/roles")

    def hosts(self, command, *arguments):
        subprocess.run([ROOT / "molecule/node/cluster", command, self.name, *arguments], check=True)

    def close(self):
        self.hosts("down")

    def write_services(self, text):
        (self.directory / "services.yml").write_text(text)

    def lock(self):
        """services.lock as it lies there; empty where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "services.lock").read_text()
        return ""

    def run(self, *arguments, kill_at=None, environment=None):
        """Runs site.yml; with `kill_at`, kills all of the run as soon as its output has that text."""
        command = ["ansible-playbook", ROOT / "site.yml", *arguments]
        process = subprocess.Popen(command, cwd=self.directory, env=self.environment | (environment or {}), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        lines = []
        with process.stdout as output:
            for line in output:
                lines.append(line)
                if kill_at and kill_at in line:
                    os.killpg(process.pid, signal.SIGKILL)
        return Run(process.wait(), "".join(lines))

    def on(self, host, command):
        """Standard output of a shell command as root on a host."""
        done = subprocess.run(["ssh", "-F", self.directory / "ssh_config", host, "sudo", "bash", "-s"], input=command,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise AssertionError(f"on {host}: {command}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    @contextlib.contextmanager
    def dead(self, host):
        """A host whose power is off."""
        box = f"minicluster-{self.name}-{host}"
        subprocess.run(["docker", "kill", box], check=True, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            self.hosts("up", "5", SUBNET)

    def running(self, service):
        """The hosts on which the inventory places a service."""
        graph = subprocess.run(["ansible", service, "--list-hosts"], cwd=self.directory, env=self.environment,
                               check=True, stdout=subprocess.PIPE, text=True).stdout
        return graph.split()[2:]

    def forget(self):
        """Removes everything the operator's directory holds of earlier runs, the CA too."""
        for name in ["services.lock", "private"]:
            path = self.directory / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
