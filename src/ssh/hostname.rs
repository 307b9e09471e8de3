//! Names of hosts as ssh compares them: it lowers a name and writes an address in its shortest form before it looks for
//! either among a certificate's principals or in `known_hosts`.

use std::net::IpAddr;

/// Names and addresses in that form, each once.
pub fn all(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names.iter().map(|it| compared(it)).filter(|it| !it.is_empty()) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

fn compared(name: &str) -> String {
    let name = name.trim();
    let inner = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name);
    match inner.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => name.trim_end_matches('.').to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_takes_for_one_name_is_one() {
        let given = [
            "Host1",
            "host1",
            "HOST1.Example.Com.",
            "FD00:0:0::0A",
            "[fd00::a]",
            "::ffff:10.0.0.1",
            "10.0.0.1",
            "",
        ];
        let found = all(&given.map(str::to_owned));
        assert_eq!(found, ["host1", "host1.example.com", "fd00::a", "10.0.0.1"]);
    }
}
