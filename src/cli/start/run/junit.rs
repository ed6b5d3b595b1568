use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::run_result::{RunResult, ServiceReport};
use crate::model::{MessageClass, Phase};
use crate::text::join;

/// Formats a run as JUnit XML: a test case for each service, and one for the command. The writer
/// leaves out what XML does not allow.
pub(super) fn junit_xml(report: &RunResult) -> Result<Vec<u8>, quick_junit::SerializeError> {
    let name = report.stack.as_deref().unwrap_or("devstack");
    let mut suite = TestSuite::new(name);
    suite.set_time(Duration::from_millis(report.duration_ms));
    for service in &report.services {
        suite.add_test_case(service_case(service, report, name));
    }
    suite.add_test_case(command_case(report, name));
    let mut junit = Report::new("devstack run");
    junit.set_time(Duration::from_millis(report.duration_ms));
    junit.add_test_suite(suite);
    let mut xml = Vec::new();
    junit.serialize(&mut xml)?;
    Ok(xml)
}

fn service_case(service: &ServiceReport, report: &RunResult, suite: &str) -> TestCase {
    let is_cause =
        report.cause.as_ref().is_some_and(|it| it.service.as_ref() == Some(&service.name));
    // What had not got ready yet, or waited for something else, has not failed by itself.
    let is_open = matches!(
        service.phase,
        Phase::Waiting | Phase::Blocked | Phase::Starting | Phase::Stopping | Phase::Backoff
    );
    let status = match (service.ok, is_cause, is_open) {
        (true, _, _) => TestCaseStatus::success(),
        (false, false, true) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("{}: {}", service.phase, service.cause));
            status
        }
        (false, _, _) => {
            let text = format!("{}: {}", service.phase, service.cause);
            let class = service.message.as_ref().map_or(MessageClass::Exit, |it| it.class);
            failure(class, text, &service.last_lines)
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
