//! What `hosts` means: Ansible itself is asked about every file here and about generated ones.

mod generate;
mod mutate;
mod oracle;

use crate::support::Random;
use minicluster::inventory::{
    Hosts,
    output::{ServiceGroup, list, packed},
};
use minicluster::x509::names::Host;
use oracle::{Case, Verdict, judge};
use std::{fs, path::Path, sync::Arc};

/// What we refuse though Ansible reads it; each is said in the documentation of `minicluster::inventory`.
const EXCEPTIONS: [&str; 21] = [
    "depends on the version of PyYAML",
    "a value must follow the tag !",
    "has no place in YAML",
    "a key must be on one line",
    "is a host and a group",
    "is reserved",
    "a set has no order",
    "by its name (\\N",
    "surrogate",
    "not UTF-8",
    "beyond 12",
    "has no equal in JSON",
    "`ungrouped` cannot be a child",
    "more than",
    "_meta",
    "an alias inside the value",
    "nested more than",
    "a date cannot be a key",
    "!unsafe marks the value",
    "below !unsafe",
    "not valid YAML",
];

fn complaint(verdict: &Verdict) -> Option<String> {
    let name = &verdict.name;
    match (&verdict.refused, verdict.accepted) {
        (None, true) if verdict.differences.is_empty() => None,
        (None, true) => Some(format!("{name}: {}", verdict.differences.join("\n  "))),
        (None, false) => Some(format!("{name}: Ansible refuses what we read: {}", verdict.error)),
        (Some(_), false) => None,
        (Some(mistakes), true)
            if mistakes.lines().all(|line| EXCEPTIONS.iter().any(|it| line.contains(it))) =>
        {
            None
        }
        (Some(mistakes), true) => Some(format!("{name}: Ansible reads what we refuse: {mistakes}")),
    }
}

fn assert_equal(cases: Vec<Case>, seed: Option<u64>) {
    let verdicts = judge(cases);
    let read = verdicts.iter().filter(|it| it.accepted).count();
    println!("{} inventories, {read} of them read by Ansible", verdicts.len());
    let complaints: Vec<String> = verdicts
        .iter()
        .filter_map(|it| complaint(it).map(|text| format!("{text}\n---\n{:.2000}\n---", it.text)))
        .collect();
    let seed = seed.map_or(String::new(), |seed| format!("MINICLUSTER_SEED={seed}\n"));
    assert!(complaints.is_empty(), "{seed}{} differ:\n{}", complaints.len(), complaints.join("\n"));
}

