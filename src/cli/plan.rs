//! `minicluster plan`: what the next run moves.

use clap::Args;

use super::answer::{Answer, Failure};
use super::table::{listed, table};
use super::text::{Part, Style, Text};
use crate::placement::{Action, Change, Plan};
use crate::workspace::Workspace;

/// Options of `plan`.
#[derive(Args)]
pub(super) struct Options {
    /// Print JSON, for other programs
    #[arg(long)]
    json: bool,
    /// Exit with 2 when anything would move, come or go
    #[arg(long)]
    exit_code: bool,
}

/// Compares the lock file with the placement that the next run records.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<Answer, Failure> {
    let plan = workspace.changes(&workspace.new_lock());
    let status = if options.exit_code && !plan.is_empty() { 2 } else { 0 };
    if options.json {
        let json = serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())?;
        return Ok(Answer { text: (json + "\n").into(), status });
    }
    let mut text = Text::default();
    if let Some(warning) = workspace.lost_quorum() {
        text.warn(&warning);
    }
    text.append(if workspace.lock.instances.is_empty() && !plan.is_empty() {
        unrecorded(workspace)
    } else {
        data(&plan)
    });
    text.append(show(&plan));
    Ok(Answer { text, status })
}

/// Without a lock file nobody knows where data lies.
fn unrecorded(workspace: &Workspace) -> Text {
    format!(
        "{} records nothing yet, so everything is new. If this cluster runs already, bring that file back first: without \
         it, services may start where their data is not.\n\n",
        workspace.paths.lock.display()
    )
    .into()
}

/// What the plan means for what services have stored, since a run copies none of it.
pub(super) fn data(plan: &Plan) -> Text {
    let mut lines: Vec<Part> = plan.changes.iter().flat_map(left_behind).collect();
    if lines.is_empty() && !plan.is_empty() {
        lines.push(
            "No data is left behind: no service that holds data (`stateful`) moves or leaves a host.".into(),
        );
    }
    let mut text = Text::default();
    let gap = if lines.is_empty() { "" } else { "\n" };
    for line in lines {
        text.push(line);
        text.push("\n");
    }
    text.push(gap);
    text
}

/// What one service leaves on hosts.
fn left_behind(change: &Change) -> Vec<Part> {
    let Change { service, moved, removed, .. } = change;
    let mut lines = Vec::new();
    if change.stateful && !moved.is_empty() {
        let (from, to): (Vec<_>, Vec<_>) = moved.iter().map(|it| (it.from.clone(), it.to.clone())).unzip();
        lines.push(Style::Error.of(format!(
            "{service} moves without its data: what it stored on {} stays there, and nothing is copied to {} unless \
             {service} does so itself.",
            listed(&from),
            listed(&to)
        )));
    }
    let hosts = listed(removed);
    if change.stateful && !removed.is_empty() {
        lines.push(Style::Warning.of(format!("{service} leaves {hosts}: what it stored there is kept.")));
    } else if change.action == Action::Removed {
        // It is not among the services any more, which would say whether it holds data.
        lines.push(
            format!("{service} leaves {hosts}: what it may have stored there is kept until it is purged.")
                .into(),
        );
    }
    lines
}

/// A line for each change, then the totals.
pub(super) fn show(plan: &Plan) -> Text {
    let mut rows: Vec<Vec<Part>> = Vec::new();
    for change in &plan.changes {
        let note = |style: Style, holds: &str| if change.stateful { style.of(holds) } else { "".into() };
        let mut row = |what: &str, hosts: String, note: Part| {
            rows.push(vec![change.service.clone().into(), what.into(), hosts.into(), note]);
        };
        for moved in &change.moved {
            row("moves", moved.to_string(), note(Style::Error, "holds data, which stays behind"));
        }
        if !change.added.is_empty() {
            let what = if change.action == Action::New { "new" } else { "added" };
            row(what, format!("on {}", listed(&change.added)), "".into());
        }
        if !change.removed.is_empty() {
            let kept = note(Style::Warning, "holds data, which is kept");
            row("removed", format!("from {}", listed(&change.removed)), kept);
        }
        if let Some(master) = &change.master {
            row("master", master.to_string(), "".into());
        }
    }
    let mut text = table(&rows);
    text.push(format!("{}{}\n", if rows.is_empty() { "" } else { "\n" }, plan.summary()));
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::placement::Lock;

    #[test]
    fn what_a_plan_means_for_data_is_said_first() {
        let lock = |lines: &str| Lock::parse("l", &format!("minicluster-lock 1\n{lines}")).unwrap();
        let nothing =
            "No data is left behind: no service that holds data (`stateful`) moves or leaves a host.\n\n";
        let moves = "db moves without its data: what it stored on a, b stays there, and nothing is copied to c, d \
                     unless db does so itself.\n\n";
        for (before, after, said) in [
            ("db a\n", "db a\n", ""),
            ("db a\nweb a\n", "db a\ndb b\nweb b\n", nothing),
            ("db a\ndb b\n", "db c\ndb d\n", moves),
            ("db a\ndb b\n", "db b\n", "db leaves a: what it stored there is kept.\n\n"),
            ("old a\n", "", "old leaves a: what it may have stored there is kept until it is purged.\n\n"),
        ] {
            let plan = Plan::between(&lock(before), &lock(after), |name| name == "db");
            assert_eq!(data(&plan).raw(), said, "{before:?} {after:?}");
        }
    }
}
