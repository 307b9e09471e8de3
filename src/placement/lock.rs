//! `services.lock`: where every instance runs and which uid each service's user has, one line each, so that git shows and
//! merges moves.
//!
//! Lines may stand in any order and more than once, so the result of a union merge is a valid lock; of instances, what
//! does not fit the hosts or services of today is dropped by the next placement, and uids stay. The line `end`, wherever it
//! is after a merge, says that the file is whole; files of version 1 had none, and those of version 2 no uids.

use std::collections::BTreeMap;
use std::fmt;

use super::cluster::Cluster;
use super::demand::Demands;
use super::place::Placement;
use super::uids::{UidLines, Uids};
use crate::diagnostic::{Diagnostic, Diagnostics, Location};

const HEADER: &str = "\
# Where every instance of every service runs: one line each. Written by minicluster, not by hand;
# commit it beside services.yml. An instance stays on its host as long as that host may run it. A line
# 'uid user number' is the number that the user of a service gets on every host, for good.
minicluster-lock 3
";
const END: &str = "end";

/// What an instance is to its service, from the least wanted to the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is not placed there any more, but the run that recorded this did not turn it down.
    Leaving,
    /// One among equals.
    #[default]
    Member,
    /// The elected one.
    Master,
}

impl Standing {
    /// The word at the end of its line.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Leaving => Some("leaving"),
            Self::Member => None,
            Self::Master => Some("master"),
        }
    }
}

/// The instances of one service, by host.
pub type Instances = BTreeMap<String, Standing>;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Instances by service and host.
    pub instances: BTreeMap<String, Instances>,
    /// Numbers of the services' users, also of services that are gone.
    pub uids: Uids,
}

impl Lock {
    /// Reads the text of a lock file.
    pub fn parse(label: &str, text: &str) -> Result<Self, Diagnostics> {
        let file = label.into();
        let mut mistakes = Diagnostics::new();
        let mut lock = Self::default();
        let (mut version, mut whole) = (None, false);
        let mut uids = UidLines::default();
        for (number, line) in text.lines().enumerate() {
            let mut wrong = |message: String| {
                let location = Location { line: number + 1, column: 0 };
                mistakes.push(Diagnostic::new(&file, location, message));
            };
            let mut found = |service: &str, host: &str, standing: Standing| {
                let instances = lock.instances.entry(service.into()).or_default();
                let known = instances.entry(host.into()).or_insert(standing);
                *known = standing.max(*known);
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                [END] => whole = true,
                ["minicluster-lock", "1"] => version = version.max(Some(1)),
                ["minicluster-lock", "2"] => version = version.max(Some(2)),
                ["minicluster-lock", "3"] => version = version.max(Some(3)),
                ["minicluster-lock", other] => {
                    (version, whole) = (Some(0), true);
                    wrong(format!(
                        "a lock of version '{other}', which this minicluster does not read: update it"
                    ));
                }
                [mark, ..] if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].contains(&mark) => {
                    whole = true;
                    wrong(
                        "an unresolved merge conflict: delete the markers, keep the lines of both sides"
                            .into(),
                    );
                }
                [service, host] => found(service, host, Standing::Member),
                [service, host, "master"] => found(service, host, Standing::Master),
                [service, host, "leaving"] => found(service, host, Standing::Leaving),
                // After the others: a service may be called 'uid'.
                ["uid", user, uid] if uid.bytes().all(|it| it.is_ascii_digit()) => {
                    if let Err(message) = uids.add(number + 1, user, uid) {
                        wrong(message);
                    }
                }
                _ => wrong(format!(
                    "'{line}' is not of the form 'service host', 'service host master', 'service host leaving' or 'uid user \
                     number'"
                )),
            }
        }
        let (uids, contradictions) = uids.end();
        lock.uids = uids;
        mistakes.extend(
            contradictions
                .into_iter()
                .map(|(line, message)| Diagnostic::new(&file, Location { line, column: 0 }, message)),
        );
        let back = format!(
            "bring it back from git (`git checkout {label}`) or a backup; without one, remove the file, and instances may move"
        );
        if text.trim().is_empty() {
            return Err(vec![Diagnostic::of_file(&file, format!("is empty, so it was lost; {back}"))]);
        }
        if version.is_none() && !whole {
            let location = Location { line: 1, column: 0 };
            let message =
                format!("not a lock file, or only a part of one: no line 'minicluster-lock 3'; {back}");
            return Err(vec![Diagnostic::new(&file, location, message)]);
        }
        if version >= Some(2) && !whole {
            let message = format!("is cut short: no line 'end'; {back}");
            mistakes.push(Diagnostic::of_file(&file, message));
        }
        if mistakes.is_empty() { Ok(lock) } else { Err(mistakes) }
    }

    /// The lock that records a placement, and these numbers of users.
    pub fn of(cluster: &Cluster, demands: &Demands, placement: &Placement, uids: &Uids) -> Self {
        let services = demands.0.iter().zip(&placement.assignments).map(|(demand, assignment)| {
            let standing = |host| {
                if assignment.master == Some(host) { Standing::Master } else { Standing::Member }
            };
            let instances =
                assignment.hosts.iter().map(|&host| (cluster.name(host).to_owned(), standing(host)));
            (demand.name.clone(), instances.collect())
        });
        Self { instances: services.collect(), uids: uids.clone() }
    }

    /// The instances of a service.
    pub fn service(&self, name: &str) -> Option<&Instances> {
        self.instances.get(name)
    }

    /// Adds the instances of `other` that are not here as leaving: what a run that skips hosts does not turn
    /// down may still be there, but must not win over an instance that is placed.
    pub fn keeping(mut self, other: &Self) -> Self {
        for (service, instances) in &other.instances {
            let mine = self.instances.entry(service.clone()).or_default();
            for host in instances.keys() {
                mine.entry(host.clone()).or_insert(Standing::Leaving);
            }
        }
        self
    }
}

