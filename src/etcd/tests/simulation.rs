//! A small world: disks, members, a control node. Whatever is wiped, killed or out of sight, there is never
//! a second cluster, and what can heal does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{
    Data, FoundingState, Id, Member, Observation, Record, Situation, Step, Verdict, cluster_id, decide,
    member_id, verdict, words_needed,
};

const HOSTS: usize = 5;

#[derive(Clone, Debug)]
enum Event {
    /// A run that does not reach some hosts and is killed after some writes, while some hosts lie.
    Run { reached: u8, writes: usize, lies: Vec<(usize, Lie)> },
    /// A host is installed anew.
    Wipe(usize),
    /// A host's etcd stops, or starts again.
    Switch(usize),
    /// Another set of hosts is in the group.
    Group(u8),
    /// The control node loses its record.
    LoseRecord,
    /// The inventory has another address for a host, which may be wrong.
    Address(usize, bool),
}

/// What a host says that was taken over. Numbers choose among what there is, so that lies are near the truth.
#[derive(Clone, Debug)]
struct Lie {
    /// Which cluster's data, of which member, and how far; one choice is data of a cluster that never was.
    data: Option<(usize, usize, u64)>,
    /// Which of the members it lists beside the one that it says it is, and whether at addresses of its own making.
    members: Option<(u8, bool)>,
    /// Whom it says it waits for.
    announced: u8,
}

struct World {
    group: BTreeSet<usize>,
    disks: Vec<Option<Data>>,
    on: Vec<bool>,
    /// Hosts that have lied, until they are installed anew. What only they hold nobody else can know.
    taken_over: BTreeSet<usize>,
    /// Whether what the inventory has for a host is its address.
    works: Vec<bool>,
    record: Option<Record>,
    members: BTreeMap<Id, Vec<Member>>,
    runs: u64,
}

fn name(host: usize) -> String {
    format!("host{host}")
}

/// Where a host is, or where nobody answers.
fn url(host: usize, works: bool) -> String {
    format!("https://{}:2380", if works { name(host) } else { format!("{}.wrong", name(host)) })
}

fn set(mask: u8) -> BTreeSet<usize> {
    (0..HOSTS).filter(|it| mask >> it & 1 == 1).collect()
}

impl World {
    fn new() -> Self {
        let disks = vec![None; HOSTS];
        Self {
            group: set(0b111),
            disks,
            on: vec![true; HOSTS],
            taken_over: BTreeSet::new(),
            works: vec![true; HOSTS],
            record: None,
            members: BTreeMap::new(),
            runs: 0,
        }
    }

    fn url(&self, host: usize) -> String {
        url(host, self.works[host])
    }

    fn has_majority(&self, cluster: Id) -> bool {
        let Some(members) = self.members.get(&cluster) else { return false };
        let running = |it: &&Member| {
            (0..HOSTS).any(|host| {
                self.on[host]
                    && self.disks[host]
                        .is_some_and(|disk| (disk.cluster_id, disk.member_id) == (cluster, it.id))
            })
        };
        let found = |it: &&Member| !it.peer_urls[0].contains("wrong");
        members.iter().filter(running).filter(found).count() > members.len() / 2
    }

    /// A majority elects a leader; everyone who runs hears of it.
    fn elect(&mut self) {
        for host in 0..HOSTS {
            let Some(disk) = self.disks[host].filter(|it| self.on[host] && self.has_majority(it.cluster_id))
            else {
                continue;
            };
            self.disks[host] = Some(Data { last_index: 100, ..disk });
        }
        let is_held = |cluster: Id| {
            let mut honest = (0..HOSTS).filter(|host| self.on[*host] && !self.taken_over.contains(host));
            honest.any(|host| self.disks[host].is_some_and(|it| it.cluster_id == cluster))
        };
        let alive = self.members.keys().filter(|it| self.has_majority(**it) && is_held(**it)).count();
        assert!(alive <= 1, "two clusters are alive");
    }

    fn observe(&self, host: usize) -> Observation {
        let data = self.disks[host];
        let answers = |it: &Data| {
            self.on[host]
                && self.has_majority(it.cluster_id)
                && self.members[&it.cluster_id].iter().any(|m| m.id == it.member_id)
        };
        let members = data.filter(answers).map(|it| self.members[&it.cluster_id].clone());
        let list = data.filter(|_| self.on[host]).and_then(|it| self.members.get(&it.cluster_id));
        let waits = list.into_iter().flatten().filter(|it| it.name.is_empty());
        let announced = waits.flat_map(|it| it.peer_urls.clone()).filter(|_| members.is_none()).collect();
        Observation { data, members, announced, ..Observation::default() }
    }

