use serde::Serialize;

use crate::cli::render::CommandError;
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, Name, Phase, ServiceView, Snapshot};
use crate::supervisor::StackEnd;

/// How a run ended. The words are stable: scripts may compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RunOutcome {
    /// The command exited with 0, and nothing failed.
    Passed,
    /// The command exited with another code, or was killed by a signal.
    CommandFailed,
    /// A service failed before it was ready.
    ServiceFailed,
    /// The stack was not ready in time.
    NotReady,
    /// A service failed while the command ran.
    ServiceDied,
    /// Processes may be left.
    NotClean,
    /// `--timeout` expired.
    TimedOut,
    /// A bug in devstack ended the stack.
    InternalError,
    /// The command is not executable.
    NotExecutable,
    /// The command was not found.
    NotFound,
    /// A signal ended the run.
    Interrupted,
    /// The stack was stopped before the command finished.
    Stopped,
    /// Nothing was started.
    Refused,
}

/// Why a run failed: the first cause, not what followed from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RunCause {
    /// Class, text and help.
    #[serde(flatten)]
    pub message: Message,
    /// The service that failed.
    pub service: Option<Name>,
}

impl RunCause {
    pub fn new(class: MessageClass, text: impl Into<String>) -> RunCause {
        RunCause { message: Message::new(class, text), service: None }
    }

    fn of(service: &ServiceView, class: MessageClass, text: String) -> RunCause {
        let known = service.message.as_ref();
        let message = Message::new(known.map_or(class, |known| known.class), text);
        let help = known.map_or("", |known| known.help.as_str());
        RunCause { message: message.help(help), service: Some(service.name.clone()) }
    }
}

/// What a run decided by itself: how it ended, with which code, and why.
#[derive(Debug, Clone)]
pub(super) struct RunVerdict {
    pub outcome: RunOutcome,
    pub code: ExitCode,
    pub cause: Option<RunCause>,
}

impl RunVerdict {
    pub fn failed(outcome: RunOutcome, code: ExitCode, cause: RunCause) -> RunVerdict {
        RunVerdict { outcome, code, cause: Some(cause) }
    }
}

/// Returns why the start failed, if it did: the service that failed first, not its dependents.
pub(super) fn start_failure(snapshot: &Snapshot) -> Option<RunVerdict> {
    // It exited as it may, but never was ready: a command that depends on it would fail.
    let unseen = |one: &&ServiceView| one.has_exited() && one.ready_after_ms.is_none();
    let before_ready = |service: &ServiceView| {
        let text = format!("{} failed before becoming ready: {}", service.name, service.cause);
        let cause = RunCause::of(service, MessageClass::Exit, text);
        RunVerdict::failed(RunOutcome::ServiceFailed, ExitCode::RUN_FAILED_BEFORE_READY, cause)
    };
    let late = |service: &ServiceView| {
        let text = format!("{}: {}", service.name, service.cause);
        let cause = RunCause::of(service, MessageClass::ReadyTimeout, text);
        RunVerdict::failed(RunOutcome::NotReady, ExitCode::RUN_NOT_READY, cause)
    };
    let failed = first(snapshot, Phase::Failed).or_else(|| {
        snapshot.services.iter().filter(unseen).min_by(|one, other| one.since.cmp(&other.since))
    });
    failed
        .map(before_ready)
        .or_else(|| first(snapshot, Phase::Unhealthy).map(late))
        .or_else(|| first(snapshot, Phase::Blocked).map(before_ready))
}

fn first(snapshot: &Snapshot, phase: Phase) -> Option<&ServiceView> {
    in_order(snapshot, phase).into_iter().next()
}

/// Returns the services in this phase, in the order in which they entered it.
fn in_order(snapshot: &Snapshot, phase: Phase) -> Vec<&ServiceView> {
    let in_phase = snapshot.services.iter().filter(|service| service.phase == phase);
    let mut found: Vec<&ServiceView> = in_phase.collect();
    // Times in this form are ordered as texts.
    found.sort_by(|one, other| one.since.cmp(&other.since));
    found
}

/// Returns the services that have failed, the first one first; dependents only if nothing else has.
pub(super) fn dead_services(snapshot: &Snapshot) -> Vec<&ServiceView> {
    let failed = in_order(snapshot, Phase::Failed);
    if failed.is_empty() { in_order(snapshot, Phase::Blocked) } else { failed }
}

/// The cause of a run that a dead service has failed.
pub(super) fn died(service: &ServiceView) -> RunCause {
    let text = format!("{} failed while the command ran: {}", service.name, service.cause);
    RunCause::of(service, MessageClass::Exit, text)
}

/// The verdict on a run whose command exited with this code. `dead`: what failed while it ran.
pub(super) fn after_command(code: i32, dead: &[RunCause]) -> RunVerdict {
    match (code, dead.first()) {
        (0, None) => RunVerdict { outcome: RunOutcome::Passed, code: ExitCode::OK, cause: None },
        (0, Some(cause)) => {
            let code = ExitCode::RUN_SERVICE_DIED;
            RunVerdict::failed(RunOutcome::ServiceDied, code, cause.clone())
        }
        (code, _) => {
            let text = format!("the command exited with code {code}");
            let cause = RunCause::new(MessageClass::Exit, text);
            RunVerdict::failed(RunOutcome::CommandFailed, ExitCode(code), cause)
        }
    }
}

