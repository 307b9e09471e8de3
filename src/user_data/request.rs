//! What a boot configuration is made for, validated: every value here can stand in YAML, in a unit and in a shell.

use anyhow::{Result, bail};

use crate::ssh::authorized_keys::AuthorizedKeys;

/// Roles of a machine; each decides the group that it enters in `hosts`.
pub(super) const ROLES: &[&str] = &["manager", "worker"];
/// What the machines are to be.
#[derive(Clone, Debug)]
pub struct BootRequest {
    /// The cluster's name.
    pub cluster: String,
    /// The machines' role, one of [`ROLES`].
    pub role: String,
    /// How many machines the cluster begins with, of all roles together.
    pub expect: u32,
    /// Interfaces on which the machines meet.
    pub interfaces: Vec<String>,
    /// For how many seconds they wait for each other before they begin anew.
    pub timeout: u32,
    /// The cluster's internal domain; empty: `<cluster>.internal`.
    pub domain: String,
    /// Public keys of people who may log in as `provision`.
    pub authorized_keys: Vec<String>,
    /// The only node ids that may take part; empty: whoever holds the secret.
    pub allowed_ids: Vec<String>,
    /// Where the programs come from; `None`: they are in the image.
    pub bundle: Option<Bundle>,
    /// Whether one key pair for all machines goes with it.
    pub bootstrap_key: bool,
}

/// The programs, as `make dist` packs them.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Where it can be fetched.
    pub url: String,
    /// SHA-256 of it: nothing else is unpacked.
    pub sha256: String,
}

impl Bundle {
    /// From two options of which both are given or none.
    pub fn new(url: &str, sha256: &str) -> Result<Option<Self>> {
        match (url, sha256) {
            ("", "") => Ok(None),
            ("", _) => bail!("bundle_sha256 is given without bundle_url"),
            (_, "") => {
                bail!("bundle_url is given without bundle_sha256: nothing is run that was not verified")
            }
            (url, sha256) => Ok(Some(Self { url: url.into(), sha256: sha256.to_ascii_lowercase() })),
        }
    }
}

impl BootRequest {
    /// Completes and checks it.
    pub fn validated(mut self) -> Result<Self> {
        let label = |text: &str| {
            let inner = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
            (1..=40).contains(&text.len())
                && text.chars().all(inner)
                && !text.starts_with('-')
                && !text.ends_with('-')
        };
        require(
            "cluster",
            &self.cluster,
            label(&self.cluster),
            "up to 40 lower-case letters, digits and dashes",
        )?;
        if self.domain.is_empty() {
            self.domain = format!("{}.internal", self.cluster);
        }
        require(
            "domain",
            &self.domain,
            self.domain.split('.').all(label),
            "a domain, such as infra.example.com",
        )?;
        require("role", &self.role, ROLES.contains(&self.role.as_str()), &ROLES.join(" or "))?;
        require(
            "expect",
            &self.expect,
            (1..=1000).contains(&self.expect),
            "the number of machines, 1 to 1000",
        )?;
        require("timeout", &self.timeout, self.timeout > 0, "seconds, at least 1")?;
        require("interfaces", &"[]", !self.interfaces.is_empty(), "at least one interface, such as eth0")?;
        for it in &self.interfaces {
            let known = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
            let fits = (1..=15).contains(&it.len()) && it.chars().all(known) && !it.starts_with('-');
            require("interfaces", it, fits, "the name of an interface, such as eth0")?;
        }
        for it in &self.allowed_ids {
            let fits = (8..=128).contains(&it.len()) && it.chars().all(|it| it.is_ascii_hexdigit());
            require("allowed_ids", it, fits, "a node id: hexadecimal digits")?;
        }
        for (index, it) in self.authorized_keys.iter_mut().enumerate() {
            *it = it.trim().to_owned();
            check_public_key(&format!("entry {} of authorized_keys", index + 1), it)?;
        }
        if let Some(Bundle { url, sha256 }) = &self.bundle {
            let known = |it: char| it.is_ascii_graphic() && !"\"'\\$`;<>{}|".contains(it);
            let scheme = url.starts_with("https://") || url.starts_with("http://");
            require("bundle_url", url, scheme && url.chars().all(known), "a URL, https://…")?;
            let fits = sha256.len() == 64 && sha256.chars().all(|it| it.is_ascii_hexdigit());
            require("bundle_sha256", sha256, fits, "64 hexadecimal digits, as sha256sum prints them")?;
        }
        Ok(self)
    }

    /// What can be meant, and yet is seldom wanted.
    pub fn warning(&self) -> Option<String> {
        self.authorized_keys.is_empty().then(|| {
            "authorized_keys is empty: no person will be able to log in to these machines; give the public keys of those \
             who shall (--authorized-keys FILE, option 'authorized_keys' of the module)"
                .into()
        })
    }
}

fn require(option: &str, value: &dyn std::fmt::Display, fits: bool, expected: &str) -> Result<()> {
    if !fits {
        bail!("{option} is '{value}'; expected {expected}");
    }
    Ok(())
}

/// Whether a line, which is at `place`, can stand in `authorized_keys`: a public key, with options before it or
/// without. Of what is none nothing is shown: it may be the other half.
pub fn check_public_key(place: &str, line: &str) -> Result<()> {
    if line.contains("PRIVATE KEY") {
        bail!("{place} is of a private key; give the public one, from the file that ends in .pub");
    }
    let one = AuthorizedKeys::read(line).keys().count() == 1;
    if !one || line.chars().any(char::is_control) {
        bail!(
            "{place} is no public key; expected one such as 'ssh-ed25519 AAAA… name', with options \
             such as from=\"10.0.0.0/8\" before it or without"
        );
    }
    Ok(())
}
