//! `/etc/resolv.conf`: while the socket is open it names this daemon and nothing else, and before and after what it named.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What the host had: a copy, or a link to the same file.
pub(crate) const SAVED: &str = "/var/lib/minicluster/resolv.conf";
const FILE: &str = "/etc/resolv.conf";
const MARK: &str =
    "# Written by minicluster-discovery, which asks the resolvers in /var/lib/minicluster/resolv.conf";

/// The servers that a file of this format names.
pub(crate) fn nameservers(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let named = words.filter_map(|it| match it[..] {
        ["nameserver", server, ..] => server.split('%').next()?.parse().ok(),
        _ => None,
    });
    named.collect()
}

/// Names the daemon in it, and keeps what stood there. Repeated, it changes nothing; after another program has written the
/// file, what that wrote is kept.
pub(crate) fn take(server: IpAddr) -> Result<()> {
    take_at(Path::new(FILE), Path::new(SAVED), server)
}

/// Puts back what stood there.
pub(crate) fn give_back() -> Result<()> {
    give_back_at(Path::new(FILE), Path::new(SAVED))
}

fn take_at(file: &Path, saved: &Path, server: IpAddr) -> Result<()> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let own = format!("{MARK}\n{}", with_server(&text, server));
    let is_link = fs::symlink_metadata(file).is_ok_and(|it| it.is_symlink());
    if !is_link && text.starts_with(MARK) {
        return Ok(());
    }
    if is_link {
        let target = fs::canonicalize(file).unwrap_or_else(|_| file.into());
        link(&target, saved)?;
    } else {
        put(saved, &text)?;
    }
    put(file, &own)
}

fn give_back_at(file: &Path, saved: &Path) -> Result<()> {
    if !fs::read_to_string(file).is_ok_and(|it| it.starts_with(MARK)) {
        return Ok(());
    }
    if let Ok(target) = fs::read_link(saved) {
        return link(&target, file);
    }
    let text = fs::read_to_string(saved).with_context(|| format!("cannot read {}", saved.display()))?;
    put(file, &text)
}

/// All that the file says, but for the servers.
fn with_server(text: &str, server: IpAddr) -> String {
    let word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let kept = text
        .lines()
        .filter(|line| matches!(word(line).as_deref(), Some("search" | "domain" | "options" | "sortlist")));
    kept.fold(format!("nameserver {server}\n"), |all, line| all + line + "\n")
}

/// Writes a file as a whole; in place where it is mounted by itself, as in a container.
fn put(path: &Path, text: &str) -> Result<()> {
    let fresh = beside(path);
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    let written = write().or_else(|error| {
        let _ = fs::remove_file(&fresh);
        match error.kind() {
            ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => fs::write(path, text),
            _ => Err(error),
        }
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn link(target: &Path, path: &Path) -> Result<()> {
    let fresh = beside(path);
    let _ = fs::remove_file(&fresh);
    let made = symlink(target, &fresh).and_then(|()| fs::rename(&fresh, path));
    made.with_context(|| format!("cannot make the link {}", path.display()))
}

fn beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minicluster");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: [u8; 4] = [127, 0, 0, 55];

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn the_file_names_the_daemon_and_then_again_what_it_named() {
        let directory = directory();
        let (file, saved) = (directory.path().join("resolv.conf"), directory.path().join("saved"));
        let before = "# from a DHCP server\nsearch a.example b.example\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\noptions rotate\n";
        fs::write(&file, before).unwrap();
        for _ in 0..2 {
            take_at(&file, &saved, SERVER.into()).unwrap();
            let now = fs::read_to_string(&file).unwrap();
            assert_eq!(
                now,
                format!("{MARK}\nnameserver 127.0.0.55\nsearch a.example b.example\noptions rotate\n")
            );
            assert_eq!(
                nameservers(&fs::read_to_string(&saved).unwrap()),
                ["10.0.0.53".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]
            );
        }
        give_back_at(&file, &saved).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
        // What another program has written since is its own.
        fs::write(&file, "nameserver 10.9.9.9\n").unwrap();
        give_back_at(&file, &saved).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "nameserver 10.9.9.9\n");
    }

    #[test]
    fn what_another_program_writes_meanwhile_is_used() {
        let directory = directory();
        let (file, saved) = (directory.path().join("resolv.conf"), directory.path().join("saved"));
        fs::write(&file, "nameserver 10.0.0.53\n").unwrap();
        take_at(&file, &saved, SERVER.into()).unwrap();
        fs::write(&file, "nameserver 10.0.0.54\n").unwrap();
        take_at(&file, &saved, SERVER.into()).unwrap();
        assert_eq!(fs::read_to_string(&saved).unwrap(), "nameserver 10.0.0.54\n");
        assert_eq!(nameservers(&fs::read_to_string(&file).unwrap()), [IpAddr::from(SERVER)]);
    }

    #[test]
    fn a_link_to_the_file_of_a_resolver_is_a_link_again() {
        let directory = directory();
        let (file, saved) = (directory.path().join("resolv.conf"), directory.path().join("saved"));
        let stub = directory.path().join("stub-resolv.conf");
        fs::write(&stub, "nameserver 127.0.0.53\n").unwrap();
        symlink("stub-resolv.conf", &file).unwrap();
        take_at(&file, &saved, SERVER.into()).unwrap();
        assert!(!fs::symlink_metadata(&file).unwrap().is_symlink());
        // Followed, since its owner writes it anew.
        fs::write(&stub, "nameserver 127.0.0.54\n").unwrap();
        assert_eq!(fs::read_to_string(&saved).unwrap(), "nameserver 127.0.0.54\n");
        give_back_at(&file, &saved).unwrap();
        assert_eq!(fs::canonicalize(&file).unwrap(), fs::canonicalize(&stub).unwrap());
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    }
}
