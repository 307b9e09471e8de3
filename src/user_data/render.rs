//! The text: a template, its variables, and the proof that what came out is what was meant.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{BootRequest, Shared};

const TEMPLATE: &str = include_str!("user-data.template");
/// What clouds take (EC2's limit, the smallest).
const LIMIT: usize = 16 * 1024;
/// Where the secret lies on a machine.
pub(super) const SECRET_PATH: &str = "/etc/minicluster/cluster_secret";

/// The boot configuration: cloud-config, complete and validated. It holds the cluster secret.
pub fn render(request: &BootRequest, shared: &Shared) -> Result<Zeroizing<String>> {
    let mut keys: Vec<&str> = request.authorized_keys.iter().map(String::as_str).collect();
    let none = (Zeroizing::default(), String::new());
    let (private, public) = shared.bootstrap_key.as_ref().unwrap_or(&none);
    keys.extend(Some(public.trim()).filter(|it| !it.is_empty()));
    // A text in JSON is the same text in YAML.
    let variables = [
        ("cluster", request.cluster.clone().into()),
        ("role", request.role.clone().into()),
        ("domain", request.domain.clone().into()),
        ("authorized_keys", Zeroizing::new(json!(keys).to_string())),
        ("secret", quoted(&format!("{}\n", *shared.secret))),
        ("bootstrap_private_key", quoted(private)),
        ("bootstrap_public_key", quoted(public)),
        ("fetch", fetch(request).into()),
        ("arguments", arguments(request).into()),
    ];
    let mut text = Zeroizing::new(String::new());
    let mut wanted = true;
    for line in TEMPLATE.lines() {
        wanted = match line {
            "@[bootstrap_key]" => request.bootstrap_key,
            "@[bundle]" => request.bundle.is_some(),
            "@[end]" => true,
            line => {
                if wanted {
                    fill(&mut text, line, &variables)?;
                }
                continue;
            }
        };
    }
    check(&text, request, shared)?;
    Ok(text)
}

/// Adds a line with its variables filled in; one that comes out empty is left out.
fn fill(text: &mut String, line: &str, variables: &[(&str, Zeroizing<String>)]) -> Result<()> {
    let (start, mut rest) = (text.len(), line);
    while let Some((before, after)) = rest.split_once("@{") {
        let (name, after) = after.split_once('}').context("the template has a variable without an end")?;
        let found = variables.iter().find(|(it, _)| *it == name);
        let (_, value) = found.with_context(|| format!("the template has an unknown variable {name}"))?;
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    if text[start..].trim().is_empty() && !line.trim().is_empty() {
        text.truncate(start);
    } else {
        text.push('\n');
    }
    Ok(())
}

fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(json!(text).to_string())
}

/// In a unit a percent sign begins a specifier.
fn fetch(request: &BootRequest) -> String {
    request.bundle.as_ref().map_or_else(String::new, |bundle| {
        let url = bundle.url.replace('%', "%%");
        format!("ExecStartPre=/usr/local/sbin/minicluster-fetch {url} {} /opt/minicluster", bundle.sha256)
    })
}

/// What the election is started with, beside what is the same everywhere.
fn arguments(request: &BootRequest) -> String {
    let mut words = vec![
        format!("--cluster {} --role {}", request.cluster, request.role),
        format!("--expect {} --timeout {}", request.expect, request.timeout),
    ];
    words.extend(request.interfaces.iter().map(|it| format!("--iface {it}")));
    words.extend(request.allowed_ids.iter().map(|it| format!("--allow {it}")));
    words.join(" ")
}

/// Reads it as cloud-init will, and misses nothing of what machines need.
fn check(text: &str, request: &BootRequest, shared: &Shared) -> Result<()> {
    if text.len() >= LIMIT {
        bail!(
            "the boot configuration would have {} bytes, and clouds take less than {LIMIT}: give fewer authorized_keys",
            text.len()
        );
    }
    let broken = |what: &str| format!("the boot configuration came out wrong ({what}); please report this");
    let read: Value = serde_saphyr::from_str(text).ok().with_context(|| broken("it is no YAML"))?;
    let files = read["write_files"].as_array().with_context(|| broken("no files"))?;
    let file = |path: &str| files.iter().find(|it| it["path"] == path);
    let secret = file(SECRET_PATH).with_context(|| broken("no secret"))?;
    let keys = read["users"][0]["ssh_authorized_keys"].as_array().map(Vec::len);
    let expected = request.authorized_keys.len() + usize::from(request.bootstrap_key);
    for (holds, what) in [
        (text.starts_with("#cloud-config\n"), "first line"),
        (secret["content"].as_str().map(str::trim_end) == Some(&*shared.secret), "secret"),
        (secret["permissions"] == "0600", "mode of the secret"),
        (keys == Some(expected), "authorized keys"),
        (file("/etc/minicluster/bootstrap_key").is_some() == request.bootstrap_key, "bootstrap key"),
        (text.contains("PRIVATE KEY") == request.bootstrap_key, "private key"),
        (file("/usr/local/sbin/minicluster-fetch").is_some() == request.bundle.is_some(), "bundle"),
    ] {
        if !holds {
            bail!(broken(what));
        }
    }
    Ok(())
}
