//! Who does what, from the record and what the hosts report. Pure: no clock, no network, no inventory order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Data, Id, Member, Observation, Record, State, Verdict, observation::Observations, verdict, words_needed,
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
#[must_use]
pub fn decide(situation: &Situation, token: &str) -> Decision {
    let mut record = match situation.identify(token) {
        Ok(record) => record,
        Err(reason) => {
            let steps =
                situation.observed.keys().map(|it| (it.clone(), Step::Refuse(reason.clone()))).collect();
            return Decision { record: situation.record.clone(), steps, departed: Vec::new() };
        }
    };
    let founders = u64::try_from(record.members.len()).unwrap_or(u64::MAX);
    let of_it =
        |(_, seen): &(&String, &Observation)| seen.data.is_some_and(|it| it.cluster_id == record.cluster_id);
    let elected = |data: Data| data.last_index > founders;
    if situation
        .observed
        .iter()
        .filter(of_it)
        .any(|(_, seen)| seen.members.is_some() || seen.data.is_some_and(elected))
    {
        record.state = State::Founded;
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
#[must_use]
pub fn restore(members: &BTreeMap<String, String>, token: &str) -> Record {
    Record { state: State::Founded, ..Record::founding(token, members) }
}

impl Situation {
    /// Which cluster this is about; a new one only where there is certainly none.
    fn identify(&self, token: &str) -> Result<Record, String> {
        let unseen: Vec<&str> =
            self.expected.keys().filter(|it| !self.observed.contains_key(*it)).map(String::as_str).collect();
        let no_data = self.observed.values().all(|it| it.data.is_none());
        match &self.record {
            Some(record) if record.state == State::Founding && unseen.is_empty() && no_data => {
                let same = record.members == self.expected;
                let nobody_else = record.members.keys().all(|it| self.expected.contains_key(it));
                Ok(if same || !nobody_else {
                    record.clone()
                } else {
                    Record::founding(token, &self.expected)
                })
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
        match seen.data {
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
            None if record.state == State::Founding => self.found(host, record),
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
                 run again; if it is gone for good, move the data directories of the others away, remove etcd.json, \
                 and found anew",
                unseen.join(", ")
            ));
        }
        if record.members.contains_key(host) { Step::Found } else { Step::Join }
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
        Step::Refuse(format!(
            "this host has no data, and only {holders} of {} hosts that answer have data of etcd cluster {}: no majority \
             can take it in, and nobody may found a second cluster. Bring the other members back, or restore a \
             snapshot: ansible-playbook restore.yml -e etcd_snapshot=FILE",
            self.expected.len(),
            record.cluster_id
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
