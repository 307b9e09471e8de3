//! Where the files of a cluster are.

use std::path::{Path, PathBuf};

/// The files of a cluster.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The hosts, as Ansible reads them.
    pub hosts: PathBuf,
    /// The services; without it there are only those of the cluster itself.
    pub services: Option<PathBuf>,
    /// Where instances run; need not exist.
    pub lock: PathBuf,
}

impl Paths {
    /// The files named, or `hosts`, `services.yml` (if it exists) and `services.lock` in the current directory.
    pub fn new(hosts: Option<PathBuf>, services: Option<PathBuf>, lock: Option<PathBuf>) -> Self {
        let usual = PathBuf::from("services.yml");
        Self {
            hosts: hosts.unwrap_or_else(|| "hosts".into()),
            services: services.or_else(|| usual.exists().then_some(usual)),
            lock: lock.unwrap_or_else(|| "services.lock".into()),
        }
    }

    /// Where Ansible looks for `group_vars` and `host_vars`: beside the hosts, here, and beside the inventory
    /// program that is running.
    pub fn variable_directories(&self) -> Vec<PathBuf> {
        let mut directories = vec![PathBuf::new()];
        directories.extend(self.hosts.parent().map(Path::to_owned));
        directories
            .extend(std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned())));
        let mut seen = std::collections::HashSet::new();
        directories.retain(|directory| seen.insert(Self::absolute(&Path::new(".").join(directory))));
        directories
    }

    /// Where the playbook may be that somebody runs here: here, or beside hosts where a site.yml lies there.
    pub fn playbook_directories(&self) -> Vec<PathBuf> {
        let beside = self.hosts.parent().filter(|it| it.join("site.yml").exists());
        [PathBuf::from(".")].into_iter().chain(beside.map(Path::to_owned)).collect()
    }

    /// A path that means the same from every directory.
    pub fn absolute(path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    }
}
