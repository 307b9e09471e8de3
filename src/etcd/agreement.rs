//! When the word of others is enough. Fewer than half of the hosts may be wrong, or in somebody else's hands.

use super::{Id, Member};

/// What others say of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough of them say that the cluster has removed it, and none says otherwise. Its number never comes back.
    Removed,
    /// At least one of them lists it.
    Listed,
    /// Nobody lists it, but fewer than `needed` have spoken.
    Unclear {
        /// How many say that it was removed.
        said: usize,
        /// How many have to.
        needed: usize,
    },
}

/// How many of `hosts` have to say the same, so that at least one of them is right.
pub fn words_needed(hosts: usize) -> usize {
    hosts.div_ceil(2).max(1)
}

/// Whether the cluster has removed `member`, by the `lists` of members that answer with a majority behind them, where
/// `hosts` ought to be in the cluster.
pub fn verdict<'a>(member: Id, lists: impl IntoIterator<Item = &'a [Member]>, hosts: usize) -> Verdict {
    let mut said = 0;
    for list in lists {
        if list.iter().any(|it| it.id == member) {
            return Verdict::Listed;
        }
        said += 1;
    }
    let needed = words_needed(hosts);
    if said >= needed { Verdict::Removed } else { Verdict::Unclear { said, needed } }
}
