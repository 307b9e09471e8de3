"""What the tests of the action plugin share: a real host reached by ssh, and projects that run real Ansible."""

from .host import Host
from .project import Project, Run

__all__ = ["Host", "Project", "Run"]
