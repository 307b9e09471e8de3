//! Who does what, from the record and what the hosts report. Pure: no clock, no network, no inventory order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Data, FoundingState, Id, Member, Observation, Record, Verdict, names::host_of, observation::Observations,
    verdict, words_needed,
};

/// What one host has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Run with the data it has.
    Start,
    /// Start without data as a founder; only while nothing was ever founded.
    Found,
    /// Become a member through the majority.
    Join,
    /// The majority removed it: put the old data aside, once the others have said so again, then join.
    Rejoin,
    /// Tell the majority its new peer URL.
    Readdress,
    /// Nothing, and why.
    Refuse(String),
}

/// Everything a decision depends on.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// What the control node remembers.
    pub record: Option<Record>,
    /// Host → peer URL of every host that ought to be a member.
    pub expected: BTreeMap<String, String>,
    /// The hosts that could be looked at.
    pub observed: Observations,
}

/// What follows from a [`Situation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to remember before any step is taken.
    pub record: Option<Record>,
    /// A step for each observed host.
    pub steps: BTreeMap<String, Step>,
    /// Members that no expected host stands for; they leave.
    pub departed: Vec<Member>,
}

/// Decides. `token` distinguishes a new founding, should this be one.
pub fn decide(situation: &Situation, token: &str) -> Decision {
    let mut record = match situation.identify(token) {
        Ok(record) => record,
        Err(reason) => {
            let steps =
                situation.observed.keys().map(|it| (it.clone(), Step::Refuse(reason.clone()))).collect();
            return Decision { record: situation.record.clone(), steps, departed: Vec::new() };
        }
    };
    if situation.has_elected(&record) {
        record.state = FoundingState::Founded;
    }
    let lists = situation.lists(record.cluster_id);
    let steps = situation
        .observed
        .iter()
        .map(|(host, seen)| (host.clone(), situation.step(host, seen, &record, &lists)))
        .collect();
    let departed = situation.departed(&lists);
    Decision { record: Some(record), steps, departed }
}

/// The record of a cluster that `members` restore from a snapshot: it exists from then on.
pub fn restore(members: &BTreeMap<String, String>, token: &str) -> Record {
    Record { state: FoundingState::Founded, ..Record::founding(token, members) }
}

impl Situation {
    /// Which cluster this is about; a new one only where there is certainly none.
    fn identify(&self, token: &str) -> Result<Record, String> {
        let unseen = self.unseen();
        let no_data = self.observed.values().all(|it| it.data.is_none());
        match &self.record {
            Some(record) if record.state == FoundingState::Founding && !self.has_elected(record) => {
                let mut next = record.clone();
                if let Some(elected) = self.elected_after_all(record) {
                    next = record.given_up_for(Record::rebuilt(elected));
                } else if unseen.is_empty() && record.members != self.expected && self.may_begin_anew(record)
                {
                    next = record.given_up_for(Record::founding(token, &self.expected));
                }
                Ok(next)
            }
            Some(record) => Ok(record.clone()),
            None if !unseen.is_empty() && no_data => Err(format!(
                "etcd is not founded yet, and its first start needs every host of the group, so that no second \
                 cluster can begin beside one that exists: {} did not answer. Bring it up or take it out of the \
                 group, and run again",
                unseen.join(", ")
            )),
            None if no_data => Ok(Record::founding(token, &self.expected)),
            None => self.rebuild(&unseen).map(Record::rebuilt),
        }
    }

    /// Hosts that did not answer, or that the run leaves out.
    fn unseen(&self) -> Vec<&str> {
        self.expected.keys().filter(|it| !self.observed.contains_key(*it)).map(String::as_str).collect()
    }

    /// Whether a host knows of a leader of this cluster.
    fn has_elected(&self, record: &Record) -> bool {
        let elected = |seen: &Observation| {
            let data = seen.data.filter(|it| it.cluster_id == record.cluster_id);
            data.is_some_and(|it| seen.members.is_some() || it.last_index > record.founders())
        };
        self.observed.values().any(elected)
    }

