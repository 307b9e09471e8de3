//! The `hosts` file of a cluster that came into being by itself: written from its members, and corrected
//! line by line when it exists. What an operator has written stays, comments too.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::{Election, Member};
use crate::inventory::Hosts;

/// What holds for all hosts.
pub struct Cluster<'a> {
    /// The members.
    pub election: &'a Election,
    /// What tells the cluster from every other.
    pub cluster_id: &'a str,
    /// Its internal domain.
    pub domain: &'a str,
    /// Where the control node keeps its secrets.
    pub private_dir: &'a str,
}

/// `text`, the `hosts` file that is there, or an empty one, with the members as they are. `label` names it.
pub fn update(label: &str, text: &str, cluster: &Cluster) -> Result<String> {
    let label: Arc<str> = label.into();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let before = parse(&label, &lines)?;
    if let Some(found) = before.variable_of_all("cluster_id")
        && found != cluster.cluster_id
    {
        bail!("{label} is of another cluster ({found}, not {}): move it away", cluster.cluster_id);
    }
    if lines.is_empty() {
        lines
            .push("# The machines of this cluster, written when it came into being. It is yours now.".into());
    }
    let mut after_last = None;
    for member in &cluster.election.members {
        after_last = Some(correct_host(&mut lines, member, after_last));
    }
    for member in &cluster.election.members {
        enter_group(&label, &mut lines, member)?;
    }
    add_variables(&label, &mut lines, cluster)?;
    let hosts = parse(&label, &lines)?;
    for member in &cluster.election.members {
        let address = hosts.0.host_id(&member.name).and_then(|id| hosts.0.variable(id, "ansible_host"));
        let address = address.and_then(|it| it.value.text());
        if address != member.reachable().next().map(|it| it.to_string()) {
            bail!(
                "{label} says of {} that its address is {}, in a way that is not corrected by itself: correct it by hand",
                member.name,
                address.as_deref().unwrap_or("unknown")
            );
        }
    }
    Ok(lines.join("\n") + "\n")
}

struct Parsed(Hosts);

impl Parsed {
    fn variable_of_all(&self, name: &str) -> Option<String> {
        self.0.group("all").and_then(|it| it.variables.get(name)).and_then(|it| it.value.text())
    }
}

fn parse(label: &Arc<str>, lines: &[String]) -> Result<Parsed> {
    let begins_like_yaml = lines.iter().map(|it| it.trim()).find(|it| !it.is_empty() && !it.starts_with('#'));
    if begins_like_yaml.is_some_and(|it| it == "---" || it.ends_with(':')) {
        bail!("{label} is YAML; members are entered into INI only: enter them by hand");
    }
    let parsed = Hosts::parse(label, &lines.join("\n")).map_err(|mistakes| {
        let all: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(all.join("\n"))
    });
    parsed.map(Parsed).with_context(|| format!("{label} cannot be read"))
}

/// Corrects the line that defines a host, or adds one behind `after`, or behind the last line before any
/// section. Returns where the line is.
fn correct_host(lines: &mut Vec<String>, member: &Member, after: Option<usize>) -> usize {
    let addresses: Vec<_> = member.reachable().map(|it| it.to_string()).collect();
    // Quoted twice: a shell's quotes are Ansible's, and what is left is read as a literal of Python.
    let mut wanted =
        vec![("ansible_host", addresses[0].clone()), ("node_id", format!("\"'{}'\"", member.id))];
    if addresses.len() > 1 {
        wanted.push(("addresses", format!("\"['{}']\"", addresses.join("', '"))));
    }
    let preamble = lines.iter().position(|it| it.trim_start().starts_with('[')).unwrap_or(lines.len());
    let is_host = |line: &String| line.split_whitespace().next() == Some(&member.name);
    let with_address = lines.iter().position(|it| is_host(it) && it.contains("ansible_host="));
    let found = with_address.or_else(|| lines[..preamble].iter().position(is_host));
    if let Some(at) = found {
        lines[at] = correct_line(&lines[at], &wanted);
        return at;
    }
    let last = lines[..preamble].iter().rposition(|it| !it.trim().is_empty()).map_or(0, |it| it + 1);
    let at = after.filter(|it| *it < preamble).map_or(last, |it| it + 1);
    lines.insert(at, correct_line(&member.name, &wanted));
    if at + 1 == lines.len() || lines[at + 1].trim_start().starts_with('[') {
        lines.insert(at + 1, String::new());
    }
    at
}

/// The line with these variables, all others and its comment as they are.
fn correct_line(line: &str, wanted: &[(&str, String)]) -> String {
    let (said, comment) = split_comment(line);
    let mut words = words(said);
    for (name, value) in wanted {
        let word = format!("{name}={value}");
        match words.iter_mut().find(|it| it.split_once('=').is_some_and(|(key, _)| key == *name)) {
            Some(found) => *found = word,
            None => words.push(word),
        }
    }
    let gap = if comment.is_empty() { "" } else { "  " };
    format!("{}{gap}{comment}", words.join(" "))
}

fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    let mut before = ' ';
    for (at, it) in line.char_indices() {
        match (quote, it) {
            (None, '#') if before.is_whitespace() => return (line[..at].trim_end(), &line[at..]),
            (None, '"' | '\'') => quote = Some(it),
            (Some(open), _) if open == it => quote = None,
            _ => {}
        }
        before = it;
    }
    (line, "")
}