    fn tell(&self, lie: &Lie) -> Observation {
        let clusters: Vec<Id> = self.members.keys().copied().chain([Id(7)]).collect();
        let known: Vec<&Member> = self.members.values().flatten().collect();
        let data = lie.data.map(|(cluster, member, last_index)| {
            let member_id = if known.is_empty() { Id(8) } else { known[member % known.len()].id };
            let member_id = if member % 5 == 0 { Id(9) } else { member_id };
            Data { cluster_id: clusters[cluster % clusters.len()], member_id, last_index }
        });
        let members = lie.members.map(|(mask, moved)| {
            let own = data.map_or(Id(9), |it| it.member_id);
            let listed =
                known.iter().enumerate().filter(|(at, it)| mask >> (at % 8) & 1 == 1 || it.id == own);
            let mut members: Vec<Member> = listed.map(|(_, it)| (*it).clone()).collect();
            if members.iter().all(|it| it.id != own) {
                members.push(Member { id: own, name: name(0), peer_urls: vec![self.url(0)] });
            }
            for member in members.iter_mut().filter(|_| moved) {
                *member =
                    Member { id: member.id, name: "x".into(), peer_urls: vec!["https://x:2380".into()] };
            }
            members
        });
        Observation {
            data,
            members,
            announced: set(lie.announced).into_iter().map(|it| self.url(it)).collect(),
            ..Observation::default()
        }
    }

    /// What a host says: the truth, unless it is one of fewer than half of the group.
    fn word(&self, host: usize, lies: &BTreeMap<usize, Lie>) -> Observation {
        lies.get(&host).map_or_else(|| self.observe(host), |it| self.tell(it))
    }

