//! What the host does by itself when nobody confirms a revocation in time: it restores how things were.
//!
//! One file (`rotation.json`) says where things stand, and one lock lets either the confirmation or the
//! expiry happen. The rollback is a timer of systemd, which also fires after a reboot, and which runs a
//! copy of this very program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{SshKeyRotation, edit::Edit};
use crate::{
    module::Module as _,
    node::systemd::systemctl,
    ssh::sshd::Sshd,
    system::{
        fault,
        files::{self, Attributes, Directory, File, LockGuard, Persisted},
    },
};

const NAME: &str = SshKeyRotation::NAME;
const UNIT: &str = "minicluster-ssh-rollback";

/// Where a rotation stands on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RollbackState {
    /// Revoked; restored at the deadline unless confirmed.
    Armed,
    /// Confirmed: the old key is gone for good.
    Confirmed,
    /// Restored.
    RolledBack,
}

/// What the host knows of the last rotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The rotation.
    pub id: String,
    /// Where it stands.
    pub state: RollbackState,
    /// When it is rolled back, in seconds since 1970.
    pub deadline: i64,
    /// What to restore.
    pub restore: Vec<Edit>,
    /// Whether sshd has to read its configuration afterwards.
    pub reload: bool,
}

impl Persisted for Record {
    const REMEDY: &'static str = "compare `authorized_keys` by hand, then remove it";
}

impl Record {
    /// An armed rollback.
    pub(super) const fn armed(id: String, deadline: i64, restore: Vec<Edit>, reload: bool) -> Self {
        Self { id, state: RollbackState::Armed, deadline, restore, reload }
    }
}

/// The directory with the record.
pub(super) struct Guard {
    directory: PathBuf,
    units: PathBuf,
    /// What is known; none: there was no rotation yet.
    pub record: Option<Record>,
}

impl Guard {
    /// Reads it.
    pub(super) fn read(directory: &Path, units: &Path) -> Result<Self> {
        let record = Record::read(&directory.join("rotation.json"))?;
        Ok(Self { directory: directory.into(), units: units.into(), record })
    }

    /// Waits until nobody else decides.
    pub(super) fn lock(directory: &Path) -> Result<LockGuard> {
        Directory { path: directory.into(), attributes: Attributes::mode(0o700) }.plan()?.apply()?;
        files::lock(&directory.join("lock"))
    }

    /// Arms the rollback: from here on the host restores what `record` says, whatever becomes of this
    /// process, of the connection or of the machine.
    pub(super) fn arm(&mut self, record: Record, window: u32, sshd: &Sshd) -> Result<()> {
        let program = self.directory.join("program");
        let own = files::content("/proc/self/exe").context("cannot read this program")?;
        File::public(&program, own, Attributes::mode(0o700)).plan()?.apply()?;
        let runs = Command::new(&program).args([NAME, "--help"]).output().is_ok_and(|it| it.status.success());
        if !runs {
            bail!("{} cannot be run (mounted noexec?): give another option 'directory'", program.display());
        }
        let arguments = serde_json::json!({
            "step": "expire", "id": record.id, "directory": self.directory, "unit_directory": self.units,
            "sshd": sshd.program, "sshd_config": sshd.config, "sshd_unit": sshd.unit,
        });
        let arguments_path = self.directory.join("expire.json");
        self.write(&arguments_path, &format!("{arguments:#}\n"), 0o600)?;
        fault::point("ssh_key_rotation:program");
        let run = format!("{} {NAME} {}", program.display(), arguments_path.display());
        self.write(&self.units.join(format!("{UNIT}.service")), &service(&run), 0o644)?;
        self.write(&self.units.join(format!("{UNIT}.timer")), &timer(record.deadline, window)?, 0o644)?;
        systemctl(&["daemon-reload"])?;
        let timer = format!("{UNIT}.timer");
        systemctl(&["enable", "--quiet", &timer])?;
        // Not `start`: one that runs already is to take the new deadline.
        systemctl(&["restart", &timer])?;
        fault::point("ssh_key_rotation:timer");
        self.save(record)?;
        fault::point("ssh_key_rotation:armed");
        Ok(())
    }

    /// Restores what was there, once; says whether there was something to do.
    pub(super) fn roll_back(&mut self, sshd: &Sshd) -> Result<bool> {
        let Some(record) = self.record.clone().filter(|it| it.state == RollbackState::Armed) else {
            return Ok(false);
        };
        let mut failed = Vec::new();
        for edit in &record.restore {
            failed.extend(edit.write().err().map(|it| format!("{it:#}")));
            fault::point("ssh_key_rotation:restored");
        }
        if record.reload {
            failed.extend(sshd.reload().err().map(|it| format!("{it:#}")));
        }
        if !failed.is_empty() {
            bail!("cannot restore everything: {}", failed.join("; "));
        }
        self.save(Record { state: RollbackState::RolledBack, ..record })?;
        Ok(true)
    }

    /// Notes that all is well: nothing will be restored.
    pub(super) fn confirm(&mut self) -> Result<()> {
        let Some(record) = self.record.clone() else { return Ok(()) };
        self.save(Record { state: RollbackState::Confirmed, restore: Vec::new(), ..record })
    }

    /// Whether something of a decided rollback still lies around.
    pub(super) fn is_untidy(&self) -> bool {
        let decided = self.record.as_ref().is_none_or(|it| it.state != RollbackState::Armed);
        decided && self.leftovers().iter().any(|it| it.exists())
    }

    /// Takes the timer and the program away, once it is decided.
    pub(super) fn tidy(&self) -> Result<()> {
        if !self.is_untidy() {
            return Ok(());
        }
        if self.units.join(format!("{UNIT}.timer")).exists() {
            systemctl(&["disable", "--quiet", "--now", &format!("{UNIT}.timer")])?;
        }
        for path in self.leftovers() {
            files::remove(&path)?;
        }
        systemctl(&["daemon-reload"]).map(drop)
    }

    fn leftovers(&self) -> [PathBuf; 4] {
        [
            self.units.join(format!("{UNIT}.timer")),
            self.units.join(format!("{UNIT}.service")),
            self.directory.join("expire.json"),
            self.directory.join("program"),
        ]
    }

    fn save(&mut self, record: Record) -> Result<()> {
        // For root alone: beside public keys it may hold options of a user's own.
        record.file(self.directory.join("rotation.json"), 0o600)?.plan()?.apply()?;
        self.record = Some(record);
        Ok(())
    }

    #[allow(clippy::unused_self)]
    fn write(&self, path: &Path, text: &str, mode: u32) -> Result<()> {
        File::public(path, text, Attributes::mode(mode)).plan()?.apply()
    }
}

fn service(run: &str) -> String {
    format!(
        "[Unit]\nDescription=Restore the ssh keys of a rotation that nobody confirmed\nStartLimitIntervalSec=0\n\n\
         [Service]\nType=oneshot\nExecStart={run}\nRestart=on-failure\nRestartSec=5\n"
    )
}

/// Fires at the deadline by the clock, at the next boot when the machine was off then, and, should the
/// clock be set back, soon after the deadline or the boot nevertheless.
fn timer(deadline: i64, window: u32) -> Result<String> {
    let at = OffsetDateTime::from_unix_timestamp(deadline)?;
    let (date, time) = (at.date(), at.time());
    Ok(format!(
        "[Unit]\nDescription=Deadline of a rotation of ssh keys\n\n[Timer]\nOnCalendar={}-{:02}-{:02} {:02}:{:02}:{:02} UTC\n\
         Persistent=true\nOnActiveSec={}s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        window + 5
    ))
}