/// Words as a shell parts them, quotes left in place.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for it in text.chars() {
        match (quote, it) {
            (None, ' ' | '\t') => {
                words.extend(Some(std::mem::take(&mut word)).filter(|it| !it.is_empty()));
                continue;
            }
            (None, '"' | '\'') => quote = Some(it),
            (Some(open), _) if open == it => quote = None,
            _ => {}
        }
        word.push(it);
    }
    words.extend(Some(word).filter(|it| !it.is_empty()));
    words
}

fn enter_group(label: &Arc<str>, lines: &mut Vec<String>, member: &Member) -> Result<()> {
    let group = member.group()?;
    let hosts = parse(label, lines)?.0;
    let inside = hosts.hosts_of(group).unwrap_or_default();
    if hosts.host_id(&member.name).is_some_and(|id| inside.contains(&id)) {
        return Ok(());
    }
    let at = section(lines, &format!("[{group}]"));
    lines.insert(at, member.name.clone());
    Ok(())
}

/// Where the next line of a section belongs; the section is made where it is missing, before `[all:vars]`.
fn section(lines: &mut Vec<String>, header: &str) -> usize {
    if let Some(at) = lines.iter().position(|it| split_comment(it).0.trim() == header) {
        let end = lines[at + 1..].iter().position(|it| it.trim_start().starts_with('['));
        let end = end.map_or(lines.len(), |it| at + 1 + it);
        return lines[at..end].iter().rposition(|it| !it.trim().is_empty()).map_or(at, |it| at + it) + 1;
    }
    let at = lines.iter().position(|it| it.trim() == "[all:vars]").unwrap_or(lines.len());
    let gap = at > 0 && !lines[at - 1].trim().is_empty();
    let mut added = vec![String::new(); usize::from(gap)];
    added.push(header.to_owned());
    let place = at + added.len();
    if at < lines.len() {
        added.push(String::new());
    }
    lines.splice(at..at, added);
    place
}

/// Adds what is missing for all hosts; what the operator has set stays.
fn add_variables(label: &Arc<str>, lines: &mut Vec<String>, cluster: &Cluster) -> Result<()> {
    let known = parse(label, lines)?;
    let options = "-o UserKnownHostsFile={{ private_dir }}/ssh/known_hosts -o StrictHostKeyChecking=yes";
    for (name, value) in [
        ("cluster_name", format!("'{}'", cluster.election.cluster)),
        ("cluster_id", format!("'{}'", cluster.cluster_id)),
        ("domain", cluster.domain.to_owned()),
        ("private_dir", cluster.private_dir.to_owned()),
        ("ansible_user", "provision".into()),
        ("ansible_ssh_private_key_file", "\"{{ private_dir }}/ssh/control\"".into()),
        ("ansible_ssh_common_args", format!("\"{options} -o IdentitiesOnly=yes\"")),
    ] {
        if known.variable_of_all(name).is_none() {
            let at = section(lines, "[all:vars]");
            lines.insert(at, format!("{name}={value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::election::tests::election;
    use super::*;

    fn updated(text: &str) -> Result<String> {
        let election = Election::parse(&election().to_string()).unwrap();
        let cluster =
            Cluster { election: &election, cluster_id: "12e4", domain: "demo.internal", private_dir: "/p" };
        update("hosts", text, &cluster)
    }

    #[test]
    fn an_empty_file_becomes_a_cluster() {
        let text = updated("").unwrap();
        let (members, rest) = text.split_once("\n\n[core]\n").unwrap();
        let lines: Vec<_> = members.lines().skip(1).collect();
        assert_eq!(lines[2], "host3 ansible_host=10.0.0.3 node_id=\"'id3'\"");
        assert!(
            rest.starts_with("host1\nhost2\n\n[workers]\nhost3\n\n[all:vars]\ncluster_name='demo'\n"),
            "{rest}"
        );
        assert_eq!(updated(&text).unwrap(), text, "a second time changes nothing");
    }

    #[test]
    fn what_the_operator_has_written_stays() {
        let before = "# rack 4\nhost2 zone=a ansible_host=10.9.9.9 label=\"a # b\"  # the old one\nmine ansible_host=10.1.1.1\n\n\
            [core]\nhost[1:2]  # by number\n\n[db]\nmine\n\n[all:vars]\n# ours\ndomain=infra.example.com\n";
        let after = updated(before).unwrap();
        let expected = "# rack 4\nhost2 zone=a ansible_host=10.0.0.2 label=\"a # b\" node_id=\"'id2'\"  # the old one\n\
            host3 ansible_host=10.0.0.3 node_id=\"'id3'\"\nmine ansible_host=10.1.1.1\n\
            host1 ansible_host=10.0.0.1 node_id=\"'id1'\"\n\n[core]\nhost[1:2]  # by number\n\n[db]\nmine\n\n[workers]\nhost3\n\n\
            [all:vars]\n# ours\ndomain=infra.example.com\ncluster_name='demo'\n";
        assert!(after.starts_with(expected), "{after}");
        assert_eq!(updated(&after).unwrap(), after);
    }

    #[test]
    fn an_id_that_looks_like_a_number_stays_a_text() {
        let text = updated("").unwrap();
        let hosts = Hosts::parse(&Arc::from("hosts"), &text).unwrap();
        assert_eq!(hosts.variable(0, "cluster_id").unwrap().value.text().unwrap(), "12e4");
    }

    #[test]
    fn what_cannot_be_corrected_is_refused() {
        for (text, expected) in [
            ("[all:vars]\ncluster_id='other'\n", "is of another cluster"),
            ("all:\n  hosts:\n    host1:\n", "is YAML"),
            ("host1 ansible_host=10.0.0.1\n[core]\nhost1 ansible_host=10.8.8.8\n", "correct it by hand"),
            ("[core\n", "cannot be read"),
        ] {
            let error = format!("{:#}", updated(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
