use serde::Serialize;

use super::run_outcome::{RunCause, RunOutcome, RunVerdict};
use crate::model::{Message, Name, Phase, ProcessExit, ServiceKindView, ServiceView, Snapshot};

/// The result of a run: the file of `--result`. Fields may be added, never renamed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunResult {
    /// The version of this format.
    pub version: u32,
    pub outcome: RunOutcome,
    /// The exit code of `devstack run`.
    pub exit_code: i32,
    /// The first cause of a failure.
    pub cause: Option<RunCause>,
    /// The name of the stack, if it was started.
    pub stack: Option<String>,
    /// Its directory; bytes that are not UTF-8 become U+FFFD.
    pub dir: Option<String>,
    /// When the run began: RFC 3339 in UTC with milliseconds.
    pub started_at: String,
    /// How long the run took in all.
    pub duration_ms: u64,
    /// After which time everything was ready.
    pub ready_after_ms: Option<u64>,
    /// The command; `None`: it was not started.
    pub command: Option<CommandReport>,
    /// The requested services, by name, as they were when the result was known.
    pub services: Vec<ServiceReport>,
}

/// The command of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CommandReport {
    /// Program and arguments; bytes that are not UTF-8 become U+FFFD.
    pub args: Vec<String>,
    /// How it exited; `None`: devstack did not see it.
    pub exit: Option<ProcessExit>,
    pub duration_ms: u64,
}

/// One service of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ServiceReport {
    pub name: Name,
    pub kind: ServiceKindView,
    pub phase: Phase,
    pub cause: String,
    /// Whether the outcome has nothing against it: all services of a passed run; else those that were
    /// ready or completed and have not failed.
    pub ok: bool,
    /// Whether it failed by itself, unlike what had not got ready or waited for another one.
    #[serde(skip)]
    pub failed: bool,
    pub ready_after_ms: Option<u64>,
    pub restarts: u32,
    pub exit: Option<ProcessExit>,
    pub port: Option<u16>,
    pub url: Option<String>,
    pub message: Option<Message>,
    /// Its last lines, if it is not ok: plain text.
    pub last_lines: Vec<String>,
}

/// What is known at the end of a run.
#[derive(Default)]
pub(super) struct RunFindings {
    pub snapshot: Option<Snapshot>,
    /// The last lines of the services that are not as they should be.
    pub last_lines: Vec<(Name, Vec<String>)>,
    /// The services that failed while the command ran.
    pub dead: Vec<Name>,
    pub ready_after_ms: Option<u64>,
    pub command: Option<CommandReport>,
}

impl RunResult {
    pub fn new(started: jiff::Timestamp, verdict: RunVerdict, facts: RunFindings) -> RunResult {
        let took = jiff::Timestamp::now().as_millisecond() - started.as_millisecond();
        let RunFindings { snapshot, mut last_lines, mut dead, ready_after_ms, command } = facts;
        dead.extend(verdict.cause.iter().filter_map(|cause| cause.service.clone()));
        let of = |view: ServiceView| {
            let failed = view.phase == Phase::Failed || dead.contains(&view.name);
            let ok = !failed && (verdict.outcome == RunOutcome::Passed || is_up(&view));
            let lines = last_lines.iter_mut().find(|(name, _)| *name == view.name);
            let lines = lines.map(|(_, lines)| std::mem::take(lines));
            let lines = lines.filter(|_| !ok).unwrap_or_default();
            ServiceReport { ok, failed, last_lines: lines, ..ServiceReport::of(view) }
        };
        let (mut stack, mut dir, mut services) = (None, None, Vec::new());
        if let Some(snapshot) = snapshot {
            stack = Some(snapshot.stack);
            dir = Some(snapshot.dir.to_string_lossy().into_owned());
            let is_wanted =
                |view: &ServiceView| view.phase != Phase::Idle || dead.contains(&view.name);
            services = snapshot.services.into_iter().filter(is_wanted).map(of).collect();
        }
        RunResult {
            version: 1,
            outcome: verdict.outcome,
            exit_code: verdict.code.0,
            cause: verdict.cause,
            stack,
            dir,
            started_at: format!("{started:.3}"),
            duration_ms: u64::try_from(took).unwrap_or(0),
            ready_after_ms,
            command,
            services,
        }
    }

    /// Returns the last lines of the service that failed first.
    pub fn cause_lines(&self) -> &[String] {
        let service = self.cause.as_ref().and_then(|cause| cause.service.as_ref());
        let failed = self.services.iter().find(|one| Some(&one.name) == service);
        failed.map_or(&[], |one| &one.last_lines)
    }
}

impl ServiceReport {
    /// Without what the run makes of it.
    fn of(view: ServiceView) -> ServiceReport {
        ServiceReport {
            ok: false,
            failed: false,
            name: view.name,
            kind: view.kind,
            phase: view.phase,
            cause: view.cause,
            ready_after_ms: view.ready_after_ms,
            restarts: view.restarts,
            exit: view.exit,
            port: view.port,
            url: view.url,
            message: view.message,
            last_lines: Vec::new(),
        }
    }
}

/// Whether a service is ready or asleep, or was ready so until it exited as it may, or a task has completed.
pub(super) fn is_up(view: &ServiceView) -> bool {
    match view.phase {
        // It starts when the command connects.
        Phase::Ready | Phase::Asleep => true,
        Phase::Done => view.kind.is_task() || view.ready_after_ms.is_some(),
        Phase::Idle
        | Phase::Waiting
        | Phase::Blocked
        | Phase::Starting
        | Phase::Unhealthy
        | Phase::Stopping
        | Phase::Backoff
        | Phase::Failed => false,
    }
}
