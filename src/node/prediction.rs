//! What a task would change, told to the later tasks of a check, where nothing is on disk yet.
//!
//! In check mode `node_files` and `x509_install` return it as a fact of the host; `site.yml` hands the facts to
//! `service_units`, which then predicts the restarts that the changes will make necessary.

use std::{collections::BTreeMap, path::PathBuf};

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::{
    module::{Argument, Outcome},
    text::hex,
};

crate::arguments! {
    /// What one task would change.
    #[derive(Clone)]
    pub struct Prediction {
        /// Files whose content would differ.
        pub paths: Vec<PathBuf> => Argument::list(Argument::path()).default(json!([])),
        /// Units that would be owed a restart, and why.
        pub restarts: BTreeMap<String, String> => Argument::dict().default(json!({})),
    }
}

/// Adds a task's prediction to what it returns in check mode. `all` is what the task is about, changed or not: the same task
/// in a later check replaces what a fact cache has kept of this one.
pub fn publish(
    outcome: &mut Outcome,
    all: &[String],
    paths: &[PathBuf],
    restarts: &BTreeMap<String, String>,
) {
    let name = hex::encode(&digest(&SHA256, all.join("\0").as_bytes()).as_ref()[..8]);
    let prediction = json!({"paths": paths, "restarts": restarts});
    let facts = Map::from_iter([(format!("minicluster_predicted_{name}"), prediction)]);
    outcome.values.insert("ansible_facts".into(), Value::Object(facts));
}
