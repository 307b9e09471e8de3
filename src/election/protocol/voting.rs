//! Before the lock: all N are here, the lowest asks for votes, the others give them. Any change begins it anew.

use std::collections::BTreeSet;

use super::{
    super::{Ballot, Digest, Message, Millis, Note, Peer, Record, rule::Rule},
    Action, FAREWELL, Protocol, QUIET, Stage, Verdict,
};

impl Protocol {
    /// What a node does that has locked nothing.
    pub(super) fn free(&mut self, now: Millis) {
        if let Some((at, verdict)) = &self.doomed {
            if now >= *at {
                self.exit(verdict.clone());
            }
            return;
        }
        if Rule::NoDuplicates.stands()
            && let Some((one, other)) = self.peers.duplicate(&self.me, now)
        {
            // It goes on answering, so that the others find out too, and nobody elects with the one that is left.
            let verdict = Verdict::Duplicate { one: Box::new(one.clone()), other: Box::new(other.clone()) };
            self.doomed = Some((now + FAREWELL, verdict));
            self.promises = None;
            return;
        }
        if let Some((leader, members)) = self.complete.take() {
            return self.exit(Verdict::TooLate { leader, members });
        }
        if now >= self.config.timeout {
            return self.exit(self.gave_up(now));
        }
        if let Some((from, term, digest)) = self.asked.take() {
            self.on_prepare(&from, term, digest);
        }
        self.ask(now);
        if self.stalled_at.take_if(|at| now >= *at).is_some() {
            self.tell(Note::Stalled { expect: self.config.expect });
        }
    }

    fn gave_up(&self, now: Millis) -> Verdict {
        let (seen, expect): (Vec<Record>, _) =
            (self.peers.records(now).into_iter().cloned().collect(), self.config.expect);
        // Of too many that give up together, the last ones see the others go.
        let names: BTreeSet<_> = self.known.values().chain([&self.me]).map(|it| &it.name).collect();
        if names.len() > expect {
            return Verdict::TooMany { seen: self.known.values().cloned().collect(), expect };
        }
        match (seen.len() + 1).cmp(&expect) {
            std::cmp::Ordering::Less => {
                let gone = self.known.values().filter(|it| !seen.iter().any(|seen| seen.id == it.id));
                Verdict::TooFew { gone: gone.cloned().collect(), seen, expect }
            }
            std::cmp::Ordering::Equal => Verdict::NoAgreement { seen },
            std::cmp::Ordering::Greater => Verdict::TooMany { seen, expect },
        }
    }

    /// As the lowest of exactly N: promises itself, and asks the others.
    fn ask(&mut self, now: Millis) {
        let Some(membership) = &self.membership else { return };
        let lowest = membership.members.first().is_some_and(|it| it.id == self.me.id);
        let quiet = now >= self.quiet_since + QUIET;
        if !Rule::Lowest.kept(lowest) || !Rule::Quiet.kept(quiet) {
            return;
        }
        let locked = self.peers.statuses(now).any(|(_, it)| it.locked);
        if !Rule::RespectLocks.kept(!locked) || (self.promises.is_some() && !self.is_overtaken(now)) {
            return;
        }
        let theirs = self.peers.statuses(now).map(|(_, it)| it.term).filter(|_| Rule::TermAbove.stands());
        let term = theirs.chain([self.state.term]).max().unwrap_or_default() + 1;
        let members = membership.members.clone();
        self.state.ballot =
            Some(Ballot { term, digest: membership.digest.clone(), leader: self.me.id.clone(), members });
        self.state.term = term;
        self.promises = Some(BTreeSet::from([self.me.id.clone()]));
        self.tell(Note::Candidate { term, members: self.config.expect });
        let requests = self.to_others(|term, digest| Message::Prepare { term, digest });
        self.commit(Rule::DiskFirst, requests);
        self.count_promises();
    }

    /// Whether some member has promised something else since, and so can never promise this.
    fn is_overtaken(&self, now: Millis) -> bool {
        let Some(ballot) = &self.state.ballot else { return true };
        self.peers.statuses(now).any(|(_, it)| {
            it.term > ballot.term || (it.term == ballot.term && it.digest.as_ref() != Some(&ballot.digest))
        })
    }

    /// A message about the latest promise, to each other member of it.
    pub(super) fn to_others(&self, kind: fn(u64, Digest) -> Message) -> Vec<Action> {
        let latest = |id| self.peers.latest(&id).cloned();
        let peers = self.others().into_iter().filter_map(latest);
        peers.filter_map(|it| Some(Action::Send(it, self.state.say(kind)?))).collect()
    }

    pub(super) fn on_prepare(&mut self, from: &Peer, term: u64, digest: Digest) {
        if !Rule::LockStays.kept(self.state.stage == Stage::Free) || self.doomed.is_some() {
            return;
        }
        if self.ballot(term, &digest).is_some_and(|it| it.leader == from.id) {
            // Promised before: the answer was lost.
            return self.send(from.clone(), Message::Promise { term, digest });
        }
        let Some(membership) = &self.membership else {
            self.asked = Some((from.clone(), term, digest));
            return;
        };
        let same = membership.digest == digest;
        let lowest = membership.members.first().is_some_and(|it| it.id == from.id);
        if !Rule::TermRises.kept(term > self.state.term) {
            return;
        }
        if !Rule::SameDigest.kept(same) || !Rule::Lowest.kept(lowest) {
            // It may see what this node has yet to see.
            self.asked = Some((from.clone(), term, digest));
            return;
        }
        let members = membership.members.clone();
        let leader = membership.members.iter().find(|it| it.id == from.id).map(|it| it.name.clone());
        self.state.ballot = Some(Ballot { term, digest: digest.clone(), leader: from.id.clone(), members });
        self.state.term = term;
        self.promises = None;
        self.tell(Note::Promised { term, leader: leader.unwrap_or_default() });
        let answer = Action::Send(from.clone(), Message::Promise { term, digest });
        self.commit(Rule::DiskFirst, vec![answer]);
    }

    pub(super) fn on_promise(&mut self, from: &Peer, term: u64, digest: &Digest) {
        let leads = self.ballot(term, digest).is_some_and(|it| it.leader == self.me.id && it.has(&from.id));
        if let Some(promises) = self.promises.as_mut().filter(|_| leads) {
            promises.insert(from.id.clone());
            self.count_promises();
        }
    }

    /// With the promises of all N the leader locks itself, then tells the others to.
    fn count_promises(&mut self) {
        let complete = self.promises.as_ref().is_some_and(|it| Rule::AllPromise.kept(self.all_in(it)));
        if !complete || self.state.stage != Stage::Free {
            return;
        }
        let tell = self.to_others(|term, digest| Message::Lock { term, digest });
        if !Rule::LeaderFirst.stands() {
            self.out.extend(tell.clone());
        }
        self.lock(tell);
    }

    /// Asks again those who have not promised.
    pub(super) fn repeat_votes(&mut self) {
        if self.state.stage != Stage::Free {
            return;
        }
        let Some(promises) = &self.promises else { return };
        let left: Vec<_> = self.others().into_iter().filter(|it| !promises.contains(it)).collect();
        for id in left {
            if let Some(message) = self.state.say(|term, digest| Message::Prepare { term, digest }) {
                self.send_to(&id, message);
            }
        }
    }
}
