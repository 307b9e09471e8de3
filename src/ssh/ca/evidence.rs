//! What hosts hold, against the index: certificates that the CA signed are proof of their issue; of anything else a host
//! says, only what most hosts say counts.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{
    Plan,
    index::{Issued, REMEDY},
};
use crate::ssh::{
    certificate::{Certificate, Kind},
    krl::RevocationList,
    pair::Pair,
};

/// Versions of lists were counted from 1 before they were moments in seconds since 1970, and hosts counted on by themselves.
pub const FIRST_MOMENT: u64 = 1_000_000_000;

impl Plan {
    /// Nothing is decided with an index that lacks what hosts hold, nor with a list that is older than theirs.
    pub(super) fn consider(&mut self) -> Result<()> {
        self.refuse_second_cluster()?;
        let index = self.folder.index();
        let lost = self.lost()?;
        if self.params.rebuild_index {
            self.index.records.extend(lost);
            self.adopt_lists();
            return Ok(());
        }
        if let Some(first) = lost.first() {
            bail!(
                "{} lacks {} certificates that hosts or users hold, such as {} of '{}': {REMEDY}",
                index.display(),
                lost.len(),
                first.serial,
                first.id
            );
        }
        if let (false, Some(unknown)) = (self.index.sealed, self.unknown()) {
            bail!("{} lacks the certificate {unknown}, which was revoked: {REMEDY}", index.display());
        }
        self.refuse_older_list()
    }

    /// A certificate that is on the list and not in the index.
    fn unknown(&self) -> Option<u64> {
        let ours = [&self.host, &self.user].into_iter().flatten().map(|it| it.public().blob());
        let mut listed = ours.filter_map(|it| self.revoked.certificates.get(it)).flatten();
        listed.find(|it| !self.index.knows(**it)).copied()
    }

    /// An empty `private_dir` while hosts trust CAs: they are lost, or another folder is meant.
    fn refuse_second_cluster(&mut self) -> Result<()> {
        if self.params.new_ca {
            return Ok(());
        }
        let Some(host_ca) = &self.host else {
            let reports = self.params.reports.understood();
            let holding =
                reports.filter(|(_, it)| it.user_ca.is_some() || it.certificates().next().is_some());
            let holding: Vec<_> = holding.map(|(host, _)| host.as_str()).collect();
            if !holding.is_empty() {
                bail!(
                    "{} holds no CA for SSH, but hosts already trust one ({}): correct or restore private_dir; if that \
                     CA's key is lost for good, set the option 'new_ca' (`-e ssh_ca_new=true`) to begin anew",
                    self.params.private_dir.display(),
                    holding.join(", ")
                );
            }
            return Ok(());
        };
        for (host, report) in self.params.reports.understood() {
            let mut certificates = report.certificates().peekable();
            let foreign =
                certificates.peek().is_some() && !certificates.any(|it| it.authority == *host_ca.public());
            if foreign {
                let why = "its certificates are of another cluster's CA: if it is to join this one, set `-e ssh_ca_new=true` \
                           for one run";
                self.refused.insert(host.clone(), why.into());
            }
        }
        Ok(())
    }

    /// Certificates that the CAs signed and the index lacks.
    fn lost(&self) -> Result<Vec<Issued>> {
        let by = |authority: &Option<Pair>, it: &Certificate| {
            authority.as_ref().is_some_and(|authority| it.authority == *authority.public())
        };
        let mut found = Vec::new();
        for (host, report) in self.params.reports.understood() {
            let own = |it: &Certificate| by(&self.host, it) && it.kind == Kind::Host && it.id == *host;
            found.extend(report.certificates().filter(own));
        }
        found.extend(
            self.folder.users()?.into_iter().filter(|it| by(&self.user, it) && it.kind == Kind::User),
        );
        let unknown = |it: &&Certificate| it.not_after > self.now && !self.index.knows(it.serial);
        let mut seen = BTreeSet::new();
        Ok(found.iter().filter(unknown).filter(|it| seen.insert(it.serial)).map(Issued::from).collect())
    }

    /// The lists that hosts hold: all of what they say, since what is revoked too much is issued anew.
    fn adopt_lists(&mut self) {
        let ours: Vec<_> =
            [&self.host, &self.user].into_iter().flatten().map(|it| it.public().blob().to_vec()).collect();
        for (_, report) in self.params.reports.understood() {
            let list = report.revoked.as_ref().and_then(|it| BASE64_STANDARD.decode(it).ok());
            let Some(list) = list.and_then(|it| RevocationList::from_bytes(&it).ok()) else { continue };
            for (authority, serials) in list.certificates.into_iter().filter(|(it, _)| ours.contains(it)) {
                self.adopted.certificates.entry(authority).or_default().extend(serials);
            }
            self.adopted.version = self.adopted.version.max(list.version.min(self.now));
        }
    }

    /// One host that says so may lie: it is refused. When most do, `private_dir` is older than what they were given.
    fn refuse_older_list(&mut self) -> Result<()> {
        if self.host.is_none() {
            return Ok(());
        }
        let own = self.revoked.version;
        let is_ahead = |it: u64| it > own && it >= FIRST_MOMENT;
        let all = self.params.reports.understood();
        let (ahead, others): (Vec<_>, Vec<_>) = all.partition(|(_, it)| is_ahead(it.revoked_version));
        let names: Vec<_> = ahead.into_iter().map(|(host, _)| host.clone()).collect();
        if names.len() > others.len() {
            bail!(
                "{} is older than the revocation list that hosts hold ({}): {REMEDY}",
                self.folder.list().display(),
                names.join(", ")
            );
        }
        let why = "it says that it holds a newer revocation list than the other hosts; remove \
                   /etc/ssh/minicluster_revoked_keys there if that cannot be";
        self.refused.extend(names.into_iter().map(|it| (it, why.into())));
        Ok(())
    }
}
