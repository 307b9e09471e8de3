//! The group that may read a credential's private keys.

use ring::digest::{SHA256, digest};

use crate::text::hex;

/// systemd-sysusers refuses longer names.
const LIMIT: usize = 31;
const SUFFIX: &str = "-credentials";

/// `<credential>-credentials`; where that is too long or cannot be a group's name, a name that holds
/// the beginning and a digest of the credential's.
pub fn name(credential: &str) -> String {
    let plain = format!("{credential}{SUFFIX}");
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"_-".contains(&it);
    if plain.len() <= LIMIT
        && credential.starts_with(|it: char| it.is_ascii_alphabetic())
        && plain.bytes().all(allowed)
    {
        return plain;
    }
    let kept: String = credential
        .chars()
        .map(|it| if u8::try_from(it).is_ok_and(allowed) { it } else { '_' })
        .take(9)
        .collect();
    let digest = hex::encode(&digest(&SHA256, credential.as_bytes()).as_ref()[..4]);
    // The first letter keeps a leading digit from making it a number.
    format!("c{kept}-{digest}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_names_are_hashed() {
        assert_eq!(name("web"), "web-credentials");
        assert_eq!(name("nineteen-characters"), "nineteen-characters-credentials");
        assert_eq!(name("twenty-characters-xx"), "ctwenty-ch-268248d4-credentials");
        for odd in ["7zip", "a.b", "twenty-characters-xy", "prometheus-blackbox-exporter"] {
            let name = name(odd);
            assert!(name.len() <= LIMIT && name.starts_with('c') && !name.contains('.'), "{odd}: {name}");
        }
    }
}
