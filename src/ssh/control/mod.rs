//! The module `ssh_control_key` (control node): the life of the key that opens the hosts.

pub mod listing;
pub mod state;
pub mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use time::OffsetDateTime;

use self::{
    state::{ControlState, Moment, Rotation},
    store::Store,
};
use super::{
    key::PublicKey,
    pair::{self, Pair, public_half},
    rotation::RECOVERY,
};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{
        Secret, fault,
        files::{self, LockGuard},
        random,
    },
    text::{Diff, duration},
};

crate::arguments! {
    /// Options of `ssh_control_key`.
    pub struct Params {
        /// Where the control node keeps its secrets.
        pub private_dir: PathBuf => Argument::path().required(),
        /// The private key with which the control node opens hosts, after the rotation.
        pub key: PathBuf => Argument::path().required(),
        /// The private key that opens them now; empty: the same file, whose content is then exchanged.
        pub from: String => Argument::path().default(""),
        /// `begin` a rotation or continue the one under way, `exchange` the control key for the new one, `finish` what can be.
        pub step: String => Argument::str().required().choices(&["begin", "exchange", "finish"]),
        /// Every host of the inventory, also those that take no part in this run.
        pub hosts: BTreeSet<String> => Argument::list(Argument::str()).required(),
        /// With `finish`: hosts on which the new key is proven to open and the old one not to.
        pub proven: BTreeSet<String> => Argument::list(Argument::str()).default(json!([])),
        /// Hosts that the rotation does not wait for.
        pub abandon: BTreeSet<String> => Argument::list(Argument::str()).default(json!([])),
        /// With `begin`: a key younger than this is left alone, unless its rotation is under way.
        pub older_than: String => Argument::str().default(""),
    }
}

/// The module.
pub struct SshControlKey;

/// What is to be done.
pub struct Plan {
    params: Params,
    store: Store,
    now: Moment,
    action: Action,
}

enum Action {
    /// There is nothing to do; perhaps there is something to tidy up.
    Idle,
    /// A new rotation away from this key.
    Begin { old: PublicKey },
    /// The rotation under way goes on.
    Continue,
    /// The new key takes the place of the control key.
    Exchange,
    /// The state afterwards.
    Advance(Box<ControlState>),
}

impl Module for SshControlKey {
    const NAME: &'static str = "ssh_control_key";
    const ABOUT: &'static str = "Keep the key that opens the hosts, and exchange it";
    type Params = Params;
    type Plan = Plan;

    fn lock(params: &Params) -> Result<Option<LockGuard>> {
        Store::lock(&params.private_dir).map(Some)
    }

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let store = Store::read(&params.private_dir)?;
        let now = OffsetDateTime::now_utc();
        let now = Moment(now.replace_nanosecond(0).unwrap_or(now));
        let action = decide(&params, &store, now)?;
        Ok(Plan { params, store, now, action })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        plan.outcome(plan.changes())
    }

    fn apply(mut plan: Plan, predicted: Outcome) -> Result<Outcome> {
        match &plan.action {
            Action::Idle => plan.store.forget_keys()?,
            Action::Begin { old } => plan.begin(old.clone())?,
            Action::Continue => {}
            Action::Exchange => {
                let private = files::content(plan.store.key("next")).context("cannot read the new key")?;
                let public = public_half(&plan.store.key("next"))?;
                let public = plan.store.state.rotation.as_ref().map_or(public, |it| it.new.clone());
                store::put(&plan.params.key, Secret::new(private), &public)?;
            }
            Action::Advance(state) => plan.advance(ControlState::clone(state))?,
        }
        // The values are those of the rotation as it is now.
        Ok(Outcome { diff: predicted.diff, ..plan.outcome(predicted.changed) })
    }
}

fn decide(params: &Params, store: &Store, now: Moment) -> Result<Action> {
    let advanced = |proven| store.state.advanced(&params.hosts, proven, &params.abandon, now);
    let Some(rotation) = &store.state.rotation else {
        return match params.step.as_str() {
            "begin" => may_begin(params, store, now),
            _ => Ok(Action::Idle),
        };
    };
    if rotation.key != params.key {
        bail!(
            "option 'key': the rotation under way is of {}: finish it first (it waits for {})",
            rotation.key.display(),
            rotation.waiting_for().join(", ")
        );
    }
    Ok(match params.step.as_str() {
        "begin" => {
            let next = advanced(&BTreeSet::new());
            if next == store.state { Action::Continue } else { Action::Advance(Box::new(next)) }
        }
        "exchange" => Action::Exchange,
        _ => Action::Advance(Box::new(advanced(&params.proven))),
    })
}

fn may_begin(params: &Params, store: &Store, now: Moment) -> Result<Action> {
    let from = params.from();
    if *from != params.key && !from.exists() {
        // It has been exchanged and removed.
        return Ok(Action::Idle);
    }
    let old = public_half(from).context("the key that opens the hosts (`ansible_ssh_private_key_file`)")?;
    if *from == params.key && !params.older_than.is_empty() {
        let known = store.state.current.as_ref().filter(|it| it.key == old).map(|it| it.since.0);
        let since = match known {
            Some(since) => since,
            None => fs::metadata(from)?.modified()?.into(),
        };
        if now.0 - since < duration::parse("older_than", &params.older_than)? {
            return Ok(Action::Idle);
        }
    }
    Ok(Action::Begin { old })
}

