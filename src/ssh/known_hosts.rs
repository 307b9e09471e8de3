//! The text of a `known_hosts` file: one line of ours says which CA vouches for the cluster's hosts, every
//! other line stays.

use super::key::PublicKey;

/// What the comment on our line begins with.
const MARK: &str = "minicluster host ca";

/// The line that trusts `authority` for these names and addresses.
pub fn line(names: &[String], authority: &PublicKey) -> String {
    let key = PublicKey { comment: MARK.into(), ..authority.clone() };
    format!("@cert-authority {} {key}", names.join(","))
}

/// The text with this line in the place of ours, or at the end; without one, ours goes.
pub fn with_line(text: &str, line: Option<&str>) -> String {
    let is_ours = |it: &&str| it.starts_with("@cert-authority ") && it.ends_with(MARK);
    let others = text.lines().filter(|it| !is_ours(it));
    others.chain(line).flat_map(|it| [it, "\n"]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ssh::pair::Pair;

    #[test]
    fn one_line_is_ours_and_the_others_stay() {
        let authority = Pair::generate("x").unwrap();
        let first = line(&["host1".into(), "10.0.0.1".into()], authority.public());
        assert!(first.starts_with("@cert-authority host1,10.0.0.1 ssh-ed25519 "), "{first}");
        let text = with_line("# mine\nother ssh-rsa AAAA\n", Some(&first));
        assert_eq!(text, format!("# mine\nother ssh-rsa AAAA\n{first}\n"));
        let second = line(&["host2".into()], authority.public());
        assert_eq!(with_line(&text, Some(&second)), format!("# mine\nother ssh-rsa AAAA\n{second}\n"));
        assert_eq!(with_line(&text, None), "# mine\nother ssh-rsa AAAA\n");
    }
}
