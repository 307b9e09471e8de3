//! Files of the host, as they are and as they shall be.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

use super::{Params, users::Users};
use crate::{
    module::Outcome,
    ssh::{
        ca::FIRST_MOMENT, certificate::Certificate, key::PublicKey, known_hosts, krl::RevocationList,
        rotation::LIST, sshd::Sshd,
    },
    system::{
        fault,
        files::{self, Attributes, File, FilePlan},
    },
    text::Diff,
};

/// Stands for what only a real run can make.
const UNKNOWN: &str = "(made anew by a real run)\n";

/// What is to be done, in this order.
pub struct Plan {
    report: Map<String, Value>,
    /// What sshd reads: it has to be told.
    server: Vec<FilePlan>,
    /// The setting that names these files, and how it was.
    setting: Option<(FilePlan, Option<String>)>,
    client: Vec<FilePlan>,
    users: Users,
    /// Says that sshd has not read yet what lies there; survives a killed run.
    owed: PathBuf,
    sshd: Sshd,
}

impl Plan {
    /// Which host keys sshd uses, and their certificates.
    pub fn ask(params: &Params, sshd: Sshd) -> Result<Self> {
        let report = host_keys(&sshd)?.into_iter().map(|(path, key)| {
            // A damaged one is replaced.
            let certificate = files::read(&certificate_path(&path))?;
            let certificate = certificate.map(|it| String::from_utf8_lossy(&it).into_owned());
            Ok(json!({"key": key, "certificate": certificate}))
        });
        let keys = report.collect::<Result<Vec<_>>>()?;
        let trusted = files::read_text(&sshd.beside("minicluster_user_ca.pub")).ok().flatten();
        let list = RevocationList::read(&sshd.beside(LIST))?;
        let mut report = Map::new();
        for (name, value) in [
            ("keys", json!(keys)),
            ("user_ca", json!(trusted.and_then(|it| it.parse::<PublicKey>().ok()))),
            ("revoked_version", json!(list.as_ref().map_or(0, |it| it.version))),
        ] {
            report.insert(name.into(), value);
        }
        if let Some(list) = list.filter(|_| params.evidence) {
            report.insert("revoked".into(), BASE64_STANDARD.encode(list.to_bytes()).into());
        }
        Ok(Self { report, ..Self::empty(params, sshd) })
    }

    fn empty(params: &Params, sshd: Sshd) -> Self {
        Self {
            report: Map::new(),
            server: Vec::new(),
            setting: None,
            client: Vec::new(),
            users: Users::default(),
            owed: params.directory.join("ssh_reload_owed"),
            sshd,
        }
    }

    /// Everything that `ssh_ca` returned.
    pub fn install(params: &Params, sshd: Sshd, now: i64) -> Result<Self> {
        let public = |path: PathBuf, text: &str| File::public(path, text, Attributes::mode(0o644)).plan();
        let mut plan = Self::empty(params, sshd);
        let mut settings = vec!["# Written by minicluster.".to_owned()];
        let keys = host_keys(&plan.sshd)?;
        for delivery in &params.certificates {
            let (path, _) = keys
                .iter()
                .find(|(_, key)| *key == delivery.key)
                .context("option 'certificates': this host has no such key; another run may have replaced it: run again")?;
            let text = delivery.certificate.as_ref().map(|it| format!("{it}\n"));
            if let Some(text) = &text {
                let certificate = Certificate::read(text)?;
                if certificate.key != delivery.key || certificate.not_after <= u64::try_from(now)? {
                    bail!("option 'certificates': the certificate {} does not hold here", certificate.serial);
                }
            }
            plan.server.push(public(certificate_path(path), text.as_deref().unwrap_or(UNKNOWN))?);
        }
        for (path, key) in &keys {
            let certificate = certificate_path(path);
            if certificate.exists() || params.certificates.iter().any(|it| it.key == *key) {
                settings.push(format!("HostCertificate {}", certificate.display()));
            }
        }
        let authority = plan.sshd.beside("minicluster_user_ca.pub");
        let text = params.user_ca.as_ref().map_or(UNKNOWN.into(), |it| format!("{it}\n"));
        settings.push(format!("TrustedUserCAKeys {}", authority.display()));
        plan.server.push(public(authority, &text)?);
        let list = plan.sshd.beside(LIST);
        settings.push(format!("RevokedKeys {}", list.display()));
        let revoked = merged(&params.revoked, &list)?;
        plan.server.push(File::public(&list, revoked.to_bytes(), Attributes::mode(0o644)).plan()?);
        let setting = plan.sshd.beside("sshd_config.d/00-minicluster-trust.conf");
        let before = files::read_text(&setting)?;
        plan.setting = Some((public(setting, &(settings.join("\n") + "\n"))?, before));
        // Clients of this host, after the list is there: ssh trusts nobody while it cannot read it.
        let client = plan.sshd.beside("ssh_config.d/00-minicluster.conf");
        let text = format!("# Written by minicluster.\nRevokedHostKeys {}\n", list.display());
        plan.client.push(public(client, &text)?);
        let known = plan.sshd.beside("ssh_known_hosts");
        let text = files::read_text(&known)?.unwrap_or_default();
        let line = params.known_hosts.as_deref().unwrap_or(UNKNOWN.trim_end());
        plan.client.push(public(known, &known_hosts::with_line(&text, Some(line)))?);
        plan.users = Users::plan(params, &plan.sshd)?;
        Ok(plan)
    }