impl Params {
    fn from(&self) -> &Path {
        if self.from.is_empty() { &self.key } else { Path::new(&self.from) }
    }
}

impl Plan {
    fn changes(&self) -> bool {
        match &self.action {
            Action::Idle => self.store.has_keys(),
            Action::Begin { .. } => true,
            Action::Continue => false,
            Action::Exchange => {
                files::content(&self.params.key).ok() != files::content(self.store.key("next")).ok()
            }
            Action::Advance(state) => **state != self.store.state,
        }
    }

    /// Everything that the rotation needs is on the disk before it counts, and nothing of it has been
    /// anywhere else: a run that dies before leaves keys that nobody has.
    fn begin(&mut self, old: PublicKey) -> Result<()> {
        self.store.forget_keys()?;
        let id = format!("{:016x}", u64::from_be_bytes(random::bytes()?));
        let from = self.params.from().to_owned();
        let read =
            |path: &Path| files::content(path).with_context(|| format!("cannot read {}", path.display()));
        self.store.keep("previous", Secret::new(read(&from)?), &old)?;
        fault::point("ssh_control_key:previous");
        let new = if from != self.params.key && self.params.key.exists() {
            let public = public_half(&self.params.key)?;
            self.store.keep("next", Secret::new(read(&self.params.key)?), &public)?;
            public
        } else {
            let pair = Pair::generate(&format!("minicluster control {}", self.now.0.date()))?;
            self.store.keep("next", pair.private_file()?, pair.public())?;
            pair.public().clone()
        };
        if new == old {
            bail!("{} and {} hold the same key: name two", from.display(), self.params.key.display());
        }
        fault::point("ssh_control_key:next");
        let recovery = Pair::generate(&format!("{RECOVERY}{id}"))?;
        self.store.keep("recovery", recovery.private_file()?, recovery.public())?;
        fault::point("ssh_control_key:recovery");
        let rotation = Rotation {
            id,
            began: self.now,
            key: self.params.key.clone(),
            from,
            old,
            new,
            recovery: recovery.public().clone(),
            hosts: self.params.hosts.clone(),
            proven: BTreeMap::new(),
            abandoned: self.params.abandon.intersection(&self.params.hosts).cloned().collect(),
        };
        let mut state = self.store.state.clone();
        state.rotation = Some(rotation);
        self.store.save(state)
    }

    /// The old half goes last, and only when no host needs it.
    fn advance(&mut self, state: ControlState) -> Result<()> {
        let done = self.store.state.rotation.clone().filter(|_| state.rotation.is_none());
        if let Some(rotation) = done.as_ref().filter(|it| it.from != it.key) {
            for path in [pair::public_path(&rotation.from), rotation.from.clone()] {
                files::remove(&std::path::absolute(path)?)?;
                fault::point("ssh_control_key:from");
            }
        }
        if self.store.state != state {
            self.store.save(state)?;
        }
        fault::point("ssh_control_key:state");
        if done.is_some() { self.store.forget_keys() } else { Ok(()) }
    }

    fn diff(&self) -> Vec<Diff> {
        let one = |before: String, after: String| vec![Diff::of(self.params.key.display(), before, after)];
        let rotation = self.store.state.rotation.as_ref();
        match (&self.action, rotation) {
            (Action::Begin { old }, _) => {
                one(format!("{}\n", old.describe()), "a new key, made by a real run\n".into())
            }
            (Action::Exchange, Some(it)) if self.changes() => {
                one(format!("{}\n", it.old.describe()), format!("{}\n", it.new.describe()))
            }
            _ => Vec::new(),
        }
    }

    fn outcome(&self, changed: bool) -> Outcome {
        let rotation = match &self.action {
            Action::Advance(state) => state.rotation.as_ref(),
            _ => self.store.state.rotation.as_ref(),
        };
        let waiting_for = rotation.map(Rotation::waiting_for).unwrap_or_default();
        let msg = (self.params.step == "finish" && !waiting_for.is_empty()).then(|| {
            format!(
                "the old key is kept for {}: run again when they answer, or abandon them by name",
                waiting_for.join(", ")
            )
        });
        let planned = match &self.action {
            Action::Begin { old } => Some(old),
            _ => None,
        };
        let phase = if rotation.is_some() || planned.is_some() { "rotating" } else { "idle" };
        // In check mode there is no new key yet; hosts are opened by the one that is there.
        let keys: Vec<PathBuf> = match rotation {
            Some(_) => ["next", "recovery", "previous"].iter().map(|it| self.store.key(it)).collect(),
            None if planned.is_some() => vec![self.params.from().to_owned()],
            None => vec![self.params.key.clone()],
        };
        Outcome { changed, msg, diff: self.diff(), ..Outcome::default() }
            .with("phase", phase)
            .with("id", rotation.map_or("", |it| &it.id))
            .with("old", rotation.map(|it| &it.old).or(planned).map(ToString::to_string))
            .with("new", rotation.map(|it| it.new.to_string()))
            .with("recovery", rotation.map(|it| it.recovery.to_string()))
            .with("key", &self.params.key)
            .with("keys", keys)
            .with("next", rotation.map(|_| self.store.key("next")))
            .with("previous", rotation.map(|_| self.store.key("previous")))
            .with("waiting_for", waiting_for)
    }
}
