//! Credentials of running services that their metadata no longer names. What belongs to services that
//! have left the host is not touched here: `service_turndown` stops these first.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{
    layout::Layout,
    service::{Services, Side, wanted},
};
use crate::node::Records;

/// Directories to remove: whole credentials, or one side of a credential.
///
/// # Errors
/// The ledger or the metadata cannot be read.
pub fn credentials(layout: &Layout, ledger: &Path, services: &Services) -> Result<Vec<PathBuf>> {
    let wanted = wanted(services)?;
    let records = Records::read(ledger)?;
    let mut stale = Vec::new();
    for holdings in services.keys().filter_map(|service| records.services.get(service)) {
        let unnamed = |path: &&PathBuf| !wanted.iter().any(|it| layout.credential(&it.credential) == **path);
        let below = |path: &&PathBuf| path.parent() == Some(layout.root());
        stale.extend(holdings.credentials.iter().filter(below).filter(unnamed).cloned());
    }
    for credential in wanted.iter().map(|it| &it.credential) {
        for side in [Side::Client, Side::Server] {
            let path = layout.live(credential, side);
            let unwanted = !wanted.iter().any(|it| it.credential == *credential && it.side == side);
            if unwanted && path.exists() && !stale.contains(&path) {
                stale.push(path);
            }
        }
    }
    Ok(stale)
}
