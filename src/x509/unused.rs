//! Credentials of a host's services that their metadata no longer names. Nothing is removed here: a program may
//! still be configured with them. `service_turndown` does it at the end of a run, as for services that have left.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    layout::Layout,
    service::{Services, Side, Wanted},
};
use crate::node::Records;

/// By service: directories of whole credentials, or of one side of a credential.
pub fn credentials(
    layout: &Layout,
    records: &Records,
    services: &Services,
    wanted: &[Wanted],
) -> BTreeMap<String, BTreeSet<PathBuf>> {
    let named = |path: &PathBuf| wanted.iter().any(|it| layout.credential(&it.credential) == *path);
    let below = |path: &PathBuf| path.parent() == Some(layout.root());
    let mut found: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for service in services.keys() {
        let held = records.services.get(service).into_iter().flat_map(|it| &it.credentials);
        let unnamed = held.filter(|it| below(it) && !named(it)).cloned().collect();
        found.insert(service.clone(), unnamed);
    }
    for Wanted { service, credential, .. } in wanted {
        for side in [Side::Client, Side::Server] {
            let path = layout.live(credential, side);
            if !wanted.iter().any(|it| it.credential == *credential && it.side == side) && path.exists() {
                found.entry(service.clone()).or_default().insert(path);
            }
        }
    }
    found
}
