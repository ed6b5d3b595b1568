use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::run_result::{RunResult, ServiceReport};
use crate::model::MessageClass;
use crate::text::join;

/// Formats a run as JUnit XML: a test case for each service, and one for the command. The writer
/// leaves out what XML does not allow.
pub(super) fn junit_xml(report: &RunResult) -> Result<Vec<u8>, quick_junit::SerializeError> {
    let name = report.stack.as_deref().unwrap_or("devstack");
    let mut suite = TestSuite::new(name);
    suite.set_time(Duration::from_millis(report.duration_ms));
    for service in &report.services {
        suite.add_test_case(service_case(service, name));
    }
    suite.add_test_case(command_case(report, name));
    let mut junit = Report::new("devstack run");
    junit.set_time(Duration::from_millis(report.duration_ms));
    junit.add_test_suite(suite);
    let mut xml = Vec::new();
    junit.serialize(&mut xml)?;
    Ok(xml)
}

fn service_case(service: &ServiceReport, suite: &str) -> TestCase {
    let text = format!("{}: {}", service.phase, service.cause);
    let status = match (service.failed, service.ok) {
        (true, _) => {
            let class = service.message.as_ref().map_or(MessageClass::Exit, |it| it.class);
            failure(class, text, &service.last_lines)
        }
        (false, true) => TestCaseStatus::success(),
        // What had not got ready yet, or waited for something else, has not failed by itself.
        (false, false) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(text);
            status
        }
    };
    let mut case = TestCase::new(service.name.as_str(), status);
    case.set_classname(format!("{suite}.services"));
    case.set_time(Duration::from_millis(service.ready_after_ms.unwrap_or(0)));
    case
}

fn command_case(report: &RunResult, suite: &str) -> TestCase {
    let cause = report.cause.as_ref();
    let text = cause.map_or_else(String::new, |cause| cause.message.text.clone());
    let class = cause.map_or(MessageClass::Exit, |cause| cause.message.class);
    // The failure of a service is that of its own test case.
    let of_service = cause.is_some_and(|cause| cause.service.is_some());
    let status = match &report.command {
        Some(command) if command.exit.is_some_and(|exit| exit.exit_code() == 0) => {
            match (cause, of_service) {
                (None, _) | (_, true) => TestCaseStatus::success(),
                (Some(_), false) => failure(class, text, &[]),
            }
        }
        Some(_) => failure(class, text, &[]),
        None if of_service => {
            let mut status = TestCaseStatus::skipped();
            status.set_message("not started");
            status
        }
        None => failure(class, text, &[]),
    };
    let name = report.command.as_ref().map_or("command".to_owned(), |it| join(&it.args, " "));
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("{suite}.command"));
    case.set_time(Duration::from_millis(report.command.as_ref().map_or(0, |it| it.duration_ms)));
    case
}

fn failure(class: MessageClass, text: String, lines: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let class = serde_json::to_value(class).unwrap_or_default();
    status.set_type(class.as_str().unwrap_or("exit"));
    status.set_message(text.clone());
    status.set_description(if lines.is_empty() { text } else { lines.join("\n") });
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::start::run::run_outcome::{
        RunOutcome, RunVerdict, after_command, dead_services, died, start_failure,
    };
    use crate::cli::start::run::run_result::{CommandReport, RunFindings};
    use crate::control::tests::snapshot;
    use crate::model::{Phase, ProcessExit, ServiceView, Snapshot};

    fn result(snapshot: Snapshot, verdict: RunVerdict, findings: RunFindings) -> RunResult {
        let findings = RunFindings { snapshot: Some(snapshot), ..findings };
        RunResult::new(jiff::Timestamp::UNIX_EPOCH, verdict, findings)
    }

    /// A run passes if and only if JUnit has no failure and every service is ok.
    #[track_caller]
    fn assert_consistent(report: &RunResult) {
        let xml = String::from_utf8(junit_xml(report).expect("XML")).expect("UTF-8");
        let clean = !xml.contains("<failure");
        let ok = report.services.iter().all(|service| service.ok);
        assert_eq!(clean && ok, report.outcome == RunOutcome::Passed, "{report:#?}\n{xml}");
        assert_eq!(clean, report.outcome == RunOutcome::Passed, "{xml}");
    }

    #[test]
    fn junit_says_what_the_outcome_says_in_every_phase() {
        for phase in [
            Phase::Idle,
            Phase::Asleep,
            Phase::Waiting,
            Phase::Blocked,
            Phase::Starting,
            Phase::Ready,
            Phase::Unhealthy,
            Phase::Stopping,
            Phase::Backoff,
            Phase::Failed,
            Phase::Done,
        ] {
            for ready_after_ms in [None, Some(7)] {
                let db = ServiceView { ready_after_ms, ..ServiceView::sample("db", phase) };
                let services = vec![db, ServiceView::sample("web", Phase::Ready)];
                let seen = Snapshot { services, ..snapshot() };
                if let Some(verdict) = start_failure(&seen) {
                    assert_consistent(&result(seen.clone(), verdict, RunFindings::default()));
                }
                for code in [0, 3] {
                    let dead: Vec<_> = dead_services(&seen).into_iter().map(died).collect();
                    let findings = || RunFindings {
                        dead: dead.iter().filter_map(|cause| cause.service.clone()).collect(),
                        command: Some(CommandReport {
                            args: vec!["test".to_owned()],
                            exit: Some(ProcessExit::Code(code)),
                            duration_ms: 1,
                        }),
                        ..RunFindings::default()
                    };
                    let verdict = after_command(code, &dead);
                    assert_consistent(&result(seen.clone(), verdict.clone(), findings()));
                    // It may have come back, or been stopped by hand, since it died.
                    for later in [Phase::Ready, Phase::Idle] {
                        let services = vec![
                            ServiceView::sample("db", later),
                            ServiceView::sample("web", Phase::Ready),
                        ];
                        let later = Snapshot { services, ..snapshot() };
                        assert_consistent(&result(later, verdict.clone(), findings()));
                    }
                }
            }
        }
    }
}
