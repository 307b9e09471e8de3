//! `minicluster user-data`: the boot configuration with which machines become a cluster.

use std::{
    io::{IsTerminal as _, Write as _, stderr, stdout},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;

use super::answer::{Answer, Failure};
use super::data_home;
use super::text::{Text, colours};
use crate::system::files;
use crate::user_data::{BootRequest, Bundle, Shared, check_public_key, render};

/// Options of `user-data`.
#[derive(Args)]
pub(super) struct Options {
    /// The machines' role: manager (group core) or worker (group workers)
    #[arg(long, default_value = "manager")]
    role: String,
    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// How many machines the cluster begins with, of all roles together
    #[arg(long, value_name = "NUMBER")]
    expect: u32,
    /// An interface on which the machines meet; may be repeated
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    iface: Vec<String>,
    /// For how many seconds they wait for each other before they begin anew
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u32,
    /// The cluster's internal domain; else <cluster>.internal
    #[arg(long, default_value = "")]
    domain: String,
    /// A file with public keys of people who may log in as `provision`, else nobody can; may be repeated
    #[arg(long, value_name = "FILE")]
    authorized_keys: Vec<PathBuf>,
    /// A node id that may take part, and no others; may be repeated
    #[arg(long, value_name = "ID")]
    allow: Vec<String>,
    /// Where machines fetch the programs, as `make dist` packs them; else they are in the image
    #[arg(long, value_name = "URL", default_value = "")]
    bundle_url: String,
    /// SHA-256 of them
    #[arg(long, value_name = "DIGITS", default_value = "")]
    bundle_sha256: String,
    /// Put one SSH key pair for all machines into it, which the leader replaces at once
    #[arg(long)]
    bootstrap_key: bool,
    /// Where the cluster secret is kept; else below ~/.local/share/minicluster/<domain>
    #[arg(long, value_name = "DIRECTORY")]
    private_dir: Option<PathBuf>,
}

/// Prints it, but not onto a screen.
pub(super) fn run(options: Options) -> Result<Answer, Failure> {
    if stdout().is_terminal() {
        return Err("the boot configuration holds the cluster secret and is not shown on a terminal: \
                    (umask 077; minicluster user-data … > user-data)"
            .into());
    }
    let mut authorized_keys = Vec::new();
    for path in &options.authorized_keys {
        let text = files::text(path).with_context(|| format!("cannot read {}", path.display()))?;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                check_public_key(&format!("{}:{}", path.display(), index + 1), line)?;
                authorized_keys.push(line.to_owned());
            }
        }
    }
    let request = BootRequest {
        cluster: options.cluster,
        role: options.role,
        expect: options.expect,
        interfaces: options.iface,
        timeout: options.timeout,
        domain: options.domain,
        authorized_keys,
        allowed_ids: options.allow,
        bundle: Bundle::new(&options.bundle_url, &options.bundle_sha256)?,
        bootstrap_key: options.bootstrap_key,
    };
    let request = request.validated()?;
    let private_dir = match options.private_dir {
        Some(named) => named,
        None => data_home::clusters()?.join(&request.domain),
    };
    let shared = Shared::keep(&private_dir, request.bootstrap_key)?;
    let text = render(&request, &shared)?.to_string();
    if let Some(warning) = request.warning() {
        // Standard output is the boot configuration; nothing can be done if standard error is closed.
        let mut text = Text::default();
        text.warn(&warning);
        let _ = write!(stderr().lock(), "{}", text.shown(colours(&stderr())));
    }
    Ok(text.into())
}
