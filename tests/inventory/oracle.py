"""Asks Ansible what inventories mean, many in one process.

Standard input has one JSON object a line: {"name", "hosts": path of the file, "script": path of an
executable that prints our --list, or null where we refused the file, "effective": path of our view of
every host's variables, "services": {name: hosts} published beside the groups of the file}. Standard output has one JSON object a line: {"name", "accepted": whether
Ansible reads the file, "error", "differences": [...] between the file read directly, the script's
output, and our view}.
"""

import json
import random
import sys

from ansible import constants
from ansible._internal._json._profiles import _inventory_legacy
from ansible.inventory.helpers import get_group_vars
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.display import Display
from ansible.utils.vars import combine_vars

WHERE = ("inventory_file", "inventory_dir")


def known(variables):
    return {name: value for name, value in variables.items() if name not in WHERE}


def encode(value):
    """The JSON text of variables as `ansible-inventory --list` has it, encrypted and unsafe strings marked."""
    document = {"_meta": {"hostvars": {"x": value}}}
    text = json.dumps(document, cls=_inventory_legacy.Encoder)
    return json.loads(text)["_meta"]["hostvars"]["x"]


def order(group):
    """The hosts of a group as Ansible orders them, or None where that depends on the order of a Python set."""

    def walk(arrange):
        seen, level = set(), [group, *group.child_groups]
        ordered = list(level)
        while level:
            seen.update(level)
            below = [child for parent in arrange(level) for child in parent.child_groups if child not in seen]
            ordered += below
            level = list(dict.fromkeys(below))
        return list(dict.fromkeys(host.name for group in ordered for host in group.hosts))

    def shuffled(level):
        return random.sample(level, len(level))

    orders = [walk(arrange) for arrange in (list, lambda level: level[::-1], *[shuffled] * 6)]
    return orders[0] if all(it == orders[0] for it in orders) else None


def load(path, plugins):
    constants.INVENTORY_ENABLED = plugins
    inventory = InventoryManager(loader=DataLoader(), sources=[path])
    groups = {
        name: {
            "hosts": [host.name for host in group.hosts],
            "children": [child.name for child in group.child_groups],
            "members": sorted(host.name for host in group.get_hosts()),
            "vars": encode(known(group.vars)),
            "priority": group.priority,
            "depth": group.depth,
            "order": order(group),
        }
        for name, group in inventory.groups.items()
    }
    effective = {
        host.name: encode(known(combine_vars(get_group_vars(host.get_groups()), host.vars)))
        for host in inventory.hosts.values()
    }
    hosts = {host.name: encode(known(host.vars)) for host in inventory.hosts.values()}
    actual = {name: [host.name for host in group.get_hosts()] for name, group in inventory.groups.items()}
    return {"groups": groups, "hosts": hosts, "effective": effective, "actual": actual, "named": list(inventory.hosts)}


def misplaced(direct, actual, where):
    """Groups whose hosts are in another order than that of the file, where the file has one."""
    for name, group in direct["groups"].items():
        if group["order"] is not None and name in actual and actual[name] != group["order"]:
            yield f"{where} order of {name}: {actual[name]}, not {group['order']}"


def differences(one, other, path=""):
    """Where two documents differ; equal text decides, so that NaN equals NaN and 1 is not 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(set(one) | set(other)):
            if key not in one or key not in other:
                yield f"{path}/{key}: only in {'the first' if key in one else 'the second'}"
            else:
                yield from differences(one[key], other[key], f"{path}/{key}")
    elif json.dumps(one) != json.dumps(other):
        yield f"{path}: {json.dumps(one)} != {json.dumps(other)}"


def without_services(published, services):
    """The published inventory as it would be without services, and what is wrong with them.

    A host that runs a service is in a group, so `ungrouped` empties; groups may lie deeper, as long as
    every host sees the same variables.
    """
    wrong = []
    flags = {f"enable_{name}" for name in services}
    for name, hosts in services.items():
        group = published["groups"].pop(name)
        if group["members"] != sorted(hosts):
            wrong.append(f"service {name} runs on {group['members']}, not {sorted(hosts)}")
        published["groups"]["all"]["children"].remove(name)
    if published["groups"].pop("ungrouped_hosts", None):
        published["groups"]["all"]["children"].remove("ungrouped_hosts")
    for host, variables in published["effective"].items():
        on = {flag for flag in flags if variables.pop(flag)}
        if on != {f"enable_{name}" for name, hosts in services.items() if host in hosts}:
            wrong.append(f"{host} has {on} enabled")
    for flag in flags:
        del published["groups"]["all"]["vars"][flag]
    return wrong


def without_depths(inventory):
    for name, group in inventory["groups"].items():
        del group["depth"]
        if name == "ungrouped":
            group["hosts"], group["members"] = [], []
        if name == "all":
            # Listed so that they keep their order.
            group["hosts"] = []
    return inventory


def cause(error):
    # The inventory manager shows the real error as a warning and raises a general one.
    return "; ".join([str(error), *MISTAKES])[:500]


def judge(case):
    MISTAKES.clear()
    try:
        direct = load(case["hosts"], ["auto", "yaml", "ini", "toml"])
    except Exception as error:  # Ansible raises many types here, and its callers catch all of them
        return {"accepted": False, "error": cause(error), "differences": []}
    found = list(misplaced(direct, direct["actual"], "Ansible's own"))
    if case["script"]:
        published = load(case["script"], ["script"])
        actual, named = published.pop("actual"), published.pop("named")
        del direct["actual"]
        if case["services"]:
            del actual["ungrouped"]
            if named != direct["named"]:
                found.append(f"published order of names: {named}, not {direct['named']}")
        found += misplaced(direct, actual, "published")
        del direct["named"]
        if case["services"]:
            found += without_services(published, case["services"])
            without_depths(published)
            without_depths(direct)
        orders = {name: group.pop("order") for name, group in direct["groups"].items()}
        for group in published["groups"].values():
            del group["order"]
        found += [f"published{it}" for it in differences(direct, published)]
        with open(case["effective"], encoding="utf-8") as file:
            ours = json.load(file)
        found += [f"ours{it}" for it in differences(direct["effective"], ours["effective"], "/effective")]
        members = {name: group["members"] for name, group in direct["groups"].items()}
        if not case["services"]:
            mine = {name: sorted(hosts) for name, hosts in ours["members"].items()}
            found += [f"ours{it}" for it in differences(members, mine, "/members")]
            for name, hosts in ours["members"].items():
                if orders.get(name) is not None and hosts != orders[name]:
                    found.append(f"our order of {name}: {hosts}, not {orders[name]}")
    return {"accepted": True, "error": None, "differences": found}


MISTAKES = []
Display.error_as_warning = lambda self, msg, exception: MISTAKES.append(str(exception))
init_plugin_loader()
for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps({"name": case["name"], **judge(case)}), flush=True)
