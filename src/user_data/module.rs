//! The module `user_data`: the boot configuration as a file on the control node.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{BootRequest, Bundle, Shared, render, request::ROLES};
use crate::{
    module::{Argument, Module, Outcome, Task},
    system::{
        Secret, fault,
        files::{Attributes, File, FilePlan},
    },
};

crate::arguments! {
    /// Options of `user_data`.
    pub struct Params {
        /// The file to write, with mode 0600: it holds the cluster secret.
        pub path: PathBuf => Argument::path().required(),
        /// Where the control node keeps its secrets; the cluster secret is made there, once.
        pub private_dir: PathBuf => Argument::path().required(),
        /// The cluster's name: up to 40 lower-case letters, digits and dashes.
        pub cluster: String => Argument::str().required(),
        /// How many machines the cluster begins with, of all roles together.
        pub expect: u32 => Argument::int().required(),
        /// The machines' role. Managers enter the group `core` of `hosts`, workers the group `workers`.
        pub role: String => Argument::str().default("manager").choices(ROLES),
        /// Interfaces on which the machines meet.
        pub interfaces: Vec<String> => Argument::list(Argument::str()).default(json!(["eth0"])),
        /// For how many seconds they wait for each other before they begin anew.
        pub timeout: u32 => Argument::int().default(600),
        /// The cluster's internal domain; empty: `<cluster>.internal`.
        pub domain: String => Argument::str().default(""),
        /// Public keys of people who may log in as `provision`.
        pub authorized_keys: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// The only node ids that may take part; empty: whoever holds the cluster secret.
        pub allowed_ids: Vec<String> => Argument::list(Argument::str()).default(json!([])),
        /// Where machines fetch the programs, as `make dist` packs them; empty: they are in the image.
        pub bundle_url: String => Argument::str().default(""),
        /// SHA-256 of them: nothing else is unpacked.
        pub bundle_sha256: String => Argument::str().default(""),
        /// Put one SSH key pair for all machines into it, which the leader replaces at once.
        pub bootstrap_key: bool => Argument::bool().default(false),
    }
}

/// The module.
pub struct UserData;

/// What is to be done.
pub struct Plan {
    path: PathBuf,
    private_dir: PathBuf,
    request: BootRequest,
    file: FilePlan,
    new: bool,
}

impl Module for UserData {
    const NAME: &'static str = "user_data";
    const ABOUT: &'static str = "Write the boot configuration with which machines become a cluster";
    type Params = Params;
    type Plan = Plan;

    fn plan(params: Params, _task: &Task) -> Result<Plan> {
        let Params { path, private_dir, cluster, expect, role, interfaces, timeout, domain, .. } = params;
        let Params { authorized_keys, allowed_ids, bootstrap_key, .. } = params;
        let bundle = Bundle::new(&params.bundle_url, &params.bundle_sha256)?;
        let request = BootRequest {
            cluster,
            role,
            expect,
            interfaces,
            timeout,
            domain,
            authorized_keys,
            allowed_ids,
            bundle,
            bootstrap_key,
        };
        let request = request.validated()?;
        let shared = Shared::plan(&private_dir, bootstrap_key)?;
        let file = file(&path, &request, &shared)?;
        Ok(Plan { path, private_dir, request, file, new: shared.new })
    }

    fn predict(plan: &Plan, _task: &Task) -> Outcome {
        Outcome::new(plan.new || plan.file.changes())
            .with_diff(plan.file.diff())
            .with_warnings(plan.file.warning())
            .with_warnings(plan.request.warning())
            .with("path", &plan.path)
    }

    fn apply(plan: Plan, predicted: Outcome) -> Result<Outcome> {
        let shared = Shared::keep(&plan.private_dir, plan.request.bootstrap_key)?;
        fault::point("user_data:kept");
        file(&plan.path, &plan.request, &shared)?.apply()?;
        Ok(predicted)
    }
}

fn file(path: &std::path::Path, request: &BootRequest, shared: &Shared) -> Result<FilePlan> {
    let text = render(request, shared)?;
    File::secret(path, Secret::new(text.as_bytes()), Attributes::mode(0o600)).plan()
}