    /// Whether a founding that knows of no leader can be given up for what the inventory says now. It must never have had a
    /// leader, or that leader's word would be lost: all its founders were seen, or so many with its data that no majority
    /// is left for an election. And none may come: hosts take the step one by one, in a run that can be killed, so a
    /// majority of the new founders must take so many of the old ones along that no majority of these is left.
    fn may_begin_anew(&self, record: &Record) -> bool {
        let is_founder = |host: &&String| record.members.contains_key(*host);
        let all_seen = record.members.keys().all(|it| self.expected.contains_key(it));
        if all_seen && self.observed.values().all(|it| it.data.is_none()) {
            return true;
        }
        // One after another: a third founding would have to exclude the first as well.
        if self
            .observed
            .values()
            .any(|it| it.data.is_some_and(|it| record.abandoned.contains_key(&it.cluster_id)))
        {
            return false;
        }
        let of_it = |it: &&Observation| it.data.is_some_and(|it| it.cluster_id == record.cluster_id);
        let unelected = self.observed.values().filter(of_it).count();
        let (old, new) = (record.members.len(), self.expected.len());
        let joined = new - self.expected.keys().filter(is_founder).count();
        let majority = |members: usize| members / 2 + 1;
        (all_seen || unelected >= words_needed(old)) && majority(new) + majority(old) > joined + old
    }

    /// A founding that was given up, and that has elected a leader before its hosts heard of that: enough of them say so.
    fn elected_after_all(&self, record: &Record) -> Option<Id> {
        let elected = |id: &Id| {
            let data = self.observed.values().filter_map(|it| it.data.filter(|it| it.cluster_id == *id));
            data.filter(|it| !record.has_abandoned(*it)).count() >= words_needed(self.expected.len())
        };
        record.abandoned.keys().copied().find(|it| elected(it))
    }

    /// The record is lost: the cluster is the one that enough hosts hold.
    fn rebuild(&self, unseen: &[&str]) -> Result<Id, String> {
        let mut holders: BTreeMap<Id, Vec<&str>> = BTreeMap::new();
        for (host, data) in self.observed.iter().filter_map(|(host, seen)| Some((host, seen.data?))) {
            holders.entry(data.cluster_id).or_default().push(host);
        }
        let needed = words_needed(self.expected.len());
        let mut held = holders.iter().filter(|(_, hosts)| hosts.len() >= needed).map(|(id, _)| *id);
        if let (Some(id), None) = (held.next(), held.next()) {
            return Ok(id);
        }
        let found: Vec<String> =
            holders.iter().map(|(id, hosts)| format!("{id} on {}", hosts.join(", "))).collect();
        Err(format!(
            "etcd.json is missing, and the hosts' data does not say which cluster is the right one: {}{}. It is the one \
             that {needed} of {} hosts hold. Run again with every host, or move the data directory away on the hosts \
             whose data is not wanted, or put etcd.json back",
            found.join("; "),
            if unseen.is_empty() { String::new() } else { format!("; no answer from {}", unseen.join(", ")) },
            self.expected.len(),
        ))
    }

    /// The members, as each of them tells that says it has the majority behind it. No single one is believed.
    fn lists(&self, cluster_id: Id) -> Vec<&[Member]> {
        let mut lists = Vec::new();
        for seen in self.observed.values() {
            if let (Some(data), Some(members)) = (seen.data, seen.members.as_deref())
                && data.cluster_id == cluster_id
                && members.iter().any(|it| it.id == data.member_id)
            {
                lists.push(members);
            }
        }
        lists
    }

    fn step(&self, host: &str, seen: &Observation, record: &Record, lists: &[&[Member]]) -> Step {
        match seen.data.filter(|it| !record.has_abandoned(*it)) {
            Some(data) if data.cluster_id != record.cluster_id => Step::Refuse(format!(
                "this host holds data of etcd cluster {}, but the cluster here is {}. If that data is not wanted, move \
                 its data directory away and run again",
                data.cluster_id, record.cluster_id
            )),
            Some(data) => match verdict(data.member_id, lists.iter().copied(), self.expected.len()) {
                Verdict::Removed => Step::Rejoin,
                Verdict::Listed if self.is_elsewhere(host, data.member_id, lists) => Step::Readdress,
                // Unclear: it may be the data that all others want, and starting it harms nothing.
                Verdict::Listed | Verdict::Unclear { .. } => Step::Start,
            },
            None if !lists.is_empty() => Step::Join,
            None if record.state == FoundingState::Founding => self.found(host, record),
            None => self.join_without_majority(host, record),
        }
    }

    /// Whether most of those that list a host's member list it at another address than the inventory has.
    fn is_elsewhere(&self, host: &str, member: Id, lists: &[&[Member]]) -> bool {
        let Some(url) = self.expected.get(host) else { return false };
        let entries = || lists.iter().flat_map(|it| it.iter()).filter(|it| it.id == member);
        2 * entries().filter(|it| it.peer_urls != [url.as_str()]).count() > entries().count()
    }

