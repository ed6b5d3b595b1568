//! What CI services read in a log: sections that fold, annotations, and a summary of the job.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use super::run_outcome::RunOutcome;
use super::run_result::RunResult;
use crate::cli::context;
use crate::model::DisplayDuration;
use crate::sync::lock_unpoisoned;

/// How many last lines of a service an annotation and a summary have.
const LINES: usize = 10;

/// Which program shows the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CiHost {
    GitHub,
    GitLab,
    /// A person, or another CI service.
    Other,
}

/// Folds the parts of a run's log. Sections are not nested.
pub(super) struct CiSections {
    host: CiHost,
    open: Mutex<Option<&'static str>>,
}

impl CiSections {
    /// `json`: the log is for programs and has no sections.
    pub fn detect(json: bool) -> CiSections {
        let is_true = |name| std::env::var_os(name).is_some_and(|value| value == "true");
        let host = match json {
            false if context::is_github() => CiHost::GitHub,
            false if is_true("GITLAB_CI") => CiHost::GitLab,
            _ => CiHost::Other,
        };
        CiSections { host, open: Mutex::new(None) }
    }

    /// Begins a section, such as `start`.
    pub fn begin(&self, name: &'static str) {
        *lock_unpoisoned(&self.open) = Some(name);
        self.print(&section_begin(self.host, name, now()));
    }

    /// Ends the section, if one is open.
    pub fn end(&self) {
        if let Some(name) = lock_unpoisoned(&self.open).take() {
            self.print(&section_end(self.host, name, now()));
        }
    }

    /// Shows a failure where the CI service lists them.
    pub fn annotate(&self, report: &RunResult) {
        if self.host == CiHost::GitHub {
            self.print(&annotation(report).unwrap_or_default());
        }
    }

    fn print(&self, text: &str) {
        // The exit code matters even if the output is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn section_begin(host: CiHost, name: &str, now: i64) -> String {
    match host {
        CiHost::GitHub => format!("::group::devstack: {name}\n"),
        CiHost::GitLab => format!(
            "\x1b[0Ksection_start:{now}:devstack_{name}[collapsed=true]\r\x1b[0Kdevstack: {name}\n"
        ),
        CiHost::Other => String::new(),
    }
}

fn section_end(host: CiHost, name: &str, now: i64) -> String {
    match host {
        CiHost::GitHub => "::endgroup::\n".to_owned(),
        CiHost::GitLab => format!("\x1b[0Ksection_end:{now}:devstack_{name}\r\x1b[0K\n"),
        CiHost::Other => String::new(),
    }
}

/// Returns the workflow command of GitHub Actions that shows a failure.
fn annotation(report: &RunResult) -> Option<String> {
    let cause = report.cause.as_ref()?;
    let service = cause.service.as_ref().map_or("devstack run", |name| name.as_str());
    let lines = report.cause_lines();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let text = std::iter::once(cause.message.text.as_str());
    let text = text.chain(last.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
    Some(format!("::error title={}::{}\n", escape_property(service), escape_data(&text)))
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Formats a run for the summary of a job on GitHub, in Markdown.
pub(super) fn job_summary(report: &RunResult) -> String {
    let what = report.stack.as_deref().unwrap_or("devstack run");
    let result = if report.outcome == RunOutcome::Passed { "passed" } else { "failed" };
    let took = shown(report.duration_ms);
    let mut text = format!("### {}: {result} in {took}\n\n", escape_markdown(what));
    if let Some(cause) = &report.cause {
        let _ = writeln!(text, "{}\n", escape_markdown(&cause.message.text));
    }
    if !report.services.is_empty() {
        text += "| service | phase | ready after | port |\n|---|---|---|---|\n";
    }
    for service in &report.services {
        let ready = service.ready_after_ms.map_or(String::new(), |ms| shown(ms).to_string());
        let port = service.port.map_or(String::new(), |port| port.to_string());
        let _ = writeln!(text, "| {} | {} | {ready} | {port} |", service.name, service.phase);
    }
    text + "\n"
}

/// Escapes text so that it is shown as it is, on one line.
fn escape_markdown(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            c if c.is_control() => out.push(' '),
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            c if c.is_ascii_punctuation() => out.extend(['\\', c]),
            c => out.push(c),
        }
        out
    })
}

fn shown(ms: u64) -> DisplayDuration {
    DisplayDuration(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::start::run::run_outcome::{RunCause, RunVerdict};
    use crate::cli::start::run::run_result::RunFindings;
    use crate::control::tests::{name, snapshot};
    use crate::exit_code::ExitCode;
    use crate::model::MessageClass;

    /// `db` failed, with a last line that looks like a command.
    fn report(text: &str) -> RunResult {
        let mut cause = RunCause::new(MessageClass::Exit, text);
        cause.service = Some(name("db"));
        let verdict = RunVerdict::failed(RunOutcome::ServiceFailed, ExitCode(120), cause);
        let facts = RunFindings {
            snapshot: Some(snapshot()),
            last_lines: vec![(name("db"), vec!["::set-output name=x::50%".to_owned()])],
            dead: Vec::new(),
            ready_after_ms: None,
            command: None,
        };
        RunResult {
            duration_ms: 1500,
            ..RunResult::new(jiff::Timestamp::UNIX_EPOCH, verdict, facts)
        }
    }

    #[test]
    fn sections_have_the_form_that_each_service_folds() {
        assert_eq!(section_begin(CiHost::GitHub, "start", 7), "::group::devstack: start\n");
        assert_eq!(section_end(CiHost::GitHub, "start", 7), "::endgroup::\n");
        assert_eq!(
            section_begin(CiHost::GitLab, "start", 7),
            "\x1b[0Ksection_start:7:devstack_start[collapsed=true]\r\x1b[0Kdevstack: start\n"
        );
        assert_eq!(
            section_end(CiHost::GitLab, "start", 9),
            "\x1b[0Ksection_end:9:devstack_start\r\x1b[0K\n"
        );
        assert_eq!(section_begin(CiHost::Other, "start", 7), "");
    }

    #[test]
    fn an_annotation_is_one_command_whatever_a_service_printed() {
        assert_eq!(
            annotation(&report("db failed\r\n::error::forged")).as_deref(),
            Some("::error title=db::db failed%0D%0A::error::forged%0A::set-output name=x::50%25\n")
        );
        assert_eq!(escape_property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
        let mut passed = report("");
        passed.cause = None;
        assert_eq!(annotation(&passed), None);
    }

    #[test]
    fn the_summary_is_a_table_in_which_nothing_is_markup() {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(job_summary(&report("db failed: <img src=x> | [a](b) `c`\nd")));
        });
    }
}
