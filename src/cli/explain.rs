//! `minicluster explain SERVICE`: candidates, constraints and ranks.

use clap::Args;

use super::answer::{Answer, Failure};
use super::table::{counted, heading, listed, table};
use super::text::{Part, Text};
use crate::placement::{Index, Row, Verdict, explain};
use crate::services::Service;
use crate::text::nearest;
use crate::workspace::Workspace;

/// Options of `explain`.
#[derive(Args)]
pub(super) struct Options {
    /// The service
    service: String,
}

/// Explains one service.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<Answer, Failure> {
    let name = &options.service;
    let known = &workspace.services.services;
    let Some(defined) = known.get(name) else {
        let meant = nearest(name, known.keys().map(String::as_str));
        let advice = match (workspace.lock.service(name), meant) {
            (Some(instances), _) => {
                let hosts: Vec<String> = instances.keys().cloned().collect();
                format!(" any more: the next run turns it down on {}", listed(&hosts))
            }
            (None, Some(meant)) => format!("; did you mean '{meant}'?"),
            (None, None) => String::new(),
        };
        return Err(format!("there is no service '{name}'{advice}").into());
    };
    let Some(at) = workspace.demands.find(name) else {
        return Ok(format!("{name} runs nowhere: it is disabled ({})\n", defined.position).into());
    };
    let Workspace { cluster, demands, placement, lock, .. } = workspace;
    let rows = explain(cluster, demands, placement, lock, at);
    let mut text = Text::from(wanted(workspace, at, &defined.service) + "\n");
    text.append(hosts(workspace, at, &rows));
    Ok(text.into())
}

/// What is asked for.
fn wanted(workspace: &Workspace, at: Index, service: &Service) -> String {
    let (demand, assignment) = (&workspace.demands.0[at], &workspace.placement.assignments[at]);
    let names: Vec<String> =
        assignment.hosts.iter().map(|&host| workspace.cluster.name(host).to_owned()).collect();
    let wanted =
        demand.limit.map_or("an instance on every candidate".into(), |limit| counted(limit, "instance"));
    let runs = if names.is_empty() { "nowhere".into() } else { format!("on {}", listed(&names)) };
    let mut lines = vec![format!("{} wants {wanted} and runs {runs}", demand.name)];
    if let Some(master) = assignment.master {
        lines.push(format!("master: {}", workspace.cluster.name(master)));
    }
    let locked = workspace.lock.service(&demand.name).into_iter().flat_map(|instances| instances.keys());
    let gone: Vec<String> = locked.filter(|host| workspace.cluster.host(host).is_none()).cloned().collect();
    if !gone.is_empty() {
        lines.push(format!("ran on {}, no longer among the hosts", listed(&gone)));
    }
    for group in service.groups() {
        lines.push(format!("only on group '{}' ({})", &*group.value, group.position));
    }
    if let Some(leader) = &service.schedule_with {
        lines.push(format!("only with service '{}' ({})", &*leader.value, leader.position));
    }
    for &other in &demand.apart {
        let own = service.avoid.iter().find(|avoided| *avoided.value.0 == workspace.demands.0[other].name);
        let name = &workspace.demands.0[other].name;
        let why = own
            .map_or_else(|| format!("which avoids {}", demand.name), |avoided| avoided.position.to_string());
        lines.push(format!("never with service '{name}' ({why})"));
    }
    if let Some(variable) = &service.spread_by {
        lines.push(format!("spread evenly by '{}' ({})", &*variable.value, variable.position));
    }
    lines.join("\n") + "\n"
}

/// The hosts, those that run it first: how many services each runs, and how many instances of those with a limited
/// number, by which the load is evened out.
fn hosts(workspace: &Workspace, at: Index, rows: &[Row]) -> Text {
    let bound = workspace.placement.bound;
    let spread = workspace.demands.0[at].zones.is_some();
    let names: &[&str] = if spread {
        &["HOST", "RANK", "SERVICES", "LIMITED", "ZONE", "WHY"]
    } else {
        &["HOST", "RANK", "SERVICES", "LIMITED", "WHY"]
    };
    let mut lines = vec![heading(names)];
    for row in rows {
        let rank = row.rank.map_or("-".into(), |rank| rank.to_string());
        let placement = &workspace.placement;
        let runs = placement.assignments.iter().filter(|it| it.hosts.contains(&row.host)).count().to_string();
        let limited = format!("{} of {bound}", placement.load[row.host]);
        let mut line: Vec<Part> =
            vec![workspace.cluster.name(row.host).into(), rank.into(), runs.into(), limited.into()];
        if spread {
            line.push(row.zone.as_deref().unwrap_or("-").into());
        }
        line.push(match &row.verdict {
            Verdict::Kept => "runs it: kept by services.lock".into(),
            Verdict::Chosen => "runs it: chosen now".into(),
            Verdict::Surplus => "ran it; fewer instances are wanted now".into(),
            Verdict::Free => "could run it".into(),
            Verdict::Full => "full: carries as many limited instances as a host should".into(),
            Verdict::OutsideGroups => "not in its groups".into(),
            Verdict::WithoutLeader(leader) => format!("does not run '{leader}'").into(),
            Verdict::Apart(other) => format!("runs '{other}'").into(),
        });
        lines.push(line);
    }
    table(&lines)
}