    /// `None`: killed after `writes` writes.
    fn run(&mut self, reached: &BTreeSet<usize>, mut writes: usize, lies: &[(usize, Lie)]) -> Option<()> {
        let of_group = lies.iter().filter(|(host, _)| self.group.contains(host)).cloned();
        let lies: BTreeMap<usize, Lie> = of_group.take(self.group.len().div_ceil(2) - 1).collect();
        self.taken_over.extend(lies.keys());
        self.runs += 1;
        let mut write = || {
            writes = writes.checked_sub(1)?;
            Some(())
        };
        let expected = self.group.iter().map(|it| (name(*it), self.url(*it))).collect();
        let seen: Vec<usize> = self.group.intersection(reached).copied().collect();
        let observed = seen.iter().map(|it| (name(*it), self.word(*it, &lies))).collect();
        let situation = Situation { record: self.record.clone(), expected, observed };
        let decision = decide(&situation, &format!("token{}", self.runs));
        let foundings = decision.steps.values().filter(|it| **it == Step::Found).count();
        if decision.record.as_ref().is_some_and(|it| it.state == FoundingState::Founded) {
            assert_eq!(foundings, 0, "what is founded is not founded again");
        }
        write()?;
        self.record.clone_from(&decision.record);
        for host in &seen {
            match decision.steps[&name(*host)] {
                Step::Found if self.has_nothing(*host) => {
                    write()?;
                    self.found(*host, &lies);
                }
                Step::Start | Step::Readdress => self.on[*host] = true,
                _ => {}
            }
        }
        for host in seen.iter().filter(|it| decision.steps[&name(**it)] == Step::Readdress) {
            let (url, disk) = (self.url(*host), self.disks[*host]?);
            if self.has_majority(disk.cluster_id) {
                let members = self.members.get_mut(&disk.cluster_id)?;
                if let Some(own) = members.iter_mut().find(|it| it.id == disk.member_id) {
                    own.peer_urls = vec![url];
                }
            }
        }
        self.elect();
        let Some(cluster) = decision.record.map(|it| it.cluster_id) else { return Some(()) };
        for member in &decision.departed {
            if !self.has_majority(cluster) {
                break;
            }
            write()?;
            // Who removes it looks at its own list.
            let expected = self.group.iter().map(|it| (name(*it), self.url(*it))).collect();
            if self.members[&cluster].iter().any(|it| it.id == member.id && it.is_of(&expected)) {
                continue;
            }
            let of_group = |it: &&usize| self.disks[**it].is_some_and(|it| it.member_id == member.id);
            assert!(!self.group.iter().any(|it| of_group(&it)), "a member of the group is removed");
            self.members.get_mut(&cluster)?.retain(|it| it.id != member.id);
        }
        for host in seen.iter().filter(|it| matches!(decision.steps[&name(**it)], Step::Join | Step::Rejoin))
        {
            // Each host looks at its own disk again: it knows its own lies.
            if decision.steps[&name(*host)] == Step::Join {
                if !self.has_nothing(*host) {
                    continue;
                }
            } else if let Some(data) = self.disks[*host].filter(|_| !lies.contains_key(host)) {
                // It asks the others again, and its own etcd.
                let words: Vec<_> = seen.iter().filter_map(|it| self.word(*it, &lies).members).collect();
                let words = words.iter().map(Vec::as_slice);
                if verdict(data.member_id, words, self.group.len()) != Verdict::Removed {
                    continue;
                }
                let listed = self.members[&data.cluster_id].iter().any(|it| it.id == data.member_id);
                assert!(!listed, "the data of a member is put aside");
            }
            write()?;
            self.disks[*host] = None;
            write()?;
            let own_url = self.url(*host);
            let own = |it: &Member| it.name == name(*host) || it.peer_urls == [own_url.clone()];
            let announced = |it: &Member| it.name.is_empty() && it.peer_urls == [own_url.clone()];
            if self.has_majority(cluster) && !self.members[&cluster].iter().any(announced) {
                self.members.get_mut(&cluster)?.retain(|it| !own(it));
                write()?;
                let id = member_id(&format!("{cluster} {}", self.runs), &own_url);
                self.members.get_mut(&cluster)?.push(Member {
                    id,
                    name: String::new(),
                    peer_urls: vec![own_url.clone()],
                });
                write()?;
            }
            let Some(entry) =
                self.members.get_mut(&cluster).and_then(|it| it.iter_mut().find(|it| announced(it)))
            else {
                continue;
            };
            entry.name = name(*host);
            self.disks[*host] = Some(Data { cluster_id: cluster, member_id: entry.id, last_index: 100 });
            self.on[*host] = true;
            self.elect();
        }
        Some(())
    }

    /// Whether it has no data, or what is left of a founding that was given up: each host looks at its own disk again.
    fn has_nothing(&self, host: usize) -> bool {
        self.disks[host].is_none_or(|it| self.record.as_ref().is_some_and(|record| record.has_abandoned(it)))
    }

    fn found(&mut self, host: usize, lies: &BTreeMap<usize, Lie>) {
        let record = self.record.as_ref().unwrap();
        assert!(self.disks[host].is_none_or(|it| it.last_index < 100), "data is never overwritten");
        let id = cluster_id(&record.token, &record.members);
        // What only a host knows that lies is lost with it.
        let honest = self.disks.iter().enumerate().filter(|(host, _)| !lies.contains_key(host));
        let honest = honest.filter_map(|(_, it)| *it).filter(|it| it.last_index == 100);
        let elected: Vec<Id> = honest.map(|it| it.cluster_id).collect();
        assert!(!elected.contains(&id), "a founder forgets what it has voted for");
        assert!(!elected.into_iter().any(|it| self.has_majority(it)), "founds beside a cluster that lives");
        let member = |(name, url): (&String, &String)| Member {
            id: member_id(&record.token, url),
            name: name.clone(),
            peer_urls: vec![url.clone()],
        };
        self.members.entry(id).or_insert_with(|| record.members.iter().map(member).collect());
        let member_id = member_id(&record.token, &record.members[&name(host)]);
        let last_index = record.members.len() as u64;
        self.disks[host] = Some(Data { cluster_id: id, member_id, last_index });
        self.on[host] = true;
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Run { reached, writes, lies } => {
                self.run(&set(*reached), *writes, lies);
            }
            Event::Wipe(host) => {
                self.disks[*host] = None;
                self.taken_over.remove(host);
            }
            Event::Switch(host) => self.on[*host] ^= true,
            Event::Group(mask) => self.group = set(*mask),
            Event::LoseRecord => self.record = None,
            Event::Address(host, works) => self.works[*host] = *works,
        }
        self.elect();
    }
}

