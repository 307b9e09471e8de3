//! Whose word counts: what is decided on the control node comes from the inventory's variables, which must be the
//! same for the whole cluster, and never from facts.

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// Nothing is decided where facts that hosts return stand as variables.
pub fn refuse_facts(inject_facts_as_vars: bool) -> Result<()> {
    if inject_facts_as_vars {
        bail!(
            "set `inject_facts_as_vars = false` below `[defaults]` in ansible.cfg: with Ansible's default, a host that \
             was taken over can return facts named `services`, `domain` or `addresses`, and so be certified under any \
             name"
        );
    }
    Ok(())
}

/// A host whose variables differ from those that certificates are signed with would ask for others in each run.
pub fn refuse_others(ours: &Map<String, Value>, host: &str, theirs: &Map<String, Value>) -> Result<()> {
    for (name, value) in ours {
        let other = theirs.get(name).unwrap_or(&Value::Null);
        if other != value {
            bail!(
                "the variable '{name}' is {other} for host '{host}', but certificates are signed with {value}: set it \
                 for all hosts alike, in group_vars/all"
            );
        }
    }
    Ok(())
}