/// Returns how the run ended: `code` and `end` are those of the stack, `own` is what the run
/// decided, unless the stack was stopped for another reason.
pub(super) fn conclude(
    code: ExitCode,
    end: StackEnd,
    own: Option<RunVerdict>,
) -> (RunVerdict, Result<ExitCode, CommandError>) {
    let internal = |outcome, code, text: &str| {
        RunVerdict::failed(outcome, code, RunCause::new(MessageClass::Internal, text))
    };
    let verdict = match (end, code, own) {
        (StackEnd::Panicked, _, _) => {
            let code = ExitCode::RUN_INTERNAL;
            internal(RunOutcome::InternalError, code, "a bug in devstack ended the stack")
        }
        // Why the run failed comes first.
        (StackEnd::Unproved, ExitCode(120..=127), Some(own)) => RunVerdict { code, ..own },
        (StackEnd::Unproved, _, _) => {
            let text = "processes may be left: it is not certain that all have exited";
            let cause = RunCause::new(MessageClass::Orphan, text);
            RunVerdict::failed(RunOutcome::NotClean, ExitCode::RUN_NOT_CLEAN, cause)
        }
        (_, ExitCode::OK, Some(own)) => own,
        (_, ExitCode::OK, None) => {
            let message = stopped_early();
            let cause = RunCause { message: message.clone(), service: None };
            let verdict = RunVerdict::failed(RunOutcome::Stopped, ExitCode::FAILED, cause);
            return (verdict, Err(CommandError::new(message, ExitCode::FAILED)));
        }
        (_, code, Some(own)) => RunVerdict { code, ..own },
        (_, code @ ExitCode(129..), None) => {
            let cause = RunCause::new(MessageClass::NotRunning, "interrupted by a signal");
            RunVerdict::failed(RunOutcome::Interrupted, code, cause)
        }
        (_, code, None) => {
            let cause = RunCause { message: stopped_early(), service: None };
            RunVerdict::failed(RunOutcome::Stopped, code, cause)
        }
    };
    let code = verdict.code;
    (verdict, Ok(code))
}

/// The stack was stopped regularly before the command finished.
fn stopped_early() -> Message {
    let text = "the stack stopped before the command finished";
    Message::new(MessageClass::NotRunning, text).help("run it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::{name, snapshot};

    fn stack(services: &[(&str, Phase, &str)]) -> Snapshot {
        let services = services.iter().map(|(service, phase, since)| ServiceView {
            since: (*since).to_owned(),
            cause: "exit 3".to_owned(),
            ready_after_ms: None,
            ..ServiceView::sample(service, *phase)
        });
        Snapshot { services: services.collect(), ..snapshot() }
    }

    #[test]
    fn the_first_cause_is_what_failed_first_and_not_its_dependents() {
        let failed = stack(&[
            ("api", Phase::Blocked, "09:00:01"),
            ("db", Phase::Failed, "09:00:03"),
            ("cache", Phase::Failed, "09:00:02"),
            ("web", Phase::Unhealthy, "09:00:01"),
        ]);
        let verdict = start_failure(&failed).expect("a failure");
        let cause = verdict.cause.expect("a cause");
        assert_eq!(cause.service, Some(name("cache")));
        assert_eq!(cause.message.text, "cache failed before becoming ready: exit 3");
        assert_eq!((verdict.outcome, verdict.code.0), (RunOutcome::ServiceFailed, 120));
        let dead: Vec<&str> =
            dead_services(&failed).iter().map(|view| view.name.as_str()).collect();
        assert_eq!(dead, ["cache", "db"]);

        let late = stack(&[("api", Phase::Blocked, "1"), ("web", Phase::Unhealthy, "2")]);
        let verdict = start_failure(&late).expect("a failure");
        assert_eq!((verdict.outcome, verdict.code.0), (RunOutcome::NotReady, 121));
        assert_eq!(dead_services(&late)[0].name, name("api"));
        assert!(start_failure(&stack(&[("api", Phase::Ready, "1")])).is_none());
    }

    #[test]
    fn the_outcome_is_that_of_the_run_unless_the_end_went_wrong() {
        let passed = RunVerdict { outcome: RunOutcome::Passed, code: ExitCode::OK, cause: None };
        let late = RunVerdict::failed(
            RunOutcome::NotReady,
            ExitCode::RUN_NOT_READY,
            RunCause::new(MessageClass::ReadyTimeout, "late"),
        );
        let ok = ExitCode::OK;
        let concluded = |code, end, own: Option<&RunVerdict>| {
            let (verdict, _) = conclude(code, end, own.cloned());
            (verdict.outcome, verdict.code.0)
        };
        let (proved, unproved) = (StackEnd::Proved, StackEnd::Unproved);
        assert_eq!(concluded(ok, proved, Some(&passed)), (RunOutcome::Passed, 0));
        assert_eq!(concluded(ok, unproved, Some(&passed)), (RunOutcome::NotClean, 123));
        let code = ExitCode::RUN_NOT_READY;
        assert_eq!(concluded(code, unproved, Some(&late)), (RunOutcome::NotReady, 121));
        assert_eq!(
            concluded(ok, StackEnd::Panicked, Some(&late)),
            (RunOutcome::InternalError, 125)
        );
        assert_eq!(concluded(ExitCode(143), proved, None), (RunOutcome::Interrupted, 143));
        assert_eq!(concluded(ok, proved, None), (RunOutcome::Stopped, 1));
    }
}
