//! What must hold in every schedule: the guarantees, and what the rules say of each write and each message.

use std::collections::BTreeSet;

use super::super::{Ballot, Digest, ElectionState, Membership, Message, NodeId, Stage, Verdict};

/// A ballot by its leader, term and digest.
type Key = (NodeId, u64, Digest);

fn key(ballot: &Ballot) -> Key {
    (ballot.leader.clone(), ballot.term, ballot.digest.clone())
}

/// Sees every write, message, start and end, and remembers what a wiped disk forgets.
pub(super) struct Judge {
    cluster: String,
    expect: usize,
    /// Who was ever locked into what.
    locked: BTreeSet<(NodeId, Key)>,
    /// Who has run the program for the lock of what.
    hooked: BTreeSet<(NodeId, Key)>,
    /// What was decided to be started. Its leader may do it again; no other may.
    pub started: BTreeSet<Key>,
    /// What those who ended well believe.
    believed: BTreeSet<Key>,
}

type Judged = Result<(), String>;

fn must(held: bool, what: &str, who: &NodeId) -> Judged {
    if held { Ok(()) } else { Err(format!("{who}: {what}")) }
}

impl Judge {
    pub(super) fn new(cluster: &str, expect: usize) -> Self {
        Self {
            cluster: cluster.into(),
            expect,
            locked: BTreeSet::new(),
            hooked: BTreeSet::new(),
            started: BTreeSet::new(),
            believed: BTreeSet::new(),
        }
    }

    /// Every lock there ever was, by ballot.
    pub(super) fn all_locks(&self) -> BTreeSet<&Key> {
        self.locked.iter().map(|(_, key)| key).collect()
    }

    /// A node replaces what is on its disk.
    pub(super) fn writes(&mut self, old: &ElectionState, new: &ElectionState) -> Judged {
        let id = &new.id;
        must(new.term >= old.term, "a term falls", id)?;
        must(new.stage >= old.stage, "a stage falls", id)?;
        let Some(ballot) = &new.ballot else {
            return must(old.ballot.is_none(), "a promise is forgotten", id);
        };
        let same = old.ballot.as_ref().is_some_and(|it| key(it) == key(ballot));
        must(same || old.stage == Stage::Free, "a lock is replaced", id)?;
        must(same || ballot.term > old.term, "a term is promised twice", id)?;
        must(new.term == ballot.term, "the term is not the promised one", id)?;
        let membership = Membership::new(&self.cluster, self.expect, ballot.members.clone());
        must(ballot.members.len() == self.expect, "a promise for other than N", id)?;
        let ids: BTreeSet<_> = ballot.members.iter().map(|it| &it.id).collect();
        must(ids.len() == self.expect, "one id twice in a membership", id)?;
        must(
            membership.digest == ballot.digest,
            "a promise for a membership that the node does not see",
            id,
        )?;
        must(membership.members[0].id == ballot.leader, "the leader is not the lowest", id)?;
        must(ballot.has(id), "a promise for a membership without the node", id)?;
        let leads = ballot.leader == *id;
        if new.stage > old.stage {
            match new.stage {
                Stage::Free => {}
                Stage::Locked => {
                    must(same, "a lock without a promise before", id)?;
                    let first = self.locked.contains(&(ballot.leader.clone(), key(ballot)));
                    must(leads || first, "locked before the leader is", id)?;
                    self.locked.insert((id.clone(), key(ballot)));
                }
                Stage::Started => {
                    must(leads && old.stage == Stage::Locked, "a start without a lock before", id)?;
                    let locked = |it: &NodeId| self.locked.contains(&(it.clone(), key(ballot)));
                    must(ballot.members.iter().all(|it| locked(&it.id)), "a start without N locks", id)?;
                    self.started.insert(key(ballot));
                    must(self.started.len() == 1, "a second start", id)?;
                }
                Stage::Ran => must(leads && old.stage == Stage::Started, "it ran without a start", id)?,
                Stage::Done => {
                    let (before, what) =
                        if leads { (Stage::Ran, "led") } else { (Stage::Locked, "followed") };
                    must(old.stage == before, &format!("it {what} without what comes before"), id)?;
                    must(self.started.contains(&key(ballot)), "over without a start", id)?;
                }
            }
        }
        Ok(())
    }

    /// A node says something, with this on its disk.
    pub(super) fn says(&self, disk: &ElectionState, message: &Message) -> Judged {
        let id = &disk.id;
        let on_disk = |term: u64, digest: &Digest, stage: Stage| {
            disk.stage >= stage && disk.ballot.as_ref().is_some_and(|it| it.is(term, digest))
        };
        match message {
            Message::Pong { status, .. } => {
                must(*status == disk.status(), "it tells what is not on its disk", id)
            }
            Message::Prepare { term, digest } | Message::Promise { term, digest } => {
                must(on_disk(*term, digest, Stage::Free), "a promise is sent before it is on the disk", id)
            }
            Message::Lock { term, digest } => must(
                on_disk(*term, digest, Stage::Locked),
                "the leader tells a lock that is not on its disk",
                id,
            ),
            Message::Locked { term, digest } => {
                must(on_disk(*term, digest, Stage::Locked), "a lock is told before it is on the disk", id)?;
                let hooked =
                    disk.ballot.as_ref().is_some_and(|it| self.hooked.contains(&(id.clone(), key(it))));
                must(hooked, "a lock is told before the program for it has ended well", id)
            }
            Message::Go { term, digest } => {
                must(on_disk(*term, digest, Stage::Started), "a start is told before it is on the disk", id)
            }
            Message::Known { term, digest } => {
                must(on_disk(*term, digest, Stage::Done), "it leaves before that is on its disk", id)
            }
            Message::Ping { .. } | Message::Complete { .. } => Ok(()),
        }
    }

    /// A node was told to lock this, and had the one on its disk before and the other after it.
    pub(super) fn locks(
        before: &ElectionState,
        after: Option<&ElectionState>,
        term: u64,
        digest: &Digest,
    ) -> Judged {
        let Some(after) = after.filter(|it| before.stage == Stage::Free && it.stage > Stage::Free) else {
            return Ok(());
        };
        let told = after.ballot.as_ref().is_some_and(|it| it.is(term, digest));
        must(told, "a lock for another ballot than the leader's", &after.id)
    }

    /// The program for the lock has ended well.
    pub(super) fn hooks(&mut self, disk: &ElectionState) {
        self.hooked.extend(disk.ballot.as_ref().map(|it| (disk.id.clone(), key(it))));
    }

    /// A node starts the action, with this on its disk.
    pub(super) fn starts(&mut self, disk: &ElectionState, members: usize) -> Judged {
        let id = &disk.id;
        let Some(ballot) = &disk.ballot else { return Err(format!("{id}: a start without a ballot")) };
        must(disk.stage == Stage::Started && ballot.leader == *id, "a start that is not on the disk", id)?;
        must(members == self.expect, "a start with other than N", id)?;
        must(self.started.contains(&key(ballot)), "a start that was never on the disk", id)
    }

    /// A process ends, with this on its disk.
    pub(super) fn ends(&mut self, disk: &ElectionState, verdict: &Verdict) -> Judged {
        if verdict.status() != 0 {
            return Ok(());
        }
        let Some(ballot) = &disk.ballot else {
            return Err(format!("{}: ended well without a vote", disk.id));
        };
        must(self.started.contains(&key(ballot)), "ended well without a start", &disk.id)?;
        self.believed.insert(key(ballot));
        must(self.believed.len() == 1, "two who ended well do not agree", &disk.id)
    }
}
