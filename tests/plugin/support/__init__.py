"""What the tests of the action plugin share: a real host reached by ssh, and projects that run real Ansible."""

from .case import HostCase
from .host import Host
from .project import Project, Run, probe

__all__ = ["Host", "HostCase", "Project", "Run", "probe"]