fn lie() -> impl Strategy<Value = Lie> {
    let data = prop::option::weighted(0.9, (0..8_usize, 0..40_usize, 0..101_u64));
    let members = prop::option::weighted(0.9, (any::<u8>(), any::<bool>()));
    (data, members, any::<u8>()).prop_map(|(data, members, announced)| Lie { data, members, announced })
}

fn event(last: Event) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (prop_oneof![3 => Just(0xff_u8), 1 => any::<u8>()], prop_oneof![2 => Just(usize::MAX), 2 => 0..8_usize])
            .prop_map(|(reached, writes)| Event::Run { reached, writes, lies: Vec::new() }),
        2 => (prop_oneof![3 => Just(0xff_u8), 1 => any::<u8>()], prop::collection::vec((0..HOSTS, lie()), 1..4))
            .prop_map(|(reached, lies)| Event::Run { reached, writes: usize::MAX, lies }),
        2 => (0..HOSTS).prop_map(Event::Wipe),
        2 => (0..HOSTS).prop_map(Event::Switch),
        1 => match last {
            Event::Group(_) => (1..32_u8).prop_map(Event::Group).boxed(),
            Event::Address(..) => (0..HOSTS, any::<bool>()).prop_map(|(host, works)| Event::Address(host, works)).boxed(),
            last => Just(last).boxed(),
        },
    ]
}

/// Where a majority is left in the group, two undisturbed runs with addresses that are right make every host of it a
/// member, and nobody else.
fn heals(world: &mut World) {
    founds(world);
    let Some(cluster) = world.record.as_ref().map(|it| it.cluster_id) else { return };
    for host in 0..HOSTS {
        world.on[host] &= world.group.contains(&host);
    }
    if !world.has_majority(cluster) || world.disks.iter().flatten().any(|it| it.cluster_id != cluster) {
        return;
    }
    // Whose data the cluster removed is believed by those who hold none of it, once they are enough.
    let removed = |it: &&usize| {
        world.disks[**it].is_some_and(|it| !world.members[&cluster].iter().any(|m| m.id == it.member_id))
    };
    if world.group.len() - world.group.iter().filter(removed).count() < words_needed(world.group.len()) {
        return;
    }
    // A member that is moved to where nobody answers is lost to the others.
    world.works = vec![true; HOSTS];
    let all = set(0xff);
    assert_eq!((world.run(&all, usize::MAX, &[]), world.run(&all, usize::MAX, &[])), (Some(()), Some(())));
    let names: BTreeSet<String> = world.members[&cluster].iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, world.group.iter().map(|it| name(*it)).collect());
    assert!(world.group.iter().all(|it| world.disks[*it].is_some_and(|it| it.cluster_id == cluster)));
}

/// A founding that never reached a majority is no trap: with all founders there, at addresses that are right, there is one.
fn founds(world: &mut World) {
    let of_group = |it: &String| world.group.iter().any(|host| name(*host) == *it);
    let founding = world.record.as_ref().filter(|it| it.state == FoundingState::Founding);
    if founding.is_none_or(|it| !it.members.keys().all(of_group))
        || world.disks.iter().flatten().any(|it| it.last_index >= 100)
        || world
            .group
            .iter()
            .any(|it| world.disks[*it].is_some_and(|disk| !world.members.contains_key(&disk.cluster_id)))
    {
        return;
    }
    world.works = vec![true; HOSTS];
    let all = set(0xff);
    assert_eq!((world.run(&all, usize::MAX, &[]), world.run(&all, usize::MAX, &[])), (Some(()), Some(())));
    let founded = world.record.as_ref().unwrap();
    assert!(world.has_majority(founded.cluster_id), "{founded:?} is stuck");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_group_changes(events in prop::collection::vec(event(Event::Group(0)), 1..30)) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
        }
        heals(&mut world);
    }

    #[test]
    fn addresses_are_wrong(events in prop::collection::vec(event(Event::Address(0, true)), 1..30)) {
        let mut world = World::new();
        world.works = vec![false, false, true, true, true];
        for event in &events {
            world.happens(event);
        }
        heals(&mut world);
    }

    #[test]
    fn the_record_is_lost(events in prop::collection::vec(event(Event::LoseRecord), 1..30)) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
        }
        heals(&mut world);
    }
}
