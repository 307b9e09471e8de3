//! `minicluster plan`: what the next run moves.

use clap::Args;

use super::answer::{Answer, Failure};
use super::table::{listed, table};
use crate::placement::{Action, Plan};
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
    let text = if options.json {
        serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())? + "\n"
    } else {
        let preface = if workspace.lock.instances.is_empty() && !plan.is_empty() {
            format!("{} records nothing yet, so everything is new.\n\n", workspace.paths.lock.display())
        } else {
            String::new()
        };
        let warning = workspace.lost_quorum().map(|it| format!("\nwarning: {it}\n"));
        preface + &show(&plan) + &warning.unwrap_or_default()
    };
    Ok(Answer { text, status: if options.exit_code && !plan.is_empty() { 2 } else { 0 } })
}

/// A line for each change, then the totals.
pub(super) fn show(plan: &Plan) -> String {
    let mut rows = Vec::new();
    for change in &plan.changes {
        let note = |holds: &str| if change.stateful { holds.to_owned() } else { String::new() };
        let mut row = |what: &str, hosts: String, note: String| {
            rows.push(vec![change.service.clone(), what.to_owned(), hosts, note]);
        };
        for moved in &change.moved {
            row("moves", moved.to_string(), note("holds data, which stays behind"));
        }
        if !change.added.is_empty() {
            let what = if change.action == Action::New { "new" } else { "added" };
            row(what, format!("on {}", listed(&change.added)), String::new());
        }
        if !change.removed.is_empty() {
            row("removed", format!("from {}", listed(&change.removed)), note("holds data, which is kept"));
        }
        if let Some(master) = &change.master {
            row("master", master.to_string(), String::new());
        }
    }
    let gap = if rows.is_empty() { "" } else { "\n" };
    format!("{}{gap}{}\n", table(&rows), plan.summary())
}
