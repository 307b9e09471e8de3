//! A host in a temporary directory: a small systemd (`tests/node/systemctl`), unit files, a ledger.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::Module;

/// The host. It is gone when dropped.
pub struct Host {
    root: tempfile::TempDir,
}

impl Host {
    /// A host without units.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "etc", "lib", "config", "credentials", "ledger"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("lock"), "").unwrap();
        let systemctl = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/systemctl");
        for name in ["systemctl", "journalctl"] {
            symlink(systemctl, root.path().join("bin").join(name)).unwrap();
        }
        Self { root }
    }

    /// A path on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a unit file that a package brings, reading `config/<unit>` when it starts.
    pub fn unit(&self, name: &str, settings: &str) {
        let config = self.path(&format!("config/{name}"));
        self.write(
            &format!("lib/{name}"),
            &format!("[Service]\nConfig={}\n{settings}\n[Install]\n", config.display()),
        );
    }

    /// Masks a unit.
    pub fn mask(&self, name: &str) {
        symlink("/dev/null", self.path("etc").join(name)).unwrap();
    }

    /// `service_units` for a service called `web`, with its configuration as input.
    pub fn service_units(&self, units: &[&str]) -> Module {
        let arguments = json!({"service": "web", "units": units, "inputs": [self.path("config")],
            "ledger": self.path("ledger"), "timeout": 60});
        self.run_on(Module::new("service_units", arguments))
    }

    /// `service_turndown`.
    pub fn service_turndown(&self, enabled: &[&str]) -> Module {
        self.run_on(Module::new(
            "service_turndown",
            json!({"enabled": enabled, "ledger": self.path("ledger")}),
        ))
    }

    /// `etcd_member` for a member that is the unit `web.service`, reading what [`Self::service_units`] reads.
    pub fn etcd_member(&self, step: &str) -> Module {
        let arguments = json!({"step": step, "name": "host", "peer_url": "http://127.0.0.1:1", "unit": "web.service",
            "data_dir": self.path("data"), "inputs": [self.path("config")], "ledger": self.path("ledger")});
        self.run_on(Module::new("etcd_member", arguments))
    }

    /// A module that runs on this host.
    pub fn run_on(&self, module: Module) -> Module {
        module.environment("PATH", self.search_path()).environment("FAKE_SYSTEMD", self.root.path())
    }

    /// A command that runs on this host.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("PATH", self.search_path()).env("FAKE_SYSTEMD", self.root.path())
    }

    fn search_path(&self) -> String {
        format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap())
    }

    /// The directory that is this host.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What systemd has of a unit; `null` where it never heard of it.
    pub fn state(&self, unit: &str) -> Value {
        let text = fs::read(self.path("state.json")).unwrap_or_else(|_| b"{}".to_vec());
        serde_json::from_slice::<Value>(&text).unwrap()[unit].clone()
    }

    /// The commands that systemd was given, then forgets them.
    pub fn commands(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let _ = fs::remove_file(self.path("log"));
        log.lines().map(Into::into).collect()
    }

    /// The ledger.
    pub fn ledger(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("ledger/ledger.json")).unwrap()).unwrap()
    }
}
