//! The module `x509_install`: certificates, trust anchors and revocation lists into use on a host.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use time::OffsetDateTime;

use super::{
    certificate,
    crl::{self, Crl},
    group,
    index::REMEDY,
    installation::{Installation, key_attributes},
    layout::Layout,
    messages::{Delivery, KeyAction},
    service::{Services, Wanted, units, wanted},
    unused,
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    node::{Ledger, Records, publish},
    system::{
        Secret, fault,
        files::{self, Attributes, File, FilePlan, LockGuard},
    },
    text::Diff,
};

crate::arguments! {
    /// Options of `x509_install`.
    pub struct Params {
        /// The host's name in the inventory.
        pub host: String => Argument::str().required(),
        /// Metadata of the services that run on this host, by name.
        pub services: Services => Argument::dict().required(),
        /// This host's certificates, as `x509_sign` returned them.
        pub certificates: Vec<Delivery> => Argument::list(Argument::dict()).required(),
        /// Why `x509_sign` refused this host; the module fails and says so.
        pub refused: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// The cluster's trust anchors in PEM, as `x509_ca` returned them.
        pub bundle: String => Argument::str().required(),
        /// The cluster's revocation lists in PEM, as `x509_ca` returned them.
        pub crl: String => Argument::str().required(),
        /// Where credentials lie.
        pub directory: PathBuf => Argument::path().default("/etc/credentials"),
        /// Where the host's ledger lies.
        pub ledger: PathBuf => Argument::path().default("/var/lib/minicluster"),
        /// Groups that read the private keys, by credential; a credential that is not named has its usual one.
        pub groups: BTreeMap<String, String> => Argument::dict().default(json!({})),
    }
}

/// Stands for what only a real run can make.
const UNKNOWN: &str = "(made anew by a real run)\n";

/// The module.
pub struct X509Install;

/// What is to be done, in this order.
pub struct Plan {
    layout: Layout,
    ledger: PathBuf,
    /// Directories of credentials by service, to be recorded.
    holdings: BTreeMap<String, Vec<PathBuf>>,
    restarts: BTreeMap<String, String>,
    /// Services with a unit that owes a restart, now or since an earlier run.
    owing: BTreeSet<String>,
    shared: Vec<FilePlan>,
    certificates: Vec<Installation>,
    corrections: Vec<FilePlan>,
    /// Directories that services name no more, to be recorded.
    unused: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Those of them that were not recorded before, and the other way round.
    marked: Vec<PathBuf>,
}

impl Module for X509Install {
    const NAME: &'static str = "x509_install";
    const ABOUT: &'static str = "Put this host's certificates into use";
    type Params = Params;
    type Plan = Plan;

    fn check(params: &Params) -> Result<()> {
        if !params.refused.is_empty() {
            bail!("the control node refused this host's certificates: {}", params.refused.join("; "));
        }
        Ok(())
    }

    /// What is verified stays as it is until it is in use.
    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        Layout::new(&params.directory).lock().map(Some)
    }

    fn plan(params: Params, task: &Task) -> Result<Plan> {
        decide(params, task, OffsetDateTime::now_utc())
    }

    fn predict(plan: &Plan, task: &Task) -> Outcome {
        let mut outcome = plan.outcome();
        if task.check_mode {
            publish(&mut outcome, &["x509".into()], &plan.rewritten(), &plan.restarts);
        }
        outcome
    }

    fn apply(mut plan: Plan, predicted: Outcome) -> Result<Outcome> {
        plan.record()?;
        fault::point("x509_install:ledger");
        for file in std::mem::take(&mut plan.shared) {
            file.apply()?;
            fault::point("x509_install:shared");
        }
        for step in &plan.certificates {
            step.apply(&plan.layout)?;
        }
        for file in plan.corrections {
            file.apply()?;
            fault::point("x509_install:correction");
        }
        files::remove(&plan.layout.pending())?;
        Ok(predicted)
    }
}

fn decide(params: Params, task: &Task, now: OffsetDateTime) -> Result<Plan> {
    let layout = Layout::new(&params.directory);
    let wanted = wanted(&params.services)?;
    let group_of = |it: &str| params.groups.get(it).cloned().unwrap_or_else(|| group::name(it));
    let anchors = certificate::read_all(&params.bundle).context("option 'bundle'")?;
    if (anchors.is_empty() || params.crl.is_empty()) && !task.check_mode {
        bail!("options 'bundle' and 'crl': a trust anchor and its revocation list are needed");
    }
    let public = |path, text: &str| File::public(path, text, Attributes::mode(0o644)).plan();
    // In check mode the control node cannot know what it has not signed yet.
    let bundle = if anchors.is_empty() { UNKNOWN } else { &params.bundle };
    let lists = if params.crl.is_empty() { UNKNOWN } else { &params.crl };
    let mut shared = vec![public(layout.anchors(), bundle)?, public(layout.crl(), lists)?];
    for folder in layout.copies() {
        shared.extend([public(folder.join("ca.pem"), bundle)?, public(folder.join("crl.pem"), lists)?]);
    }
    refuse_older(&params.crl, &layout)?;
    let records = Records::read(&params.ledger)?;
    let unused = unused::credentials(&layout, &records, &params.services, &wanted);
    let mut plan = Plan {
        holdings: BTreeMap::new(),
        restarts: BTreeMap::new(),
        owing: BTreeSet::new(),
        certificates: Vec::new(),
        corrections: Vec::new(),
        marked: marked(&records, &unused),
        unused,
        ledger: params.ledger.clone(),
        shared,
        layout,
    };
    for it in &wanted {
        plan.holdings.entry(it.service.clone()).or_default().push(plan.layout.credential(&it.credential));
    }
    for delivery in params.certificates {
        let wanted = wanted
            .iter()
            .find(|it| it.credential == delivery.credential && it.side == delivery.side)
            .with_context(|| {
                format!("no service of this host wants the credential '{}'", delivery.credential)
            })?;
        let group = group_of(&delivery.credential);
        let step = Installation::new(&plan.layout, wanted.clone(), delivery, group);
        step.verify(&plan.layout, &params.host, &anchors, now)
            .with_context(|| format!("the {} certificate of '{}'", wanted.side, wanted.credential))?;
        plan.certificates.push(step);
    }
    for it in &wanted {
        plan.corrections.extend(plan.correction(it, &group_of(&it.credential))?);
    }
    plan.restarts = plan.owed(&params.services, &records);
    let owes = |unit: &String| plan.restarts.contains_key(unit) || records.restarts.contains_key(unit);
    let runs = |service: &&String| records.services.get(*service).is_some_and(|it| it.units.iter().any(owes));
    plan.owing = params.services.keys().filter(runs).cloned().collect();
    Ok(plan)
}

