//! Numbers of the services' users, the same on every host: chosen once, recorded in the lock, never given to another.
//!
//! A number depends on the user's name and on the numbers that are taken, so the inventory publishes what the lock will
//! record. A user that is gone keeps its number: what it left on the hosts must not become somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use super::rank::NameHash;

/// Between what Debian's packages take from below (100) and systemd-sysusers from above (999). Numbers from 1000 belong
/// to people: journald and logind treat them in another way.
pub const UIDS: RangeInclusive<u32> = 400..=899;

/// What a person may write, for users that hosts had before: numbers of system users.
const RECORDED: RangeInclusive<u32> = 100..=999;

/// The numbers, by user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uids(BTreeMap<String, u32>);

impl Uids {
    /// The number of a user.
    pub fn get(&self, user: &str) -> Option<u32> {
        self.0.get(user).copied()
    }

    /// Chooses a number for each of `users` that has none, and names those for which none is left.
    pub fn choose<'a>(&mut self, users: &BTreeSet<&'a str>) -> Vec<&'a str> {
        let mut taken: BTreeSet<u32> = self.0.values().copied().collect();
        let mut without = Vec::new();
        for &user in users {
            if self.0.contains_key(user) {
                continue;
            }
            match probe(user).find(|uid| !taken.contains(uid)) {
                Some(uid) => {
                    taken.insert(uid);
                    self.0.insert(user.to_owned(), uid);
                }
                None => without.push(user),
            }
        }
        without
    }
}

/// All numbers, in the order in which a user tries them.
fn probe(user: &str) -> impl Iterator<Item = u32> {
    let (first, last) = (*UIDS.start(), *UIDS.end());
    let start = first + NameHash::of(user).below(last - first + 1);
    (start..=last).chain(first..start)
}

/// The lines of a lock file that are about users; `end` follows.
#[derive(Default)]
pub(super) struct UidLines<'a>(Vec<(usize, &'a str, u32)>);

impl<'a> UidLines<'a> {
    /// Takes a line; the answer says what is wrong with it.
    pub(super) fn add(&mut self, line: usize, user: &'a str, uid: &str) -> Result<(), String> {
        match uid.parse() {
            Ok(number) if RECORDED.contains(&number) => {
                self.0.push((line, user, number));
                Ok(())
            }
            _ => Err(format!(
                "user '{user}' has the uid {uid}, but services' users have one from {} to {}: bring the line back from git, \
                 or remove it, and the next run chooses another",
                RECORDED.start(),
                RECORDED.end()
            )),
        }
    }

    /// The numbers, and where lines contradict each other, as after a merge of two branches.
    pub(super) fn end(self) -> (Uids, Vec<(usize, String)>) {
        let (mut by_user, mut by_uid) = (BTreeMap::new(), BTreeMap::new());
        let mut wrong = Vec::new();
        for (line, user, uid) in self.0 {
            let (first, recorded) = *by_user.entry(user).or_insert((line, uid));
            if recorded != uid {
                wrong.push((
                    line,
                    format!(
                        "user '{user}' has the uid {uid} here and {recorded} in line {first}, as after a merge of two branches: \
                         keep the line with the uid that hosts have (`id -u {user}`), remove the other"
                    ),
                ));
                continue;
            }
            let (first, owner) = *by_uid.entry(uid).or_insert((line, user));
            if owner != user {
                wrong.push((
                    line,
                    format!(
                        "uid {uid} is given to '{user}' here and to '{owner}' in line {first}, as after a merge of two branches: \
                         remove the line of the user that no host has yet; the next run chooses another uid for it"
                    ),
                ));
            }
        }
        (Uids(by_user.into_iter().map(|(user, (_, uid))| (user.to_owned(), uid)).collect()), wrong)
    }
}

/// The lines of the file.
impl fmt::Display for Uids {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|(user, uid)| writeln!(formatter, "uid {user} {uid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lock: &[(&str, u32)], users: &[&str]) -> Uids {
        let mut uids = Uids(lock.iter().map(|&(user, uid)| (user.to_owned(), uid)).collect());
        assert_eq!(uids.choose(&users.iter().copied().collect()), [""; 0]);
        uids
    }

    /// From an implementation of SipHash-1-3 in Python. Changing one makes branches disagree: never adapt them to the code.
    #[test]
    fn test_vectors() {
        for (user, uid) in
            [("web", 422), ("db", 560), ("hello", 502), ("mail", 556), ("foo-bar", 875), ("t2510", 899)]
        {
            assert_eq!(chosen(&[], &[user]).get(user), Some(uid), "{user}");
        }
    }

    #[test]
    fn a_number_that_is_taken_is_passed_over() {
        let batch = chosen(&[], &["batch"]);
        assert_eq!(batch.get("batch"), Some(422), "as web's");
        assert_eq!(chosen(&[("batch", 422)], &["web"]).get("web"), Some(423));
        assert_eq!(chosen(&[("batch", 422), ("gone", 423)], &["web"]).get("web"), Some(424));
        assert_eq!(chosen(&[("gone", 899), ("other", 400)], &["t2510"]).get("t2510"), Some(401));
        let both = chosen(&[], &["web", "batch"]);
        assert_eq!((both.get("batch"), both.get("web")), (Some(422), Some(423)), "whatever the order");
    }

    #[test]
    fn a_number_once_recorded_never_changes() {
        let uids = chosen(&[("web", 777), ("gone", 560)], &["web", "db"]);
        assert_eq!(uids.to_string(), "uid db 561\nuid gone 560\nuid web 777\n");
        assert_eq!(chosen(&[("gone", 560)], &["gone"]).get("gone"), Some(560), "back with the number it had");
    }

    #[test]
    fn every_number_is_used_and_then_none_is_left() {
        let names: Vec<String> = (0..502).map(|it| format!("s{it:03}")).collect();
        let mut uids = Uids::default();
        let without = uids.choose(&names.iter().map(String::as_str).collect());
        assert_eq!(without, ["s500", "s501"]);
        assert_eq!(uids.0.values().copied().collect::<BTreeSet<_>>(), UIDS.collect());
    }
}
