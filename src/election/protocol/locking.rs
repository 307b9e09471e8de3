//! From the lock on: there is one leader and one membership, and all that is left is to let everyone know.

use super::{
    super::{Digest, Message, Millis, Note, Peer, Record, rule::Rule},
    Action, GRACE, HOOK_RETRY, Hook, Protocol, RELEARN, Stage, Verdict,
};

impl Protocol {
    /// Locks this node into its latest promise, then does the rest.
    pub(super) fn lock(&mut self, then: Vec<Action>) {
        self.state.stage = Stage::Locked;
        self.promises = None;
        self.locks.clear();
        self.commit(Rule::DiskFirst, then);
        if let Some(ballot) = self.state.ballot.clone() {
            self.tell(Note::LockedIn { ballot: Box::new(ballot) });
        }
        self.run_hook();
    }

    fn run_hook(&mut self) {
        self.hook = Hook::Running;
        self.out.push(Action::RunHook);
    }

    pub(super) fn on_lock(&mut self, from: &Peer, term: u64, digest: &Digest) {
        let promised = self.ballot(term, digest).is_some_and(|it| it.leader == from.id);
        if self.state.stage == Stage::Free
            && self.state.ballot.is_some()
            && Rule::LatestPromise.kept(promised)
        {
            self.lock(Vec::new());
            if !Rule::HookFirst.stands() {
                self.hook = Hook::Done;
            }
        }
        if promised && self.state.stage >= Stage::Locked && matches!(self.hook, Hook::Done) {
            self.acknowledge();
        }
    }

    /// As a follower: tells the leader that this node is locked.
    fn acknowledge(&mut self) {
        let Some(leader) = self.state.ballot.as_ref().map(|it| it.leader.clone()) else { return };
        if let Some(message) = self.state.say(|term, digest| Message::Locked { term, digest }) {
            self.send_to(&leader, message);
        }
        if !Rule::GoDecides.stands() {
            self.follow();
        }
    }

    pub(super) fn hook_ended(&mut self, well: bool, now: Millis) {
        if !well {
            self.hook = Hook::Due(now + HOOK_RETRY);
            return self.tell(Note::HookFailed);
        }
        self.hook = Hook::Done;
        match self.state.stage {
            Stage::Locked if self.state.leads() => {
                self.locks.insert(self.me.id.clone());
                self.count_locks();
            }
            Stage::Locked => self.acknowledge(),
            Stage::Started if Rule::StartAgain.stands() => {
                self.tell(Note::Again);
                self.relearn_until = Some(now + RELEARN);
            }
            _ => {}
        }
    }

    pub(super) fn on_locked(&mut self, from: &Peer, term: u64, digest: &Digest) {
        let ours = self.ballot(term, digest).is_some_and(|it| it.leader == self.me.id && it.has(&from.id));
        if ours && self.state.stage == Stage::Locked {
            self.locks.insert(from.id.clone());
            self.count_locks();
        }
    }

    /// With the locks of all N the leader starts.
    fn count_locks(&mut self) {
        if !Rule::AllLock.kept(self.all_in(&self.locks)) {
            return;
        }
        self.state.stage = Stage::Started;
        self.tell(Note::Leads { term: self.state.term });
        self.begun = true;
        let mut then = self.to_others(|term, digest| Message::Go { term, digest });
        then.push(Action::RunAction(self.present_members()));
        self.commit(Rule::StartedFirst, then);
    }

    /// The members, with the addresses that they have now where they were met.
    fn present_members(&self) -> Vec<Record> {
        let members = self.state.ballot.iter().flat_map(|it| &it.members);
        members
            .map(|known| {
                let met = self.peers.latest(&known.id).and_then(|it| self.peers.record(it));
                let now = if known.id == self.me.id { Some(&self.me) } else { met };
                now.unwrap_or(known).clone()
            })
            .collect()
    }

    pub(super) fn on_go(&mut self, from: &Peer, term: u64, digest: &Digest) {
        if self.state.stage == Stage::Locked
            && self.ballot(term, digest).is_some_and(|it| it.leader == from.id)
        {
            self.follow();
        }
    }

    /// The outcome is known: nothing is left to do.
    fn follow(&mut self) {
        let Some(ballot) = self.state.ballot.clone() else { return };
        self.state.stage = Stage::Done;
        let leader = ballot.leader().map(|it| it.name.clone()).unwrap_or_default();
        self.tell(Note::Follows { leader: leader.clone(), term: ballot.term });
        let known = Message::Known { term: ballot.term, digest: ballot.digest };
        let answer = self.peers.latest(&ballot.leader).cloned().map(|it| Action::Send(it, known));
        self.commit(Rule::DiskFirst, answer.into_iter().collect());
        self.exit(Verdict::Follows { leader });
    }