    /// Does it.
    pub fn apply(self) -> Result<()> {
        if self.must_reload() {
            File::public(&self.owed, "", Attributes::mode(0o600)).plan()?.apply()?;
            fault::point("ssh_trust:owed");
        }
        let reload = self.must_reload();
        for file in self.server {
            file.apply()?;
            fault::point("ssh_trust:server");
        }
        if let Some((file, before)) = self.setting {
            let path = file.path().to_owned();
            file.apply()?;
            fault::point("ssh_trust:setting");
            if let Err(refused) = effective(&self.sshd) {
                restore(&path, before.as_deref())?;
                return Err(refused);
            }
        }
        if reload {
            self.sshd.reload()?;
            fault::point("ssh_trust:reloaded");
            files::remove(&std::path::absolute(&self.owed)?)?;
        }
        for file in self.client {
            file.apply()?;
            fault::point("ssh_trust:client");
        }
        self.users.apply()
    }

    fn must_reload(&self) -> bool {
        self.setting.as_ref().is_some_and(|(it, _)| it.changes())
            || self.server.iter().any(FilePlan::changes)
            || self.setting.is_some() && self.owed.exists()
    }

    /// What a run reports.
    pub fn outcome(&self) -> Outcome {
        let files = self.server.iter().chain(self.setting.iter().map(|(it, _)| it)).chain(&self.client);
        let mut diff: Vec<Diff> = files.filter_map(FilePlan::diff).collect();
        diff.extend(self.users.diff());
        let changed = self.must_reload() || !diff.is_empty();
        // As it was before `ask` had more to say.
        let mut outcome = Outcome::new(changed).with_diff(diff).with("keys", json!([]));
        outcome.values.extend(self.report.clone());
        outcome
    }
}

/// sshd's host keys: private half's path and public key.
fn host_keys(sshd: &Sshd) -> Result<Vec<(PathBuf, PublicKey)>> {
    let mut keys = Vec::new();
    for path in sshd.host_keys()? {
        let mut public = path.clone().into_os_string();
        public.push(".pub");
        // Without a public half sshd could not use a certificate either.
        if let Ok(text) = files::text(&public) {
            let key = text.parse::<PublicKey>();
            keys.push((path, key.with_context(|| format!("cannot use {}", Path::new(&public).display()))?));
        }
    }
    Ok(keys)
}

fn certificate_path(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push("-cert.pub");
    path.into()
}

/// The control node's list, with the keys that this host itself revoked for good.
fn merged(given: &str, path: &Path) -> Result<RevocationList> {
    let own = RevocationList::read(path)?.unwrap_or_default();
    if given.is_empty() {
        return Ok(own);
    }
    let given = BASE64_STANDARD.decode(given).ok().context("option 'revoked' is not base64")?;
    let mut list = RevocationList::from_bytes(&given).context("option 'revoked'")?;
    if list.version < own.version && own.version >= FIRST_MOMENT {
        bail!(
            "option 'revoked': this host holds the newer list {} and is given {}: private_dir is older than what this host \
             was given; restore it from a backup, or rebuild it: `ansible-playbook site.yml -e ssh_index_rebuild=true`",
            own.version,
            list.version
        );
    }
    list.keys.extend(own.keys.iter().cloned());
    // The same list has the same bytes.
    if list.revokes_as(&own) { Ok(own) } else { Ok(list) }
}

/// sshd takes its settings, and they are in force.
fn effective(sshd: &Sshd) -> Result<()> {
    sshd.test()?;
    let list = sshd.beside(LIST);
    let now = sshd.effective("root", None)?.get("revokedkeys").to_owned();
    if Path::new(&now) != list {
        bail!(
            "sshd does not read {} but '{now}': begin {} with `Include /etc/ssh/sshd_config.d/*.conf`, as Debian does, \
             and set `RevokedKeys` nowhere else",
            list.display(),
            sshd.config.display()
        );
    }
    Ok(())
}

fn restore(path: &Path, before: Option<&str>) -> Result<()> {
    match before {
        Some(text) => File::public(path, text, Attributes::mode(0o644)).plan()?.apply(),
        None => files::remove(path).map(drop),
    }
}
