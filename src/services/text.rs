//! Texts with a form: names, units, paths. Each says once what it accepts, to people and to editors.
#![allow(unreachable_pub, reason = "of what the macro makes, some is for this module only")]

use serde_json::{Value as Json, json};

use super::attribute::{Attribute, Place, refuse};
use crate::diagnostic::Diagnostics;
use crate::yaml::Node;

/// Declares a type of text: what a message calls it, its pattern for editors, and the check itself.
macro_rules! text {
    ($(#[doc = $about:literal])* $name:ident $(as $json_type:tt)?, $expected:literal, $pattern:literal, $holds:expr) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        pub struct $name(pub String);

        impl $name {
            /// Whether `text` has this form.
            pub fn accepts(text: &str) -> bool {
                let holds: fn(&str) -> bool = $holds;
                holds(text)
            }
            /// The form in words, to follow "must be".
            pub const EXPECTED: &'static str = $expected;
            /// The form as a pattern for editors.
            pub const PATTERN: &'static str = $pattern;
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Attribute for $name {
            fn read(node: &Node, place: &Place, mistakes: &mut Diagnostics) -> Option<Self> {
                match node.text() {
                    Some(text) if !node.is_null() && Self::accepts(text) => Some(Self(text.into())),
                    _ => refuse(node, place, Self::EXPECTED, mistakes),
                }
            }

            fn schema() -> Json {
                json!({"type": text!(@type $($json_type)?), "pattern": Self::PATTERN})
            }
        }
    };
    (@type) => { "string" };
    (@type $json_type:tt) => { json!($json_type) };
}

/// Whether `text` begins with a byte of `first`, ends with one of `last` and has only those of `inner` between.
fn shaped(text: &str, first: fn(u8) -> bool, inner: fn(u8) -> bool, last: fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => first(*only) && last(*only),
        [begin, middle @ .., end] => first(*begin) && middle.iter().all(|&byte| inner(byte)) && last(*end),
    }
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase()
}

fn lower_or_digit(byte: u8) -> bool {
    lower(byte) || byte.is_ascii_digit()
}

/// A DNS label that may contain underscores, as service names do.
fn label(text: &str) -> bool {
    let inner = |byte| lower_or_digit(byte) || byte == b'-' || byte == b'_';
    text.len() <= 63 && shaped(text, lower_or_digit, inner, lower_or_digit)
}

fn domain_name(text: &str) -> bool {
    text.len() <= 200 && text.split('.').all(label)
}

fn unit(text: &str) -> bool {
    const KINDS: [&str; 7] = ["service", "socket", "timer", "path", "target", "mount", "slice"];
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b":_.\\@-".contains(&byte);
    let Some((stem, kind)) = text.rsplit_once('.') else { return false };
    text.len() <= 255 && !stem.is_empty() && KINDS.contains(&kind) && stem.bytes().all(inner)
}

text! {
    /// The name of a service; also a host group, a DNS name and a part of variable names.
    ServiceName, "a name of lower-case letters, digits, '-' and '_' (first a letter, last a letter or digit, at most 63)",
    "^[a-z]([a-z0-9_-]{0,61}[a-z0-9])?$", |text| label(text) && text.as_bytes().first().copied().is_some_and(lower)
}
text! {
    /// The name of a set of credentials: the directory below `/etc/credentials/x509`.
    CredentialName, "a name of lower-case letters, digits, '-' and '_' (first a letter, last a letter or digit, at most 63)",
    "^[a-z]([a-z0-9_-]{0,61}[a-z0-9])?$", ServiceName::accepts
}
text! {
    /// A group of the hosts file.
    GroupName, "the name of a host group", "^[^\\s#:,\\[\\]]+$",
    |text| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "#:,[]".contains(c))
}
text! {
    /// A variable of Ansible.
    VariableName, "the name of a host variable (letters, digits, '_'; first no digit)", "^[A-Za-z_][A-Za-z0-9_]*$",
    |text| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        shaped(text, |byte| byte.is_ascii_alphabetic() || byte == b'_', inner, inner)
    }
}
text! {
    /// A user of the managed nodes.
    UserName, "the name of a system user (lower-case letters, digits, '-', '_'; first a letter or '_'; at most 31)",
    "^[a-z_][a-z0-9_-]{0,30}$", |text| {
        let inner = |byte| lower_or_digit(byte) || byte == b'-' || byte == b'_';
        text.len() <= 31 && shaped(text, |byte| lower(byte) || byte == b'_', inner, inner)
    }
}
text! {
    /// A systemd unit.
    UnitName, "a systemd unit with its suffix, such as 'web.service'",
    "^[A-Za-z0-9:_.\\\\@-]+\\.(service|socket|timer|path|target|mount|slice)$", unit
}
text! {
    /// An Ansible role.
    RoleName, "the name of an Ansible role", "^[A-Za-z0-9_][A-Za-z0-9_.-]*$", |text| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        shaped(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_', inner, inner)
    }
}
text! {
    /// A DNS name below one of the cluster's domains.
    DnsName, "a DNS name without the domain, in lower case (letters, digits, '-', '.')",
    "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$", domain_name
}
text! {
    /// An additional name of a certificate, to which the domain is appended; the first label may be `*`.
    SanName, "a DNS name without the domain, in lower case; the first label may be '*'",
    "^(\\*|[a-z0-9]([a-z0-9_-]*[a-z0-9])?)(\\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$",
    |text| text == "*" || domain_name(text.strip_prefix("*.").unwrap_or(text))
}
text! {
    /// Any text on one line; a number without quotes is its text.
    Line as ["string", "number", "boolean"], "a text on one line", "^[^\\x00-\\x1f\\x7f]+$", |text| !text.is_empty() && !text.contains(char::is_control)
}
text! {
    /// A word of a command line: any text, an empty one too.
    Word as ["string", "number", "boolean"], "a text without NUL bytes", "^[^\\x00]*$", |text| !text.contains('\0')
}
text! {
    /// An absolute path of a managed node, or `tmpfs`.
    Source, "an absolute path, or 'tmpfs'", "^(/[^\\x00-\\x1f\\x7f]*|tmpfs)$",
    |text| text == "tmpfs" || Target::accepts(text)
}
text! {
    /// An absolute path inside a container, with options such as `:ro` behind it.
    Target, "an absolute path", "^/[^\\x00-\\x1f\\x7f]*$", |text| text.starts_with('/') && Line::accepts(text)
}
text! {
    /// An absolute path of a URL, with its query if it has one.
    UrlPath, "a path that begins with '/', without blanks and quotes", "^/[^\\s\"'\\\\\\x00-\\x1f\\x7f]*$",
    |text| text.starts_with('/') && !text.contains(|it: char| it.is_whitespace() || it.is_control() || "\"'\\".contains(it))
}
text! {
    /// The name of a container, which ends a unit's name and a DNS label.
    ContainerName, "a name of lower-case letters, digits and '-' (first and last a letter or digit, at most 61)",
    "^[a-z0-9]([a-z0-9-]{0,59}[a-z0-9])?$",
    |text| text.len() <= 61 && shaped(text, lower_or_digit, |byte| lower_or_digit(byte) || byte == b'-', lower_or_digit)
}
text! {
    /// An image as docker writes it: `[registry/]name[:tag][@digest]`.
    ImageName as ["string", "number"], "an image such as 'redis:7' or 'registry.example.com/app@sha256:…'", "^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$", |text| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:@+-".contains(&byte);
        text.bytes().all(inner) && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
    }
}
text! {
    /// A file of the control node, beside `services.yml` where it is not absolute.
    FilePath, "the path of a file", "^[^\\x00-\\x1f\\x7f]*[^/\\x00-\\x1f\\x7f]$", |text| Line::accepts(text) && !text.ends_with('/')
}
text! {
    /// The name of an environment variable.
    EnvironmentName, "the name of an environment variable (letters, digits, '_'; first no digit)", "^[A-Za-z_][A-Za-z0-9_]*$",
    VariableName::accepts
}
text! {
    /// How much memory, as podman and docker write it.
    Memory as ["string", "number"], "an amount of memory such as 512m or 2g", "^[1-9][0-9]{0,14}[bkmgBKMG]?$", |text| {
        let digits = text.strip_suffix(|it: char| "bkmgBKMG".contains(it)).unwrap_or(text);
        !digits.starts_with('0') && (1..=15).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
    }
}
text! {
    /// How many processors, in parts too.
    Processors as ["string", "number"], "a number of processors such as 0.5 or 2", "^([1-9][0-9]{0,2}(\\.[0-9]{1,3})?|0\\.[0-9]{0,2}[1-9])$", |text| {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |it: &str, most| (1..=most).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
        digits(whole, 3) && digits(part, 3) && if whole == "0" { !part.ends_with('0') } else { !whole.starts_with('0') }
    }
}
text! {
    /// A Linux capability, with or without its prefix.
    Capability, "a capability such as NET_BIND_SERVICE", "^(CAP_)?[A-Z][A-Z0-9_]*$",
    |text| shaped(text, |it| it.is_ascii_uppercase(), |it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_', |it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
}
text! {
    /// A numeric user and group inside a container.
    ContainerUser as ["string", "integer"], "a numeric user, such as 999 or '999:999'", "^(0|[1-9][0-9]{0,8})(:(0|[1-9][0-9]{0,8}))?$", |text| {
        let number = |it: &str| (1..=9).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit()) && (it == "0" || !it.starts_with('0'));
        text.split_once(':').map_or_else(|| number(text), |(user, group)| number(user) && number(group))
    }
}
