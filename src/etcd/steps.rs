//! Carrying a step out on its host. Each one may be killed anywhere and is decided anew by the next run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Client, Data, Id, Member, Verdict, record::is_abandoned, verdict};
use crate::{
    node::{is_outdated, owe_restart, record_started, runs},
    system::{
        fault::point,
        files::{self, Attributes, Directory, File},
    },
};

const NO_MAJORITY: &str = "no majority of etcd's members answers, and without one this host cannot change the \
                           membership. Bring the other members back (systemctl status etcd), or restore a snapshot: \
                           ansible-playbook restore.yml -e etcd_snapshot=FILE";

/// Members that are healthy have elected a leader by then.
const ELECTION: Duration = Duration::from_secs(10);

/// A host's etcd, as far as the steps need to know it.
pub struct Host {
    /// The member's name.
    pub name: String,
    /// Where the other members reach it.
    pub peer_url: String,
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// Read by the unit at its next start, then gone: what a start without data needs to know.
    pub first_start: PathBuf,
    /// The unit; `None`: whoever calls starts it.
    pub unit: Option<String>,
    /// This host's own etcd.
    pub own: Client,
    /// The other members.
    pub others: Client,
    /// Host → peer URL of every host that ought to be a member.
    pub expected: BTreeMap<String, String>,
    /// Foundings that were given up, and how many founders each had.
    pub abandoned: BTreeMap<Id, u64>,
    /// What the unit reads at its start, and the ledger to record that in, for `service_units`.
    pub inputs: Vec<PathBuf>,
    /// The ledger's directory.
    pub ledger: PathBuf,
    /// How long to wait for a majority.
    pub patience: Duration,
}

impl Host {
    /// Whether the unit runs or is on its way: to start it then does nothing, and what it was started with
    /// stays what it was. A unit that systemd is about to start again after a failure has no process.
    pub fn is_started(&self) -> Result<bool> {
        self.unit.as_deref().map_or(Ok(true), runs)
    }

    /// Whether it runs, or is on its way, with what is on disk: the step `start` then does nothing.
    pub fn is_settled(&self) -> Result<bool> {
        let is_outdated = |unit: &String| is_outdated(&self.ledger, unit, &self.inputs);
        Ok(self.is_started()? && !self.unit.as_ref().map_or(Ok(false), is_outdated)?)
    }

    /// Whether it runs with something else than is on disk by now, and no member takes this host as a client. That is so
    /// where all of them hold other trust anchors than their clients do; a restart then takes nothing away.
    pub fn is_stranded(&self) -> Result<bool> {
        let Some(unit) = &self.unit else { return Ok(false) };
        // Where most members keep what they have, one that restarts alone would be lost to them.
        let most_are_here = 2 * (self.others.endpoints.len() + 1) > self.expected.len();
        if !most_are_here || !is_outdated(&self.ledger, unit, &self.inputs)? {
            return Ok(false);
        }
        let endpoints = [&self.own, &self.others].into_iter().flat_map(|it| it.endpoints.clone()).collect();
        let all = Client { endpoints, ..self.own.clone() };
        Ok(within(ELECTION, || all.with_majority().context("no majority")).is_err())
    }

    /// Starts what has data. Does not wait: no member is ready before the majority has started.
    pub fn start(&self) -> Result<()> {
        self.systemctl(&["unmask"])?;
        self.systemctl(&["enable"])?;
        if let Some(unit) = &self.unit {
            // What is read here is at least as old as what the unit is about to read.
            record_started(&self.ledger, "etcd", unit, &self.inputs)?;
            point("etcd_member:recorded");
        }
        self.systemctl(&["start", "--no-block"])
    }

