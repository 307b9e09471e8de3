//! The CA's key at rest: plain in a file of mode 0600, or encrypted by `ansible-vault`, which is run
//! for it with the key on its standard input and output, never on a command line or in another file.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::system::{Secret, files::read_private};

/// How to reach Ansible's vault.
#[derive(Clone, Debug)]
pub struct Vault {
    /// `ansible-vault`, by name or path.
    pub command: String,
    /// The vault password file, where keys are to be encrypted.
    pub password_file: Option<PathBuf>,
}

impl Vault {
    /// As tasks give it: without a password file, nothing is encrypted.
    pub fn new(command: &str, password_file: &str) -> Self {
        let password_file = (!password_file.is_empty()).then(|| password_file.into());
        Self { command: command.into(), password_file }
    }

    /// Reads a key file, decrypted where it is encrypted.
    pub fn read(&self, path: &Path) -> Result<Secret> {
        let content =
            read_private(path)?.with_context(|| format!("cannot read {}: it is gone", path.display()))?;
        if !content.expose().starts_with(b"$ANSIBLE_VAULT;") {
            return Ok(content);
        }
        self.run("decrypt", &content).with_context(|| format!("cannot decrypt {}", path.display()))
    }

    /// What to write into a key file: the key itself, or encrypted where there is a password file.
    pub fn seal(&self, key: Secret) -> Result<Secret> {
        if self.password_file.is_none() {
            return Ok(key);
        }
        self.run("encrypt", &key).context("cannot encrypt the CA's private key")
    }

    fn run(&self, action: &str, input: &Secret) -> Result<Secret> {
        let Some(password_file) = &self.password_file else {
            bail!("it is encrypted: set the option 'vault_password_file'");
        };
        let mut child = Command::new(&self.command)
            .arg(action)
            .arg("--vault-password-file")
            .arg(password_file)
            .args(["--output", "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run '{}'", self.command))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that has ended early says why below.
            let _ = stdin.write_all(input.expose());
        }
        let output = child.wait_with_output()?;
        let (answer, complaint) =
            (Secret::new(output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
        if !output.status.success() {
            bail!("'{} {action}' says: {}", self.command, complaint.trim());
        }
        Ok(answer)
    }
}