    /// A founder starts without data only while every founder was seen to know of no election.
    fn found(&self, host: &str, record: &Record) -> Step {
        let unseen: Vec<&str> =
            record.members.keys().filter(|it| !self.observed.contains_key(*it)).map(String::as_str).collect();
        if !unseen.is_empty() {
            return Step::Refuse(format!(
                "a founding of etcd was interrupted and needs all its founders: {} did not answer. Bring it up and \
                 run again; if it is gone for good, take it out of the group, move the data directories of the others \
                 away, remove etcd.json, and found anew",
                unseen.join(", ")
            ));
        }
        match self.who_cannot_resolve() {
            Some(who) => Step::Refuse(format!(
                "etcd is not founded: {who}. Members dial each other by what `addresses` or `ansible_host` says in the \
                 inventory, else by the host's name: write addresses there, or names that every host of the group \
                 can resolve"
            )),
            None if record.members.contains_key(host) => Step::Found,
            None => Step::Join,
        }
    }

    /// Which hosts cannot resolve which names of members. What a host says beyond these names is not repeated.
    fn who_cannot_resolve(&self) -> Option<String> {
        let names: BTreeSet<&str> = self.expected.values().map(|it| host_of(it)).collect();
        let mut who = Vec::new();
        for (host, seen) in &self.observed {
            let lost: Vec<&str> =
                names.iter().copied().filter(|it| seen.unresolved.iter().any(|u| u == it)).collect();
            if !lost.is_empty() {
                who.push(format!("{host} cannot resolve {}", lost.join(", ")));
            }
        }
        (!who.is_empty()).then(|| who.join("; "))
    }

    /// Nobody answers with a majority. But enough members with data may be started before this host's turn
    /// comes; or they wait for this very host: a cluster of one that is told of a second member does.
    fn join_without_majority(&self, host: &str, record: &Record) -> Step {
        let with_data = || {
            let of_it = |data: Data| data.cluster_id == record.cluster_id;
            self.observed.values().filter(move |it| it.data.is_some_and(of_it))
        };
        let holders = with_data().count();
        let awaited =
            self.expected.get(host).is_some_and(|url| with_data().any(|it| it.announced.contains(url)));
        if awaited || holders > self.expected.len() / 2 {
            return Step::Join;
        }
        let (cluster, hosts) = (record.cluster_id, self.expected.len());
        let unseen = self.unseen();
        if holders + unseen.len() > hosts / 2 {
            return Step::Refuse(format!(
                "this host has no data, and joins etcd cluster {cluster} through the majority of its members, but {} were \
                 not looked at in this run. Run again without --limit, with these hosts up",
                unseen.join(", ")
            ));
        }
        let gone: Vec<&str> =
            record.members.keys().filter(|it| !self.expected.contains_key(*it)).map(String::as_str).collect();
        if holders == 0 && !gone.is_empty() {
            return Step::Refuse(format!(
                "no host of etcd's group has data of etcd cluster {cluster}, which {} founded: were its hosts exchanged all \
                 at once? Put the former ones back into the group, run again, and exchange a minority at a time. Only \
                 if they are lost, restore a snapshot: ansible-playbook restore.yml -e etcd_snapshot=FILE",
                gone.join(", ")
            ));
        }
        Step::Refuse(format!(
            "this host has no data, and only {holders} of {hosts} hosts that answer have data of etcd cluster {cluster}: no \
             majority can take it in, and nobody may found a second cluster. Bring the other members back, or restore a \
             snapshot: ansible-playbook restore.yml -e etcd_snapshot=FILE",
        ))
    }

    /// Those that most of the lists have and no host stands for. Who removes them looks at its own list again.
    fn departed(&self, lists: &[&[Member]]) -> Vec<Member> {
        let present: BTreeSet<Id> =
            self.observed.values().filter_map(|it| Some(it.data?.member_id)).collect();
        let unwanted = |it: &&Member| !present.contains(&it.id) && !it.is_of(&self.expected);
        let mut departed: BTreeMap<Id, (usize, &Member)> = BTreeMap::new();
        for member in lists.iter().flat_map(|it| it.iter()).filter(unwanted) {
            departed.entry(member.id).or_insert((0, member)).0 += 1;
        }
        let most = |(words, member): (usize, &Member)| (2 * words > lists.len()).then(|| member.clone());
        departed.into_values().filter_map(most).collect()
    }
}