    /// Ends it and starts it with what is on disk. Does not wait, either.
    pub fn restart(&self) -> Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        owe_restart(&self.ledger, unit, "no member was healthy")?;
        point("etcd_member:owed");
        self.systemctl(&["enable"])?;
        self.systemctl(&["restart", "--no-block"])?;
        point("etcd_member:restarted");
        record_started(&self.ledger, "etcd", unit, &self.inputs)
    }

    /// Starts without data, as one of `founders` (host → peer URL).
    pub fn found(&self, token: &str, founders: &BTreeMap<String, String>) -> Result<()> {
        self.stop()?;
        self.put_abandoned_aside()?;
        let own = founders.get(&self.name).unwrap_or(&self.peer_url);
        self.write_first_start(own, "new", founders.iter(), token)?;
        point("etcd_member:founding");
        self.start()
    }

    /// Becomes a member through the majority, which then waits until this member has started.
    pub fn join(&self) -> Result<()> {
        // It may still run on files that were removed under it.
        self.stop()?;
        point("etcd_member:stopped");
        self.put_abandoned_aside()?;
        let majority = self.announce()?;
        point("etcd_member:announced");
        let mut members = BTreeMap::new();
        for member in majority.members()? {
            let name = if self.is_at_its_url(&member) { self.name.clone() } else { member.id.to_string() };
            members.extend(member.peer_urls.into_iter().map(|it| (name.clone(), it)));
        }
        self.write_first_start(&self.peer_url, "existing", members.iter(), "")?;
        point("etcd_member:joining");
        self.start()?;
        if self.unit.is_some() {
            self.wait(
                "it was announced to the majority but did not start; see journalctl --unit etcd",
                || {
                    let members = majority.members().ok()?;
                    members.iter().any(|it| it.name == self.name && self.is_at_its_url(it)).then_some(())
                },
            )?;
        }
        Ok(())
    }

    /// Puts the data of `member` aside, which the cluster removed, and becomes another one. That it was removed is what
    /// reports say; the others are asked again now, and nothing is touched while one of them, or this host's own etcd,
    /// still lists it.
    pub fn rejoin(&self, member: Id) -> Result<()> {
        self.confirm_removal(member)?;
        self.stop()?;
        if Data::read(&self.data_dir)?.is_some_and(|it| it.member_id == member) {
            self.put_aside(member)?;
            point("etcd_member:put_aside");
        }
        self.join()
    }

    fn confirm_removal(&self, member: Id) -> Result<()> {
        let begin = Instant::now();
        loop {
            let endpoints: Vec<&String> = self.own.endpoints.iter().chain(&self.others.endpoints).collect();
            let lists = thread::scope(|scope| {
                let ask = |it| scope.spawn(move || self.ask_one(it).with_majority()?.members().ok());
                let asked: Vec<_> = endpoints.iter().map(|it| ask(it)).collect();
                asked.into_iter().map(|it| it.join().ok().flatten()).collect::<Vec<_>>()
            });
            match verdict(member, lists.iter().flatten().map(Vec::as_slice), self.expected.len()) {
                Verdict::Removed => return Ok(()),
                Verdict::Listed => {
                    let lists_it = |list: &Option<Vec<Member>>| {
                        list.as_ref().is_some_and(|it| it.iter().any(|it| it.id == member))
                    };
                    let by = endpoints.iter().zip(&lists).filter(|(_, list)| lists_it(list));
                    bail!(
                        "etcd at {} still lists member {member}, which is this host, so its data stays where it is, \
                         although others reported that the member was removed. Run again; if this comes again, the \
                         hosts of the cluster contradict each other: compare `minicluster-etcdctl member list` on each",
                        by.map(|(url, _)| url.as_str()).collect::<Vec<_>>().join(", ")
                    );
                }
                Verdict::Unclear { said, needed } if begin.elapsed() >= self.patience => bail!(
                    "{said} other members say that the cluster removed member {member}, which is this host, but {needed} \
                     have to before its data is put aside. Bring the others back and run again; or, if the data is not \
                     wanted, stop etcd here, move {} away, and run again",
                    self.data_dir.display()
                ),
                // Another machine's state: there is no event to wait for.
                Verdict::Unclear { .. } => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// A client of one other member.
    fn ask_one(&self, endpoint: &str) -> Client {
        Client { endpoints: vec![endpoint.to_owned()], ..self.others.clone() }
    }

    /// Tells the majority where this member is now.
    pub fn readdress(&self, id: Id) -> Result<()> {
        self.majority()?.readdress(id, &self.peer_url)
    }

    /// Removes `members`, as far as they are still there and stand for no host that ought to be a member.
    pub fn expel(&self, members: &[Id]) -> Result<()> {
        let majority = self.majority()?;
        let is_gone = |it: &&Member| members.contains(&it.id) && !it.is_of(&self.expected);
        for member in majority.members()?.iter().filter(is_gone) {
            majority.remove(member.id)?;
            point("etcd_member:expelled");
        }
        Ok(())
    }

    /// Makes the membership hold exactly one entry for this host that never started.
    fn announce(&self) -> Result<Client> {
        let majority =
            self.wait(NO_MAJORITY, || self.others.with_majority().or_else(|| self.announced_before()))?;
        let own = |it: &&Member| it.name == self.name || self.is_at_its_url(it);
        let entries = majority.members()?;
        if entries.iter().filter(own).any(|it| it.name.is_empty()) {
            return Ok(majority);
        }
        for entry in entries.iter().filter(own) {
            majority.remove(entry.id)?;
            point("etcd_member:removed");
        }
        // Right after a member came or went, the cluster may find it too early for the next.
        self.retry("the majority does not take this host in", || majority.add(&self.name, &self.peer_url))?;
        Ok(majority)
    }

    /// No majority, but perhaps only because a killed run announced this host: a cluster of one that was
    /// told of a second member waits for it.
    fn announced_before(&self) -> Option<Client> {
        let waits = |it: &Member| it.name.is_empty() && self.is_at_its_url(it);
        self.others
            .endpoints
            .iter()
            .map(|it| self.ask_one(it))
            .find(|it| it.members().is_ok_and(|it| it.iter().any(waits)))
    }

    fn is_at_its_url(&self, member: &Member) -> bool {
        member.peer_urls.contains(&self.peer_url)
    }

    fn majority(&self) -> Result<Client> {
        self.wait(NO_MAJORITY, || self.others.with_majority())
    }

    /// Whether `data` is of a founding that was given up, and in which no leader was elected.
    pub fn has_abandoned(&self, data: Data) -> bool {
        is_abandoned(&self.abandoned, data)
    }

    /// Puts what an abandoned founding left aside. Etcd has stopped: what its data says now is its last word.
    fn put_abandoned_aside(&self) -> Result<()> {
        match Data::read(&self.data_dir)? {
            None => Ok(()),
            Some(data) if self.has_abandoned(data) => {
                self.put_aside(data.member_id)?;
                point("etcd_member:abandoned");
                Ok(())
            }
            Some(_) => {
                self.start()?;
                bail!("{} has data by now: run again", self.data_dir.display())
            }
        }
    }

    fn put_aside(&self, member: Id) -> Result<()> {
        let mut aside = self.data_dir.clone().into_os_string();
        aside.push(format!(".was-member-{member}"));
        files::rename(&self.data_dir, Path::new(&aside))
    }

    fn write_first_start<'a>(
        &self,
        own: &str,
        state: &str,
        members: impl Iterator<Item = (&'a String, &'a String)>,
        token: &str,
    ) -> Result<()> {
        let cluster: Vec<String> = members.map(|(name, url)| format!("{name}={url}")).collect();
        let token =
            if token.is_empty() { String::new() } else { format!("ETCD_INITIAL_CLUSTER_TOKEN={token}\n") };
        let text = format!(
            "ETCD_INITIAL_CLUSTER_STATE={state}\nETCD_INITIAL_ADVERTISE_PEER_URLS={own}\nETCD_INITIAL_CLUSTER={}\n{token}",
            cluster.join(",")
        );
        let directory = self.first_start.parent().context("first_start has no directory")?;
        Directory { path: directory.into(), attributes: Attributes::mode(0o755) }.plan()?.apply()?;
        File::public(&self.first_start, text, Attributes::mode(0o644)).plan()?.apply()
    }

    fn stop(&self) -> Result<()> {
        self.systemctl(&["unmask"])?;
        self.systemctl(&["stop"])
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        let output = Command::new("systemctl").args(arguments).args(["--", unit]).output();
        let output = output.context("cannot run systemctl")?;
        if !output.status.success() {
            bail!(
                "systemctl {} {unit}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn wait<T>(&self, otherwise: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let patience = self.patience.as_secs();
        self.retry(otherwise, || ready().with_context(|| format!("waited {patience} s")))
    }

    fn retry<T>(&self, otherwise: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
        within(self.patience, attempt).with_context(|| otherwise.to_owned())
    }
}

/// Tries again and again, until it works or `patience` is over.
fn within<T>(patience: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Err(_) if begin.elapsed() < patience => {}
            answer => return answer,
        }
        // Another machine's state: there is no event to wait for.
        thread::sleep(Duration::from_millis(200));
    }
}
