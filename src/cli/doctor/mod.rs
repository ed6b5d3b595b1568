//! `devstack doctor`: finds problems and suggests fixes, changing nothing. `collect` gathers facts,
//! `judge` evaluates them.

mod collect;
mod facts;
mod finding;
mod judge;
mod node_packages;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
mod system;

use std::path::PathBuf;

use clap::Args;

use super::render::{CommandError, Table, print};
use crate::cli::args::FileArgs;
use crate::exit_code::ExitCode;
use crate::text::one_line;
use finding::{DoctorFinding, FindingLevel};

/// `devstack doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the findings; fails if any is an error.
pub(super) fn doctor(files: Vec<PathBuf>, as_json: bool) -> Result<ExitCode, CommandError> {
    let findings = judge::judge(&collect::collect(files)?);
    let printed = print(&if as_json { as_one_object(&findings) } else { text(&findings) });
    match is_ok(&findings) {
        true => printed,
        false => Ok(ExitCode::FAILED),
    }
}

fn is_ok(findings: &[DoctorFinding]) -> bool {
    findings.iter().all(|finding| finding.state != FindingLevel::Wrong)
}

fn as_one_object(findings: &[DoctorFinding]) -> String {
    let value = serde_json::json!({ "version": 1, "ok": is_ok(findings), "checks": findings });
    value.to_string() + "\n"
}

fn text(findings: &[DoctorFinding]) -> String {
    let mut table = Table::new(2);
    for DoctorFinding { check, state, text: what, help } in findings {
        let state = match state {
            FindingLevel::Ok => "ok   ",
            FindingLevel::Note => "note ",
            FindingLevel::Wrong => "error",
        };
        table.row([state.into(), (*check).into(), one_line(what).into()]);
        for line in help.lines() {
            table.row(["".into(), "".into(), format!("help: {}", one_line(line)).into()]);
        }
    }
    let count =
        |wanted: FindingLevel| findings.iter().filter(|found| found.state == wanted).count();
    let (wrong, notes) = (count(FindingLevel::Wrong), count(FindingLevel::Note));
    let s = if notes == 1 { "" } else { "s" };
    table.render()
        + &match (wrong, notes) {
            (0, 0) => "no problems found\n".to_owned(),
            (0, notes) => format!("no problems found; {notes} note{s}\n"),
            (wrong, 0) => format!("errors: {wrong}\n"),
            (wrong, notes) => format!("errors: {wrong}, plus {notes} note{s}\n"),
        }
}
