//! What a registry has under a tag now: the digest of its manifest, asked with `curl` (OCI distribution specification).

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::reference::Reference;

/// All kinds of manifest that podman and docker understand.
const ACCEPT: &str = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

/// The digest of what `reference` names now.
pub(super) fn digest(reference: &Reference, plain: bool) -> Result<String> {
    // docker.io is its name, and not where it answers.
    let (host, path) = reference.registry.split_once('/').unwrap_or((&reference.registry, ""));
    let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let path = if path.is_empty() { String::new() } else { format!("{path}/") };
    let scheme = if plain { "http" } else { "https" };
    let url =
        format!("{scheme}://{host}/v2/{path}{}/manifests/{}", reference.repository, reference.version());
    let mut answer = curl(&["--head"], &url, &[ACCEPT])?;
    if status(&answer) == 401 {
        let challenge = header(&answer, "www-authenticate").unwrap_or_default().to_owned();
        let bearer = format!("Authorization: Bearer {}", token(&challenge)?);
        answer = curl(&["--head"], &url, &[ACCEPT, &bearer])?;
    }
    match status(&answer) {
        200 => {}
        404 => bail!("{url} does not exist"),
        other => bail!("{url} answers with status {other}"),
    }
    let digest = header(&answer, "docker-content-digest").filter(|it| it.starts_with("sha256:"));
    Ok(digest.with_context(|| format!("{url} does not say which digest it has"))?.to_owned())
}

/// A token for anyone, from where the registry sends us.
fn token(challenge: &str) -> Result<String> {
    let part = |name: &str| {
        let rest = challenge.split_once(&format!("{name}=\""))?.1;
        rest.split('"').next().filter(|it| !it.contains(char::is_whitespace))
    };
    let realm = part("realm").filter(|it| it.starts_with("https://") || it.starts_with("http://"));
    let realm = realm.context("the registry wants a login")?;
    let url =
        format!("{realm}?service={}&scope={}", part("service").unwrap_or(""), part("scope").unwrap_or(""));
    let answer = curl(&[], &url, &[])?;
    let token: Token = serde_json::from_str(&answer).context("the registry wants a login")?;
    if token.token.contains(['"', '\n', '\\']) {
        bail!("{realm} sent a token that is none");
    }
    Ok(token.token)
}

/// What `curl` gets. The headers go through a pipe, where no other user sees a token.
fn curl(options: &[&str], url: &str, headers: &[&str]) -> Result<String> {
    let mut child = Command::new("curl")
        .args(["--silent", "--show-error", "--location", "--max-time", "20", "--config", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run curl")?;
    let lines: Vec<_> = headers.iter().map(|it| format!("header = \"{it}\"\n")).collect();
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(format!("url = \"{url}\"\n{}", lines.concat()).as_bytes())
            .context("cannot tell curl what to ask")?;
    }
    let output = child.wait_with_output().context("cannot run curl")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last answer's, where there were redirections.
fn status(answer: &str) -> u16 {
    let mut lines = answer.lines().filter(|it| it.starts_with("HTTP/"));
    lines.next_back().and_then(|it| it.split(' ').nth(1)?.parse().ok()).unwrap_or_default()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = answer.lines().filter_map(|it| it.split_once(':'));
    pairs.rfind(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
