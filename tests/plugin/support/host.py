"""A host in a container: sshd, sudo, and users with different ways to become others."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Each user's way to root is another one that operators have.
SETUP = """set -e
ssh-keygen -A >/dev/null; mkdir -p /run/sshd
useradd --create-home --shell /bin/bash typist && echo typist:letmein | chpasswd
useradd --create-home --shell /bin/bash terminal
useradd --create-home --shell /bin/sh worker
useradd --no-create-home --home-dir /nonexistent homeless
echo root:rootword | chpasswd
cat > /etc/sudoers.d/plugin <<'EOF'
Defaults use_pty
typist ALL=(ALL) ALL
terminal ALL=(ALL) NOPASSWD: ALL
Defaults:terminal requiretty
EOF
for user in admin typist terminal; do
  install -d -m 0700 -o $user -g $user /home/$user/.ssh
  install -m 0600 -o $user -g $user /dev/stdin /home/$user/.ssh/authorized_keys <<EOF
$KEY
EOF
done
echo ready
# Tests connect many times at once.
exec /usr/sbin/sshd -D -e -o MaxStartups=100
"""


class Host:
    """The container and how Ansible reaches it. Removed by `remove`."""

    def __init__(self, *options: str):
        self.files = Path(tempfile.mkdtemp(prefix="minicluster-host-"))
        self.key = self.files / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        image = subprocess.run([ROOT / "molecule/node/image"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
        self.name = f"minicluster-plugin-{os.getpid()}-{self.files.name[-8:]}"
        public = (self.files / "key.pub").read_text()
        run = ["docker", "run", "--detach", "--name", self.name, "--env", f"KEY={public}", *options, image]
        subprocess.run([*run, "/bin/sh", "-ec", SETUP], check=True, stdout=subprocess.DEVNULL)
        inspect = ["docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name]
        self.address = subprocess.run(inspect, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
        self._wait_for_sshd()

    def _wait_for_sshd(self) -> None:
        until = time.monotonic() + 60
        while "Server listening" not in (log := self._log()):
            if time.monotonic() > until:
                raise TimeoutError(f"sshd did not start: {log}")
            time.sleep(0.05)

    def _log(self) -> str:
        logs = subprocess.run(["docker", "logs", self.name], check=True, text=True, capture_output=True)
        return logs.stdout + logs.stderr

    def shell(self, script: str, user: str = "root") -> str:
        """What `script` prints, run on the host beside Ansible; an error where it fails."""
        command = ["docker", "exec", "--user", user, self.name, "/bin/sh", "-ec", script]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
        return done.stdout

    def wait_for(self, path: str) -> None:
        """Waits until the file at `path` has something in it."""
        self.shell(f"timeout 60 sh -ec 'until [ -s {path} ]; do sleep 0.05; done'")

    def variables(self, user: str = "admin") -> dict:
        """Inventory variables for reaching the host as `user`."""
        return {
            "ansible_host": self.address,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.files}/known -o StrictHostKeyChecking=accept-new",
        }

    def remove(self) -> None:
        """Removes the container and its key."""
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", self.files], check=True)
