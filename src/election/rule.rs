//! The rules by name, so that a test can break each one in turn and see that the simulation notices.

/// A rule of the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A vote needs exactly N live members.
    ExactlyN,
    /// … unchanged for a while.
    Quiet,
    /// Two nodes with one id or one name end the election.
    NoDuplicates,
    /// Alive is who has answered a ping lately.
    Heartbeats,
    /// The candidate is the lowest member; a promise goes only to it.
    Lowest,
    /// A term is above every promised one, for the candidate who asks …
    TermAbove,
    /// … and for the member who promises.
    TermRises,
    /// A promise is for the membership that the node sees itself.
    SameDigest,
    /// A change of the membership before the lock begins a new attempt.
    BeginAgain,
    /// Nobody asks for votes while a member is locked.
    RespectLocks,
    /// Nothing is promised or locked after a lock.
    LockStays,
    /// What is answered is on the disk before.
    DiskFirst,
    /// A lock needs the promises of all N.
    AllPromise,
    /// The leader locks itself before it tells others to.
    LeaderFirst,
    /// A lock is accepted only for the latest promise.
    LatestPromise,
    /// The lock is acknowledged after the program for it has ended well.
    HookFirst,
    /// A start needs the locks of all N.
    AllLock,
    /// The start is on the disk before the action runs.
    StartedFirst,
    /// A member leaves when it hears of the start, not before.
    GoDecides,
    /// A restart keeps its votes.
    KeepVotes,
    /// A start that did not end well is done again.
    StartAgain,
    /// What may be lost is said again.
    Repeat,
}

impl Rule {
    /// `held`, unless a test has broken this rule: then true.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "which one it is matters to tests only")]
    pub(super) const fn kept(self, held: bool) -> bool {
        held
    }

    /// Whether it is in force: always, but in a test that breaks it.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "which one it is matters to tests only")]
    pub(super) const fn stands(self) -> bool {
        true
    }
}

#[cfg(test)]
thread_local! {
    /// The rule that is broken.
    pub static BROKEN: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
impl Rule {
    /// `held`, unless a test has broken this rule: then true.
    pub(super) fn kept(self, held: bool) -> bool {
        held || !self.stands()
    }

    /// Whether it is in force.
    pub(super) fn stands(self) -> bool {
        BROKEN.get() != Some(self)
    }
}
