"""What the pages tell an operator to type works, in their order, on hosts that are new: each block is run, or says where it is."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from cluster import ROOT, Cluster

# Blocks that are not typed in the project directory of a cluster like this one, by their first line, and where they are tried.
ELSEWHERE = {
    ("README.md", "make demo"): "a person runs it; its parts are those of this test and of molecule",
    ("docs/getting-started.md", "make"): "this checkout is built",
    ("docs/bootstrapping.md", None): "molecule/bootstrap",
    ("docs/containers.md", None): "test_containers",
    ("docs/limits.md", "rustup target add"): "needs a compiler for another architecture",
    ("docs/placement.md", "ansible-playbook site.yml -e services_remove_all=true"): "test_services",
    ("roles/common/README.md", None): "test_certificates, test_lost_ca",
    ("roles/purge/README.md", None): "the same commands stand in docs/writing-a-service.md",
}


def blocks(page, language="sh"):
    """The fenced blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("", name="docs", subnet="10.213.22", count=3)
        cls.addClassCleanup(cls.cluster.close)
        cls.place = cls.cluster.directory / "operator"
        cls.place.mkdir()
        cls.directory = cls.place
        cls.run_blocks = set()
        # Ansible's own settings are those of the directory that `minicluster init` makes.
        cls.environment = {name: it for name, it in os.environ.items() if not name.startswith(("ANSIBLE_", "MINICLUSTER_"))}
        cls.environment["PATH"] = f"{ROOT}/.venv/bin:{ROOT}/inventory:{os.environ['PATH']}"
        cls.environment["HOME"] = str(cls.place)

    def shell(self, script):
        """What a script says in the operator's directory, which is the one where the script before it ended."""
        where = self.cluster.directory / "where"
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", f"{script}\npwd >{where}"], cwd=self.directory,
                              env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}")
        type(self).directory = pathlib.Path(where.read_text().strip())
        return done.stdout

    def page(self, page, begins):
        """Runs the block of a page whose first line begins so."""
        (block,) = (it for it in blocks(page) if it.startswith(begins))
        self.run_blocks.add((page, block))
        return self.shell(block)

    def test_every_command_works(self):
        start = "docs/getting-started.md"
        self.page(start, "minicluster init demo")
        demo = self.directory
        self.assertEqual(demo.name, "demo")
        hosts = (self.cluster.directory / "hosts").read_text()
        (demo / "hosts").write_text("\n".join(it for it in hosts.splitlines() if not it.startswith("domain=")) + "\n")
        self.page(start, "source <(minicluster completions bash)")
        said = self.page(start, "minicluster check")
        self.assertIn("would change:", said)
        self.assertRegex(said, r"host1 +: ok=\d+ +changed=[1-9]")
        for host in ("host1", "host2", "host3"):
            self.cluster.on(host, "systemctl is-active etcd prometheus prometheus-alertmanager prometheus-node-exporter")

        self.page("README.md", "minicluster plan ")
        self.page("docs/placement.md", "minicluster plan\nminicluster explain hello")
        self.page("docs/placement.md", "minicluster rebalance")
        self.assertIn("host1", self.page("docs/certificates.md", "ansible-playbook site.yml --tags credentials"))
        metrics = "docs/monitoring.md"
        (block,) = blocks(metrics)
        self.run_blocks.add((metrics, block))
        self.assertIn('"status":"success"', self.cluster.on("host1", block))

        # The service and its role as the page shows them.
        service = "docs/writing-a-service.md"
        described, role = blocks(service, "yaml")[:2]
        with (demo / "services.yml").open("a") as services:
            services.write(described)
        (demo / "roles/web/tasks").mkdir(parents=True)
        (demo / "roles/web/tasks/main.yml").write_text(role)
        shutil.copytree(ROOT / "tests/faults/roles/web/templates", demo / "roles/web/templates")
        said = self.page(service, "minicluster plan ")
        self.assertRegex(said, r"(?m)^changed: .*the units of web")
        placed = re.findall(r"(?m)^ +(host\d)", self.shell("ansible web --list-hosts"))
        self.assertEqual(len(placed), 2)
        for host in placed:
            self.cluster.on(host, "systemctl is-active web; test -d /var/lib/web")

        text = (demo / "services.yml").read_text()
        (demo / "services.yml").write_text(text.removesuffix(described))
        self.shell("ansible-playbook site.yml")
        for host in placed:
            self.cluster.fails(host, "systemctl is-active web", 3, 4)
        self.assertIn("/var/lib/web", self.page(service, "minicluster purge web"))
        for host in placed:
            self.cluster.absent(host, "/var/lib/web")

        self.page("docs/keys.md", "ansible-playbook rotate.yml")
        type(self).directory = ROOT
        self.page("docs/modules-and-roles.md", ".venv/bin/ansible-doc")

        pages = ["README.md", *(str(it.relative_to(ROOT)) for folder in ("docs", "roles") for it in (ROOT / folder).rglob("*.md"))]
        elsewhere = [(page, block) for page in pages for block in blocks(page)
                     if any(name == page and block.startswith(begins or "") for name, begins in ELSEWHERE)]
        forgotten = {(page, block) for page in pages for block in blocks(page)} - self.run_blocks - set(elsewhere)
        self.assertEqual(forgotten, set(), "run them, or say where they are tried")
