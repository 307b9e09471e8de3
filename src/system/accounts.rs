//! Users and groups by name or number, from `/etc/passwd` and `/etc/group`, and from `getent` where
//! they are not there. The programs are static: the C library's own look-up is not available.

use std::process::Command;

use anyhow::{Context, Result};

use super::files;

/// A user or a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// The number of a user's primary group.
    pub group: Option<u32>,
    /// A user's home directory.
    pub home: Option<String>,
}

/// The user with this name or number, if there is one.
pub fn user(key: &str) -> Result<Option<Account>> {
    find("passwd", key)
}

/// The group with this name or number, if there is one.
pub fn group(key: &str) -> Result<Option<Account>> {
    find("group", key)
}

/// Every user of `/etc/passwd`.
pub fn users() -> Result<Vec<Account>> {
    let text = files::content("/etc/passwd").context("cannot read /etc/passwd")?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(entry).collect())
}

fn find(database: &str, key: &str) -> Result<Option<Account>> {
    let path = format!("/etc/{database}");
    let text = files::content(&path).with_context(|| format!("cannot read {path}"))?;
    if let Some(account) = search(&String::from_utf8_lossy(&text), key) {
        return Ok(Some(account));
    }
    // A host without getent, an empty chroot say, has no other source of accounts either.
    let answer = Command::new("getent").args([database, "--", key]).output();
    Ok(answer.ok().and_then(|answer| search(&String::from_utf8_lossy(&answer.stdout), key)))
}

/// Finds an entry of passwd(5) or group(5). A name goes before an equal number.
fn search(text: &str, key: &str) -> Option<Account> {
    let accounts = || text.lines().filter_map(entry);
    let number: Option<u32> = key.parse().ok();
    accounts().find(|it| it.name == key).or_else(|| accounts().find(|it| Some(it.id) == number))
}

fn entry(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let (name, id) = (fields.next()?, fields.nth(1)?.parse().ok()?);
    let group = fields.next().and_then(|it| it.parse().ok());
    Some(Account { name: name.into(), id, group, home: fields.nth(1).map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n+nis::::::\nbroken\n7:x:9:9::/seven:\nweb:x:7:7::/web:\n";
        let web = Account { name: "web".into(), id: 7, group: Some(7), home: Some("/web".into()) };
        assert_eq!(search(passwd, "web"), Some(web));
        assert_eq!(search(passwd, "7").map(|it| it.id), Some(9), "a name goes before a number");
        assert_eq!(search(passwd, "nobody"), None);
        assert_eq!(search("adm:x:4:syslog\n", "4").map(|it| it.name), Some("adm".into()));
    }

    #[test]
    fn the_databases_of_this_machine_are_read() {
        assert_eq!(user("root").ok().flatten().map(|it| it.id), Some(0));
        assert_eq!(group("0").ok().flatten().map(|it| it.name), Some("root".into()));
        assert_eq!(user("no-such-user").ok(), Some(None));
    }
}