    pub(super) fn on_known(&mut self, from: &Peer, term: u64, digest: &Digest) {
        let ours = self.ballot(term, digest).is_some_and(|it| it.leader == self.me.id && it.has(&from.id));
        if !ours || self.state.stage < Stage::Started || self.state.told.contains(&from.id) {
            return;
        }
        self.state.told.push(from.id.clone());
        self.commit(Rule::DiskFirst, Vec::new());
    }

    fn untold(&self) -> usize {
        self.others().iter().filter(|it| !self.state.told.contains(it)).count()
    }

    pub(super) fn action_ended(&mut self, status: u8) {
        if self.state.stage != Stage::Started {
            return;
        }
        if status != 0 {
            return self.exit(Verdict::Led { status });
        }
        self.state.stage = Stage::Ran;
        self.commit(Rule::DiskFirst, Vec::new());
        if self.untold() > 0 {
            self.tell(Note::Telling { left: self.untold() });
        }
    }

    /// Locked: waits for the leader or for the members. At the end it is undecided, never decided by a deadline.
    pub(super) fn locked(&mut self, now: Millis) {
        self.try_hook(now);
        if now >= self.config.timeout
            && let Some(ballot) = self.state.ballot.clone()
        {
            let missing = self.others().into_iter().filter(|it| !self.view.iter().any(|seen| seen.id == *it));
            let name = |id| ballot.members.iter().find(|it| it.id == id).map(|it| it.name.clone());
            let missing = missing.filter_map(name).collect();
            self.exit(Verdict::Undecided { ballot: Box::new(ballot), missing });
        }
    }

    fn try_hook(&mut self, now: Millis) {
        if matches!(self.hook, Hook::Due(at) if at <= now) {
            self.run_hook();
        }
    }

    /// Started, by this process or by one before it.
    pub(super) fn started(&mut self, now: Millis) {
        self.try_hook(now);
        let Some(until) = self.relearn_until else { return };
        let all_here = self.others().iter().all(|it| self.view.iter().any(|seen| seen.id == *it));
        if all_here || now >= until {
            self.relearn_until = None;
            self.begun = true;
            self.out.push(Action::RunAction(self.present_members()));
        }
    }

    /// The action has ended well: leaves when every member knows, or after a while. Who comes later finds nobody, until
    /// this node is run again.
    pub(super) fn ran(&mut self, now: Millis) {
        let until = *self.ran_until.get_or_insert(now + GRACE);
        if self.untold() == 0 {
            self.state.stage = Stage::Done;
            self.commit(Rule::DiskFirst, Vec::new());
            self.exit(Verdict::Led { status: 0 });
        } else if now >= until.min(self.config.timeout) {
            self.exit(Verdict::Led { status: 0 });
        }
    }

    /// Says again what some have not answered; tells who is not a member that it came too late.
    pub(super) fn repeat_locks(&mut self, now: Millis) {
        let stage = self.state.stage;
        if stage == Stage::Free {
            return;
        }
        if self.state.leads() {
            let kind: fn(u64, Digest) -> Message = match stage {
                Stage::Locked => |term, digest| Message::Lock { term, digest },
                _ => |term, digest| Message::Go { term, digest },
            };
            for id in self.others() {
                let answered = if stage == Stage::Locked {
                    self.locks.contains(&id)
                } else {
                    self.state.told.contains(&id)
                };
                if let Some(message) = self.state.say(kind).filter(|_| !answered) {
                    self.send_to(&id, message);
                }
            }
        } else if stage == Stage::Locked && matches!(self.hook, Hook::Done) {
            self.acknowledge();
        }
        self.refuse_strangers(now);
    }

    fn refuse_strangers(&mut self, now: Millis) {
        let Some(ballot) = self.state.ballot.clone() else { return };
        let late: Vec<Record> =
            self.peers.records(now).into_iter().filter(|it| !ballot.has(&it.id)).cloned().collect();
        for node in late {
            let leader = ballot.leader().map(|it| it.name.clone()).unwrap_or_default();
            let members = ballot.members.iter().map(ToString::to_string).collect();
            let to = Peer { id: node.id.clone(), incarnation: node.incarnation };
            if self.refused.insert(to.clone()) {
                self.tell(Note::Late { node });
            }
            self.send(to, Message::Complete { leader, members });
        }
    }
}