fn named_cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory/cases");
    let mut cases: Vec<Case> = fs::read_dir(folder)
        .expect("the cases")
        .map(|entry| entry.expect("a case"))
        .map(|entry| {
            let name = entry.file_name().into_string().expect("UTF-8");
            Case::plain(name, fs::read_to_string(entry.path()).expect("a case is UTF-8"))
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

#[test]
fn every_case_reads_as_ansible_reads_it() {
    let mut complaints = Vec::new();
    for verdict in judge(named_cases()) {
        let expected = match verdict.name.split('-').next() {
            Some("refused") => (true, false),
            Some("exception") => (true, true),
            _ => (false, true),
        };
        let found = (verdict.refused.is_some(), verdict.accepted);
        if found != expected {
            let Verdict { name, refused, error, .. } = &verdict;
            complaints.push(format!("{name}: (refused, accepted) is {found:?}: {refused:?} {error}"));
        }
        complaints.extend(complaint(&verdict));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn generated_inventories_read_as_ansible_reads_them() {
    let seed = crate::support::seed();
    let mut random = Random::from_seed(seed);
    let cases = (0..300).map(|index| {
        let (kind, text) = if index % 2 == 0 {
            ("ini", generate::ini(&mut random))
        } else {
            ("yaml", generate::yaml(&mut random))
        };
        Case::plain(format!("{kind} {index}"), text)
    });
    assert_equal(cases.collect(), Some(seed));
}

#[test]
fn generated_values_mean_what_they_mean_to_ansible() {
    let seed = crate::support::seed();
    let mut random = Random::from_seed(seed);
    let mut cases = Vec::new();
    for (kind, count) in [("literal", 3000), ("scalar", 3000)] {
        let (mut good, mut line) = (String::new(), 0);
        for _ in 0..count {
            let value = if kind == "literal" {
                generate::literal(&mut random)
            } else {
                generate::scalar(&mut random)
            };
            let one = if kind == "literal" {
                format!("[a]\nw\n[a:vars]\nv{line}={value}\n")
            } else {
                format!("a:\n  hosts: {{w: }}\n  vars:\n    v{line}: {value}\n")
            };
            let label = std::sync::Arc::from("hosts");
            if minicluster::inventory::Hosts::parse(&label, &one).is_err() {
                // One mistake hides all other values of a file, so it gets a file of its own.
                cases.push(Case::plain(format!("{kind} {value}"), one));
            } else {
                good.push_str(if kind == "literal" { "" } else { "    " });
                good.push_str(one.lines().last().expect("the value's line"));
                good.push('\n');
                line += 1;
            }
        }
        let text = if kind == "literal" {
            format!("[a]\nw\n[a:vars]\n{good}")
        } else {
            format!("a:\n  hosts: {{w: }}\n  vars:\n{}", good.replace("        ", "    "))
        };
        cases.push(Case::plain(format!("{kind}s"), text));
    }
    assert_equal(cases, Some(seed));
}

/// Two groups right below `all` set the same variable of one host; a third holds another host.
const OVERLAP: &str = "[a]\nh\n[b]\nh\n[c]\nk\n[a:vars]\nx=a\n[b:vars]\nx=b\n";

fn service(name: &str, hosts: Vec<usize>) -> ServiceGroup {
    let variables = [(format!("enable_{name}"), true.into())].into_iter().collect();
    ServiceGroup { name: name.to_owned(), hosts, variables }
}

#[test]
fn a_group_that_a_service_covers_wins_no_more_than_before() {
    let on_a_group = Case {
        services: |_, _| vec![service("one", vec![0])],
        ..Case::plain("a service on a group".to_owned(), OVERLAP.to_owned())
    };
    let on_all_too = Case {
        services: |_, _| vec![service("one", vec![0]), service("all_over", vec![0, 1])],
        ..Case::plain("a service on all hosts, too".to_owned(), OVERLAP.to_owned())
    };
    let below_ungrouped = Case {
        services: |_, _| vec![service("one", vec![0]), service("all_over", vec![0, 1])],
        ..Case::plain(
            "groups below ungrouped".to_owned(),
            format!("{OVERLAP}[ungrouped:children]\na\n[a:vars]\ny=a\n[b:vars]\ny=b\n"),
        )
    };
    assert_equal(vec![on_a_group, on_all_too, below_ungrouped], None);
}

#[test]
fn a_service_on_a_whole_group_is_published_with_it_as_child() {
    let hosts = Hosts::parse(&Arc::from("hosts"), OVERLAP).expect("an inventory");
    let services = [service("one", vec![0]), service("all_over", vec![0, 1])];
    let published = list(&hosts, &services, &serde_json::Map::new());
    let published: serde_json::Value = serde_json::from_str(&published).expect("JSON");
    assert_eq!(published["one"]["children"], serde_json::json!(["a"]));
    assert_eq!(published["one"]["hosts"], serde_json::Value::Null);
    assert_eq!(published["all_over"]["children"], serde_json::json!(["a", "b", "c"]));
}

/// What docs/getting-started.md shows, and a service that runs on one host of a group below another.
#[test]
fn hosts_keep_the_order_of_the_file() {
    let documented = Case {
        services: |_, _| {
            vec![service("core_service", vec![0, 1, 2]), service("everywhere", vec![0, 1, 2, 3])]
        },
        ..Case::plain(
            "the hosts of docs/getting-started.md".to_owned(),
            "host1\nhost2\nhost3\nhost4\n[core]\nhost[1:3]\n".to_owned(),
        )
    };
    let one_instance = Case {
        services: |_, _| vec![service("one", vec![2]), service("everywhere", vec![0, 1, 2])],
        ..Case::plain("one instance".to_owned(), "[core]\nn[1:3]\n[top:children]\ncore\n".to_owned())
    };
    assert_equal(vec![documented, one_instance], None);
}

#[test]
fn variables_of_ungrouped_reach_a_host_that_runs_a_service() {
    let case = Case {
        services: |_, _| vec![service("one", vec![0])],
        ..Case::plain("ungrouped variables".to_owned(), "h\n[ungrouped:vars]\nx=1\n".to_owned())
    };
    assert_equal(vec![case], None);
}

/// The program itself, as an operator calls it; the other tests ask the library it is made of.
#[test]
fn ansible_inventory_prints_the_same_for_the_file_and_for_what_we_publish() {
    let chosen = ["ini-priority", "yaml-vault-and-unsafe"];
    for case in named_cases().into_iter().filter(|case| chosen.contains(&case.name.as_str())) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("hosts"), &case.text).expect("the inventory is written");
        let hosts = Hosts::read(&folder.path().join("hosts")).expect("an inventory");
        let script = oracle::write_script(folder.path(), &list(&hosts, &[], &serde_json::Map::new()));
        let listed = |inventory: &Path| {
            let mut command = oracle::ansible("ansible-inventory", folder.path());
            command.args(["--list", "--export", "--inventory"]).arg(inventory);
            let output = command.output().expect("ansible-inventory starts");
            assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        assert_eq!(listed(&folder.path().join("hosts")), listed(&script), "{}", case.name);
    }
}

#[test]
fn a_packed_variable_is_what_was_packed() {
    let value = serde_json::json!({"it's": ["a \"b\"", "back\\slash", "{{ x }} {% y %} {# z #}", "é\n%27 1+1", 1.5, null, true]});
    let published = serde_json::Map::from_iter([("packed".to_owned(), packed(&value).into())]);
    let hosts = Hosts::parse(&Arc::from("hosts"), "h ansible_connection=local").expect("an inventory");
    let folder = tempfile::tempdir().expect("a folder");
    let script = oracle::write_script(folder.path(), &list(&hosts, &[], &published));
    let shown = oracle::ansible("ansible", folder.path())
        .args(["-i".as_ref(), script.as_os_str(), "h".as_ref(), "-m".as_ref(), "debug".as_ref()])
        .args(["-a", "msg={{ packed | to_json }}"])
        .output()
        .expect("Ansible starts");
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    let (_, result) = shown.split_once("=> ").unwrap_or_else(|| panic!("no result: {shown}"));
    let result: serde_json::Value = serde_json::from_str(result).expect("the result is JSON");
    let unpacked: serde_json::Value =
        serde_json::from_str(result["msg"].as_str().expect("text")).unwrap_or_else(|_| result["msg"].clone());
    assert_eq!(unpacked, value, "{result}");
}

#[test]
fn the_published_name_of_a_host_is_in_its_certificates() {
    let names = ["host1", "Web1.corp.example.net", "10.214.7.11", "fd00::7"];
    let published = serde_json::Map::from_iter([("minicluster_name".to_owned(), Host::NAME_TEMPLATE.into())]);
    let hosts = names.map(|it| format!("{it} ansible_connection=local"));
    let text = format!("{}\n[all:vars]\ndomain=Infra.example.com.\n", hosts.join("\n"));
    let hosts = Hosts::parse(&Arc::from("hosts"), &text).expect("an inventory");
    let folder = tempfile::tempdir().expect("a folder");
    let script = oracle::write_script(folder.path(), &list(&hosts, &[], &published));
    let shown = oracle::ansible("ansible", folder.path())
        .args(["-i".as_ref(), script.as_os_str(), "all".as_ref(), "-m".as_ref(), "debug".as_ref()])
        .args(["-a", "msg=<{{ inventory_hostname }}={{ minicluster_name }}>"])
        .output()
        .expect("Ansible starts");
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    for name in names {
        let host = Host::new(name, "Infra.example.com.", None, &[]).expect("a host");
        let address = || if name.contains(':') { format!("[{name}]") } else { name.into() };
        let expected = format!("<{name}={}>", host.fqdn().unwrap_or_else(address));
        assert!(shown.contains(&expected), "{expected}: {shown}");
    }
}

#[test]
fn services_change_no_variable_of_a_host_and_run_where_they_are_placed() {
    let seed = crate::support::seed();
    let mut random = Random::from_seed(seed);
    let cases = (0..300).map(|index| {
        let text = if index % 2 == 0 { generate::ini(&mut random) } else { generate::yaml(&mut random) };
        Case { services: generate::services, ..Case::plain(format!("services {index}"), text) }
    });
    assert_equal(cases.collect(), Some(seed));
}

/// Our parser is one of YAML 1.2, Ansible's one of YAML 1.1: of damaged files, a few are YAML to one of them
/// only. None may mean different things to both.
#[test]
fn damaged_inventories_read_as_ansible_reads_them() {
    let seed = crate::support::seed();
    let mut random = Random::from_seed(seed);
    let named = named_cases();
    let cases = (0..600).map(|index| {
        let text = match index % 4 {
            0 => generate::ini(&mut random),
            1 => generate::yaml(&mut random),
            _ => named[random.below(named.len())].text.clone(),
        };
        let file_name = random.one(&["hosts", "hosts", "hosts.yml", "hosts.ini"]).to_owned();
        let name = format!("damaged {index}, {file_name}");
        Case { file_name, ..Case::plain(name, mutate::mutate(&mut random, &text)) }
    });
    let verdicts = judge(cases.collect());
    let complaints = |of: &dyn Fn(&Verdict) -> bool| -> Vec<String> {
        let chosen = verdicts.iter().filter(|verdict| of(verdict));
        chosen
            .filter_map(|it| complaint(it).map(|text| format!("{text}\n---\n{:.2000}\n---", it.text)))
            .collect()
    };
    let different = complaints(&|verdict| verdict.accepted && verdict.refused.is_none());
    assert!(different.is_empty(), "MINICLUSTER_SEED={seed}\n{}", different.join("\n"));
    let of_one_only = complaints(&|verdict| verdict.accepted == verdict.refused.is_some());
    let few = verdicts.len() / 100;
    assert!(of_one_only.len() <= few, "MINICLUSTER_SEED={seed}\n{}", of_one_only.join("\n"));
}

#[test]
fn no_bytes_make_the_readers_panic() {
    let seed = crate::support::seed();
    let mut random = Random::from_seed(seed);
    let named = named_cases();
    let label = Arc::from("hosts");
    for _ in 0..20_000 {
        let text = if random.once_in(5) {
            let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next().to_le_bytes()[0]).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            let text = &named[random.below(named.len())].text;
            (0..=random.below(4)).fold(text.clone(), |text, _| mutate::mutate(&mut random, &text))
        };
        if let Err(mistakes) = Hosts::parse(&label, &text) {
            assert!(!mistakes.is_empty(), "refused without a reason: {text:?}");
        }
    }
}