/// A list that is older than the one in use would accept again what was revoked since.
fn refuse_older(given: &str, layout: &Layout) -> Result<()> {
    let held = files::read(&layout.crl())?.map(|it| String::from_utf8_lossy(&it).into_owned());
    // One that is damaged protects nobody.
    let held = held.and_then(|it| crl::read_all(&it).ok()).unwrap_or_default();
    for list in crl::read_all(given).context("option 'crl'")? {
        let newer = |it: &&Crl| it.issuer_key_id == list.issuer_key_id && it.number > list.number;
        if let Some(newer) = held.iter().find(newer) {
            bail!(
                "option 'crl': this host holds the newer revocation list {} and is given {}: private_dir is older than \
                 what this host was given; {REMEDY}",
                newer.number.unwrap_or_default(),
                list.number.unwrap_or_default()
            );
        }
    }
    Ok(())
}

/// What the ledger will say otherwise of unused credentials.
fn marked(records: &Records, unused: &BTreeMap<String, BTreeSet<PathBuf>>) -> Vec<PathBuf> {
    let none = BTreeSet::new();
    let differs = |(service, paths): (&String, &BTreeSet<PathBuf>)| {
        let before = records.services.get(service).map_or(&none, |it| &it.unused);
        before.symmetric_difference(paths).cloned().collect::<Vec<_>>()
    };
    unused.iter().flat_map(differs).collect()
}

impl Plan {
    /// Restarts that the changes make necessary. Where nothing was there before, nothing runs with it.
    fn owed(&self, services: &Services, records: &Records) -> BTreeMap<String, String> {
        let mut owed = BTreeMap::new();
        let mut owe = |service: &str, reason: &str| {
            for unit in units(service, services, records) {
                owed.entry(unit.clone()).or_insert_with(|| reason.to_owned());
            }
        };
        for step in self.certificates.iter().filter(|it| it.replaces()) {
            owe(
                &step.wanted.service,
                &format!("new {} certificate '{}'", step.wanted.side, step.wanted.credential),
            );
        }
        // The revocation lists are not among them: programs read these at each connection.
        if self.shared.first().is_some_and(|it| it.content_changes() && !it.creates()) {
            self.holdings.keys().for_each(|service| owe(service, "new trust anchors"));
        }
        owed
    }

    /// Mode and group of a private key that is in use.
    fn correction(&self, wanted: &Wanted, group: &str) -> Result<Option<FilePlan>> {
        let replaced = |it: &Installation| it.wanted == *wanted && it.delivery.key == KeyAction::New;
        if self.certificates.iter().any(replaced) {
            return Ok(None);
        }
        let path = self.layout.live(&wanted.credential, wanted.side).join("private_key.pem");
        let Ok(content) = files::content(&path) else { return Ok(None) };
        let plan = File::secret(path, Secret::new(content), key_attributes(group)).plan()?;
        Ok(plan.changes().then_some(plan))
    }

    /// What will be on this host, and what must then be restarted, before anything is written.
    fn record(&self) -> Result<()> {
        let mut ledger = Ledger::open(&self.ledger)?;
        for (service, directories) in &self.holdings {
            ledger.records.service(service).credentials.extend(directories.iter().cloned());
        }
        for (service, paths) in &self.unused {
            ledger.records.service(service).unused.clone_from(paths);
        }
        for (unit, reason) in &self.restarts {
            ledger.records.owe_restart(unit, reason);
        }
        ledger.save()
    }

    /// Files that a program which reads them would find changed.
    fn rewritten(&self) -> Vec<PathBuf> {
        let shared = self.shared.iter().filter(|it| it.content_changes()).map(|it| it.path().to_owned());
        shared.chain(self.certificates.iter().flat_map(|it| it.files(&self.layout))).collect()
    }

    fn outcome(&self) -> Outcome {
        let files = self.shared.iter().chain(&self.corrections);
        let mut diff: Vec<Diff> = files.filter_map(FilePlan::diff).collect();
        diff.extend(self.certificates.iter().map(|it| it.diff(&self.layout)));
        let is_unused = |path: &PathBuf| self.unused.values().any(|it| it.contains(path));
        let words = |it| if it { "unused, removed at the end of a run\n" } else { "in use\n" };
        let marked =
            |path: &PathBuf| Diff::of(path.display(), words(!is_unused(path)), words(is_unused(path)));
        diff.extend(self.marked.iter().map(marked));
        let installed: Vec<_> = self
            .certificates
            .iter()
            .map(|it| json!({"credential": it.wanted.credential, "side": it.wanted.side, "reason": it.delivery.reason}))
            .collect();
        Outcome::new(!diff.is_empty())
            .with_diff(diff)
            .with("installed", installed)
            .with("restarts", &self.restarts)
            .with("owing", &self.owing)
    }
}
