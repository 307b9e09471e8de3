//! Guards on the pages: what they list is what there is, and their links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use minicluster::services::{self, Services};
use serde_json::Value;

use crate::tree::{files, has_extension};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// Lines outside fenced blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    };
    text.lines().filter(|line| outside(line)).collect()
}

/// Fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|it| it.split("```").next().unwrap().to_owned()).collect()
}

/// The anchor that a heading has on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter(|it| it.starts_with('#'));
    headings.map(|it| anchor(it.trim_start_matches('#'))).collect()
}

/// The cells of each row below a heading, without the head of the table.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|it| *it != heading).skip(1);
    let table = lines.take_while(|it| !it.starts_with('#')).filter(|it| it.starts_with("| "));
    let rows: Vec<Vec<String>> = table
        .map(|it| it.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(rows.len() > 1, "there is a table below '{heading}'");
    rows[1..].to_vec()
}

/// What stands in a cell as code, alone.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|it| !it.contains('`'))
}

#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let readme = page("README.md");
    assert!(readme.lines().count() <= 150, "move what is new into docs/");
    for (name, _) in files().iter().filter(|(name, _)| name.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({name})")), "the README does not lead to {name}");
    }
}

#[test]
fn links_lead_somewhere() {
    let (mut seen, mut broken) = (0, Vec::new());
    for (name, text) in files().iter().filter(|(name, _)| has_extension(name, &["md"])) {
        let here = root().join(name);
        for link in prose(text).iter().flat_map(|line| line.split("](").skip(1)) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target: PathBuf = if path.is_empty() { here.clone() } else { here.with_file_name(path) };
            let there = match (target.exists(), wanted) {
                (found, "") => found,
                (found, wanted) => {
                    found && anchors(&std::fs::read_to_string(&target).unwrap()).contains(wanted)
                }
            };
            if !there {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(seen > 50, "the guard sees the links");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Each kind of entry in `services.yml`, by the heading of its table: what an editor is told of it.
fn kinds() -> BTreeMap<String, Value> {
    let service = &services::schema()["$defs"]["service"];
    let mut kinds = BTreeMap::from([("## Attributes of a service".to_owned(), service.clone())]);
    for (name, attribute) in service["properties"].as_object().unwrap() {
        if attribute["items"]["properties"].is_object() {
            kinds.insert(format!("## `{name}`"), attribute["items"].clone());
        }
        // Given, or not.
        if attribute["anyOf"][0]["properties"].is_object() {
            kinds.insert(format!("## `{name}`"), attribute["anyOf"][0].clone());
        }
    }
    assert!(kinds.len() > 4, "the guard sees the lists: {kinds:?}");
    kinds
}

#[test]
fn the_page_of_services_lists_every_attribute_and_its_default() {
    let text = page("docs/services.md");
    for (heading, schema) in kinds() {
        let rows = rows(&text, &heading);
        let listed: Vec<&str> = rows.iter().map(|row| code(&row[0]).expect(&row[0])).collect();
        let properties = schema["properties"].as_object().unwrap();
        let known: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known, "{heading}");
        assert_eq!(listed.len(), known.len(), "{heading}: an attribute is listed twice");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for row in &rows {
            let name = code(&row[0]).unwrap();
            let default = match &properties[name]["default"] {
                _ if required.contains(&Value::from(name)) => Some("required".to_owned()),
                // It derives from something else, which the page says in words.
                Value::Null => None,
                Value::String(word) => Some(format!("`{word}`")),
                other => Some(format!("`{other}`")),
            };
            let said = default.as_ref().map_or(code(&row[2]).is_none(), |it| *it == row[2]);
            assert!(said && !row[2].is_empty(), "{heading}: default of {name}: {default:?}, not {}", row[2]);
        }
    }
}

fn errors(text: &str) -> Vec<String> {
    let text = text.to_owned();
    let file = |path: &Path| Ok(if path.ends_with("services.yml") { text.clone() } else { String::new() });
    let (_, errors) = Services::read(Some(Path::new("services.yml")), &file);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_pages_show_of_services_is_valid() {
    let text = page("docs/services.md");
    let mut shown = blocks(&text, "yaml");
    shown.push(blocks(&page("docs/writing-a-service.md"), "yaml").swap_remove(0));
    for (heading, schema) in kinds() {
        let rows = rows(&text, &heading);
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for row in &rows {
            let (name, example) = (code(&row[0]).unwrap(), code(&row[4]).expect(&row[4]));
            assert!(example.starts_with(&format!("{name}: ")), "{heading}: {example}");
            let needed = rows.iter().filter(|it| *it != row && required.contains(&code(&it[0]).into()));
            let needed = needed.map(|it| code(&it[4]).unwrap());
            let lines: Vec<&str> = std::iter::once(example).chain(needed).collect();
            if heading == "## `health`" {
                // A request needs these two.
                let all = ["path: /health", "port: 8000"].into_iter().filter(|it| !it.starts_with(name));
                let all = all.filter(|_| name != "command").chain([example]);
                shown.push(format!("web:\n  health: {{{}}}\n", all.collect::<Vec<_>>().join(", ")));
                continue;
            }
            shown.push(match code(heading.trim_start_matches("## ")) {
                Some(list) => format!("web:\n  {list}:\n    - {}\n", lines.join("\n      ")),
                None => format!("web:\n  {example}\n"),
            });
        }
    }
    assert!(shown.len() > 30, "the guard sees the examples");
    for text in shown {
        assert_eq!(errors(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn every_module_role_and_playbook_is_listed() {
    let text = page("docs/modules-and-roles.md");
    let listed = |heading: &str| -> BTreeSet<String> {
        let cells = rows(&text, heading).into_iter().flat_map(|row| row[..2].to_vec());
        let words = cells.flat_map(|it| it.split('`').map(str::to_owned).collect::<Vec<_>>());
        words.collect()
    };
    let names = |directory: &str, extension: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join(directory)).unwrap().map(|it| it.unwrap());
        let own = entries.filter(|it| !it.file_type().unwrap().is_symlink());
        let names = own.map(|it| it.file_name().into_string().unwrap());
        names.filter_map(|it| Some(it.strip_suffix(extension)?.to_owned())).collect()
    };
    let modules: BTreeSet<_> =
        rows(&text, "## Modules").iter().map(|row| code(&row[0]).unwrap().to_owned()).collect();
    assert_eq!(modules, names("library", ".yml"));
    let roles = names("roles", "");
    assert_eq!(roles.difference(&listed("## Roles")).collect::<Vec<_>>(), Vec::<&String>::new());
    let playbooks: BTreeSet<_> = names(".", ".yml").into_iter().map(|it| it + ".yml").collect();
    let known: BTreeSet<_> =
        listed("## Playbooks").into_iter().filter(|it| has_extension(it, &["yml"])).collect();
    // What an operator's file may look like is no playbook, and names that begin with a dot are settings.
    let playbooks: BTreeSet<_> =
        playbooks.into_iter().filter(|it| !it.starts_with('.') && !it.contains(".example.")).collect();
    assert_eq!(playbooks, known);
}
