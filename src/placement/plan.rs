//! What a placement changes, compared with the lock: each instance that moves, is new, or goes.

use std::fmt;

use serde::Serialize;

use super::lock::{Instances, Lock, Standing};

/// What happens to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The lock does not know the service.
    New,
    /// Some of its instances change.
    Changed,
    /// It is in the lock, but not among the services (or disabled).
    Removed,
}

/// An instance that leaves one host for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The host it leaves.
    pub from: String,
    /// The host it goes to.
    pub to: String,
}

/// All changes of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The service.
    pub service: String,
    /// Whether the service as a whole comes or goes.
    pub action: Action,
    /// Whether its instances hold data, which a move leaves behind. Not known of a removed service.
    pub stateful: bool,
    /// Instances that move.
    pub moved: Vec<Move>,
    /// Hosts that get an additional instance.
    pub added: Vec<String>,
    /// Hosts that lose one without a replacement.
    pub removed: Vec<String>,
    /// Another master, where one is elected and was before: where it was, where it will be.
    pub master: Option<Move>,
}

/// Every change, by service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Services with changes.
    pub changes: Vec<Change>,
    /// Instances that stay where they are.
    pub kept: usize,
}

impl Plan {
    /// Compares two locks; `is_stateful` tells which services hold data.
    pub fn between(before: &Lock, after: &Lock, is_stateful: impl Fn(&str) -> bool) -> Self {
        let nothing = Instances::new();
        let mut plan = Self::default();
        let mut names: Vec<&String> = before.instances.keys().chain(after.instances.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let old = before.service(name).unwrap_or(&nothing);
            let new = after.service(name).unwrap_or(&nothing);
            let gone: Vec<&String> = old.keys().filter(|host| !new.contains_key(*host)).collect();
            let come: Vec<&String> = new.keys().filter(|host| !old.contains_key(*host)).collect();
            plan.kept += new.len() - come.len();
            let pairs = gone.len().min(come.len());
            let moved =
                gone.iter().zip(&come).map(|(from, to)| Move { from: (*from).clone(), to: (*to).clone() });
            let rest = |hosts: &[&String]| hosts.iter().skip(pairs).copied().cloned().collect();
            let change = Change {
                service: name.clone(),
                action: match (before.service(name), after.service(name)) {
                    (None, _) => Action::New,
                    (_, None) => Action::Removed,
                    _ => Action::Changed,
                },
                stateful: is_stateful(name),
                moved: moved.collect(),
                added: rest(&come),
                removed: rest(&gone),
                master: master(old)
                    .zip(master(new))
                    .filter(|(from, to)| from != to)
                    .map(|(from, to)| Move { from, to }),
            };
            if !(gone.is_empty() && come.is_empty() && change.master.is_none()) {
                plan.changes.push(change);
            }
        }
        plan
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Numbers of instances that move, are added, and are removed.
    pub fn totals(&self) -> (usize, usize, usize) {
        let sum = |of: fn(&Change) -> usize| self.changes.iter().map(of).sum();
        (
            sum(|change| change.moved.len()),
            sum(|change| change.added.len()),
            sum(|change| change.removed.len()),
        )
    }

    /// The totals in a sentence.
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return format!("nothing changes: {} stay where they are", counted(self.kept, "instance"));
        }
        let (moved, added, removed) = self.totals();
        let masters = self.changes.iter().filter(|change| change.master.is_some()).count();
        let counts = [
            (moved, "move"),
            (added, "new instance"),
            (removed, "removed instance"),
            (masters, "other master"),
        ];
        let parts: Vec<String> = counts
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| counted(number, what))
            .collect();
        format!("{}; {} unchanged", parts.join(", "), counted(self.kept, "instance"))
    }

    /// A warning for each service that holds data and moves.
    pub fn data_left_behind(&self) -> Vec<String> {
        let moves = self.changes.iter().filter(|change| change.stateful && !change.moved.is_empty());
        let warning = |change: &Change| {
            let moves: Vec<String> = change.moved.iter().map(ToString::to_string).collect();
            format!(
                "service '{}' holds data, which does not move with it: {}; what lies on the host it leaves is kept there",
                change.service,
                moves.join(", ")
            )
        };
        moves.map(warning).collect()
    }
}

impl fmt::Display for Move {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} → {}", self.from, self.to)
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn master(instances: &Instances) -> Option<String> {
    instances.iter().find(|&(_, &standing)| standing == Standing::Master).map(|(host, _)| host.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(lines: &str) -> Lock {
        Lock::parse("l", &format!("minicluster-lock 1\n{lines}")).unwrap()
    }

    #[test]
    fn changes_are_told_apart() {
        let before = lock("stays a\nmoves a\nmoves b master\nshrinks a\nshrinks b\ngone a\n");
        let after = lock("stays a\nmoves a master\nmoves c\nshrinks b\nnew a\n");
        let plan = Plan::between(&before, &after, |name| name == "moves");
        let seen: Vec<_> = plan.changes.iter().map(|c| (c.service.as_str(), c.action, c.stateful)).collect();
        assert_eq!(
            seen,
            [
                ("gone", Action::Removed, false),
                ("moves", Action::Changed, true),
                ("new", Action::New, false),
                ("shrinks", Action::Changed, false),
            ]
        );
        assert_eq!(plan.changes[1].moved, [Move { from: "b".into(), to: "c".into() }]);
        assert_eq!(plan.changes[1].master, Some(Move { from: "b".into(), to: "a".into() }));
        assert_eq!((plan.totals(), plan.kept), ((1, 1, 2), 3));
        assert!(Plan::between(&after, &after, |_| false).is_empty());
    }
}
