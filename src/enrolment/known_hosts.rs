//! `known_hosts`: lines for the members, all others as they are.

use anyhow::Result;

use super::{Election, Member};

/// `text` with a line for each member in place of what it said of the same names and addresses.
pub(super) fn update(text: &str, election: &Election) -> Result<String> {
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for member in &election.members {
        let mut own = vec![member.name.clone()];
        own.extend(member.reachable().map(|it| it.to_string()));
        lines.push(format!("{} {}", own.join(","), Member::plain(&member.host_key)?));
        names.extend(own);
    }
    let about_members = |line: &&str| {
        let hosts = line.split_whitespace().next().unwrap_or_default();
        // A comment, a marker such as @cert-authority or a hashed name begins with one of these.
        !hosts.starts_with(['#', '@', '|']) && hosts.split(',').any(|it| names.iter().any(|name| name == it))
    };
    let kept = text.lines().filter(|it| !about_members(it)).map(str::to_owned);
    Ok(kept.chain(lines).map(|it| it + "\n").collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::election::tests::{KEY, election};
    use super::*;

    #[test]
    fn what_was_said_of_members_is_replaced_and_the_rest_stays() {
        let election = Election::parse(&election().to_string()).unwrap();
        let before = format!("# mine\nother {KEY}\n10.0.0.2,x {KEY}\n@cert-authority host1 {KEY}\n");
        let after = update(&before, &election).unwrap();
        let expected = format!(
            "# mine\nother {KEY}\n@cert-authority host1 {KEY}\nhost1,10.0.0.1 {KEY}\nhost2,10.0.0.2 {KEY}\n\
             host3,10.0.0.3 {KEY}\n"
        );
        assert_eq!(after, expected);
        assert_eq!(update(&after, &election).unwrap(), expected);
    }
}