/// The text of the file: sorted, so that equal placements are equal files.
impl fmt::Display for Lock {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(HEADER)?;
        for (service, instances) in &self.instances {
            for (host, standing) in instances {
                let word = standing.word().map(|word| format!(" {word}")).unwrap_or_default();
                writeln!(formatter, "{service} {host}{word}")?;
            }
        }
        write!(formatter, "{}", self.uids)?;
        writeln!(formatter, "{END}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        Lock::parse("services.lock", text)
            .expect_err("must not parse")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = format!(
            "{HEADER}db host1\ndb host2 master\nweb host10\nweb host2\nweb host3 leaving\nuid db 560\nuid gone 423\nuid web 422\nend\n"
        );
        let lock = Lock::parse("services.lock", &text).unwrap();
        assert_eq!(lock.to_string(), text);
    }

    #[test]
    fn a_union_merge_is_a_lock() {
        let merged = "minicluster-lock 1\nweb b\nweb a\nweb b master\nminicluster-lock 1\nweb b\nweb a leaving\n\ndb a\n";
        let lock = Lock::parse("services.lock", merged).unwrap();
        assert_eq!(lock.to_string(), format!("{HEADER}db a\nweb a\nweb b master\nend\n"));
    }

    #[test]
    fn lines_may_stand_in_any_order_and_versions_may_be_merged() {
        let merged = "web b\nend\nminicluster-lock 2\nweb a\nminicluster-lock 1\nend\ndb a\n";
        let lock = Lock::parse("services.lock", merged).unwrap();
        assert_eq!(lock.to_string(), format!("{HEADER}db a\nweb a\nweb b\nend\n"));
    }

    #[test]
    fn a_lock_that_was_cut_is_refused_wherever() {
        let text = format!("{HEADER}db host1\ndb host2 master\nuid db 560\nend\n");
        for end in 0..text.len() {
            let cut = Lock::parse("services.lock", &text[..end]);
            assert_eq!(cut.is_ok(), end == text.len() - 1, "{:?}", &text[..end]);
        }
        assert!(
            mistakes("")[0].contains("is empty") && mistakes(" \n")[0].contains("git checkout services.lock")
        );
        assert!(mistakes("\0\0\0")[0].contains("not a lock file"));
        assert_eq!(mistakes("minicluster-lock 2\nweb a\n").len(), 1);
    }

    #[test]
    fn every_mistake_is_reported() {
        assert_eq!(
            mistakes("minicluster-lock 1\n<<<<<<< HEAD\nweb a\n=======\nweb b master now\n>>>>>>> other\n"),
            [
                "services.lock:2: an unresolved merge conflict: delete the markers, keep the lines of both sides",
                "services.lock:4: an unresolved merge conflict: delete the markers, keep the lines of both sides",
                "services.lock:5: 'web b master now' is not of the form 'service host', 'service host master', 'service host leaving' or 'uid user number'",
                "services.lock:6: an unresolved merge conflict: delete the markers, keep the lines of both sides",
            ]
        );
        assert_eq!(
            mistakes("web a\n"),
            [
                "services.lock:1: not a lock file, or only a part of one: no line 'minicluster-lock 3'; bring it back from \
                 git (`git checkout services.lock`) or a backup; without one, remove the file, and instances may move"
            ]
        );
        assert!(mistakes("minicluster-lock 4\nweb a\n")[0].contains("version '4'"));
    }

    #[test]
    fn a_union_merge_keeps_the_uids_of_both_branches() {
        let merged = "minicluster-lock 3\nuid db 560\nuid web 422\nend\nminicluster-lock 2\nend\nminicluster-lock 3\nuid web 422\nuid uid 500\nuid mail 556\nuid master\nuid a master\nend\n";
        let lock = Lock::parse("services.lock", merged).unwrap();
        assert_eq!(
            lock.to_string(),
            format!(
                "{HEADER}uid a master\nuid master\nuid db 560\nuid mail 556\nuid uid 500\nuid web 422\nend\n"
            )
        );
    }

    #[test]
    fn branches_that_chose_uids_for_themselves_are_told_apart() {
        assert_eq!(
            mistakes(
                "minicluster-lock 3\nuid web 422\nuid db 560\nend\nuid batch 422\nuid db 561\nuid old 99\nuid new 1000\nuid x 99999999999\n"
            ),
            [
                "services.lock:7: user 'old' has the uid 99, but services' users have one from 100 to 999: bring the line back \
                 from git, or remove it, and the next run chooses another",
                "services.lock:8: user 'new' has the uid 1000, but services' users have one from 100 to 999: bring the line back \
                 from git, or remove it, and the next run chooses another",
                "services.lock:9: user 'x' has the uid 99999999999, but services' users have one from 100 to 999: bring the line \
                 back from git, or remove it, and the next run chooses another",
                "services.lock:5: uid 422 is given to 'batch' here and to 'web' in line 2, as after a merge of two branches: \
                 remove the line of the user that no host has yet; the next run chooses another uid for it",
                "services.lock:6: user 'db' has the uid 561 here and 560 in line 3, as after a merge of two branches: keep the \
                 line with the uid that hosts have (`id -u db`), remove the other",
            ]
        );
    }

    #[test]
    fn keeping_forgets_nothing() {
        let parse = |text: &str| Lock::parse("l", &format!("minicluster-lock 1\n{text}")).unwrap();
        let kept = parse("web a\nweb b master\n").keeping(&parse("web c master\nold d\nweb a\n"));
        assert_eq!(kept, parse("old d leaving\nweb a\nweb b master\nweb c leaving\n"));
    }
}
