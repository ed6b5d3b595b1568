use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{IsTerminal, stdout};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::ci_host::CiSections;
use super::command_env::variables;
use super::run_outcome::{
    RunCause, RunOutcome, RunVerdict, after_command, dead_services, died, start_failure,
};
use super::run_result::{CommandReport, RunFindings, is_up};
use super::{PRINT_LIMIT, ShutdownOnDrop, off_loop, tell};
use crate::cli::control::WaitProgress;
use crate::cli::render::{begin_line, warn};
use crate::cli::start::up::not_ready_within;
use crate::exit_code::ExitCode;
use crate::log::{StatusText, StatusTone};
use crate::model::{
    DisplayDuration, Message, MessageClass, Name, ProcessExit, Snapshot, Stack, StackState,
    WaitCondition,
};
use crate::process;
use crate::process::{CommandOrphans, ExecError, OwnChildren};
use crate::supervisor::{SignalListener, SupervisorHandle};
use crate::text::join;

/// How long the command may take to exit after TERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long the command may take to exit after Ctrl-C at the terminal, before it also gets TERM.
const SIGINT_GRACE: Duration = Duration::from_secs(2);

/// How often a log that is not a terminal says what is still awaited.
const STILL_WAITING: Duration = Duration::from_secs(5);

/// How many last lines of a service a report has.
const REPORT_LINES: usize = 50;

/// Waits until the stack is ready, runs the command and decides how the run ended.
pub(super) struct CommandRun {
    pub command: Vec<OsString>,
    pub handle: SupervisorHandle,
    pub stack: Arc<Stack>,
    pub state: watch::Receiver<StackState>,
    pub shutdown: ShutdownOnDrop,
    pub signals: SignalListener,
    pub json: bool,
    pub children: OwnChildren,
    pub sections: Arc<CiSections>,
    pub abort_on_failure: bool,
    pub record: RunRecord,
}

/// What a run has seen so far.
#[derive(Default)]
pub(super) struct RunRecord {
    /// The last state before the stack stopped.
    seen: Option<Arc<Snapshot>>,
    /// The services that failed while the command ran, the first one first.
    dead: Vec<RunCause>,
    ready_after: Option<Duration>,
    command: Option<CommandReport>,
    /// Orphans of the command, if it was started.
    orphans: Option<CommandOrphans>,
}

/// Time limits; `None`: no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunLimits {
    /// For the whole run.
    pub all: Option<Duration>,
    /// For the start.
    pub ready: Option<Duration>,
}

pub(super) struct FinishedRun {
    /// `None`: the stack was stopped for another reason.
    pub verdict: Option<RunVerdict>,
    pub orphans: Option<CommandOrphans>,
    pub facts: RunFindings,
}

impl CommandRun {
    /// Runs the command once the stack is ready, then stops the stack.
    pub async fn run(mut self, limits: RunLimits) -> FinishedRun {
        let verdict = self.carry_out(limits).await;
        let RunRecord { seen, dead, ready_after, command, orphans } = self.record;
        let logs = self.handle.logs();
        let views = seen.iter().flat_map(|snapshot| &snapshot.services);
        let dead: Vec<Name> = dead.into_iter().filter_map(|cause| cause.service).collect();
        let last_lines = views.filter(|view| !is_up(view) || dead.contains(&view.name));
        let last_lines =
            last_lines.map(|view| (view.name.clone(), logs.tail(&view.name, REPORT_LINES)));
        let facts = RunFindings {
            last_lines: last_lines.collect(),
            dead,
            snapshot: seen.map(Arc::unwrap_or_clone),
            ready_after_ms: ready_after.map(milliseconds),
            command,
        };
        FinishedRun { verdict, orphans, facts }
    }

    async fn carry_out(&mut self, limits: RunLimits) -> Option<RunVerdict> {
        let begun = Instant::now();
        let limit = passed(limits.all);
        tokio::pin!(limit);
        let started = tokio::select! {
            biased;
            state = wait_for_start(&mut self.state) => Ok(state),
            time = passed(limits.ready) => {
                Err((time, RunOutcome::NotReady, ExitCode::RUN_NOT_READY))
            }
            time = &mut limit => Err((time, RunOutcome::TimedOut, ExitCode::RUN_TIMEOUT)),
            never = report_waiting(&self.handle), if !stdout().is_terminal() => match never {},
        };
        self.observe().await;
        let snapshot = self.record.seen.clone()?;
        match started {
            Ok(StackState::Up | StackState::Degraded) => {}
            Ok(StackState::Starting | StackState::Stopping | StackState::Stopped) => return None,
            Err((time, outcome, code)) => {
                let text = not_ready_within(time, &snapshot);
                let cause = RunCause::new(MessageClass::ReadyTimeout, text);
                return Some(self.give_up(RunVerdict::failed(outcome, code, cause)));
            }
        }
        if let Some(verdict) = start_failure(&snapshot) {
            return Some(self.give_up(verdict));
        }
        self.record.ready_after = Some(begun.elapsed());
        self.finish_log().await;
        self.sections.end();
        self.record.orphans = Some(CommandOrphans::before_start());
        let begun = Instant::now();
        let mut child = match self.spawn(&snapshot) {
            Ok(child) => child,
            Err(verdict) => {
                if let Some(cause) = &verdict.cause {
                    tell(self.json, cause.message.clone()).await;
                }
                self.record.orphans = None;
                return Some(self.give_up(verdict));
            }
        };
        let args = self.command.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        self.record.command = Some(CommandReport { args, exit: None, duration_ms: 0 });
        let verdict = self.attend(&mut child, limit).await;
        if let Some(command) = &mut self.record.command {
            command.duration_ms = milliseconds(begun.elapsed());
        }
        self.sections.begin("stop");
        self.terminate_orphans().await;
        verdict
    }

    async fn terminate_orphans(&mut self) {
        let left = self.record.orphans.as_mut().map_or(0, CommandOrphans::terminate);
        let text = match left {
            0 => return,
            1 => "the command left 1 process running; terminating it".to_owned(),
            _ => format!("the command left {left} processes running; terminating them"),
        };
        match self.json {
            true => tell(true, Message::new(MessageClass::Orphan, text)).await,
            false => off_loop(move || warn(&format!("note: {text}\n"))).await,
        }
    }

    /// Lets what led to this moment be shown before the command prints.
    async fn finish_log(&self) {
        let log = self.handle.logs().clone();
        off_loop(move || log.wait_printed(PRINT_LIMIT)).await;
    }

    /// Stops the stack because of a failure.
    fn give_up(&self, verdict: RunVerdict) -> RunVerdict {
        let why = verdict.cause.as_ref().map_or("", |cause| cause.message.text.as_str());
        self.shutdown.0.shut_down(why, verdict.code.0);
        verdict
    }

    fn spawn(&self, snapshot: &Snapshot) -> Result<Child, RunVerdict> {
        let refuse = |no: ExecError| {
            let (message, outcome, code) = match no {
                ExecError::Missing(message) => {
                    (message, RunOutcome::NotFound, ExitCode::RUN_NOT_FOUND)
                }
                ExecError::NotExecutable(message) => {
                    (message, RunOutcome::NotExecutable, ExitCode::RUN_NOT_EXECUTABLE)
                }
            };
            RunVerdict::failed(outcome, code, RunCause { message, service: None })
        };
        let dir = std::env::current_dir().unwrap_or_default();
        let path = std::env::var_os("PATH");
        let program =
            process::locate_program(&self.command[0], &dir, path.as_ref()).map_err(refuse)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the command of `run` is the user's own foreground program, not a run"
        )]
        let mut command = Command::new(&program);
        command.arg0(&self.command[0]).args(&self.command[1..]);
        command.envs(variables(&self.stack, snapshot));
        command.stdin(Stdio::inherit()).kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|error| refuse(process::exec_refused(&program, &dir, &error)))?;
        self.children.add_command(child.id().unwrap_or(0));
        Ok(child)
    }

    /// Waits for the command. `None`: the stack was stopped for another reason.
    async fn attend(
        &mut self,
        child: &mut Child,
        limit: impl Future<Output = Duration>,
    ) -> Option<RunVerdict> {
        tokio::pin!(limit);
        loop {
            tokio::select! {
                biased;
                status = child.wait() => {
                    let json = self.json;
                    off_loop(move || begin_line(json)).await;
                    return Some(self.finished(status).await);
                }
                number = self.signals.end() => {
                    // The supervisor received the signal, too, and stops the stack.
                    self.stop(child, at_terminal(number)).await;
                    return None;
                }
                time = &mut limit => {
                    self.observe().await;
                    self.stop(child, false).await;
                    let text =
                        format!("the command did not finish within {}", DisplayDuration(time));
                    let cause = RunCause::new(MessageClass::Exit, text);
                    let code = ExitCode::RUN_TIMEOUT;
                    let verdict = RunVerdict::failed(RunOutcome::TimedOut, code, cause);
                    return Some(self.give_up(verdict));
                }
                changed = self.state.changed() => {
                    let state = *self.state.borrow_and_update();
                    self.observe().await;
                    if changed.is_err() || matches!(state, StackState::Stopping | StackState::Stopped) {
                        self.stop(child, false).await;
                        return None;
                    }
                    if let Some(cause) = self.record.dead.first().filter(|_| self.abort_on_failure) {
                        let (cause, code) = (cause.clone(), ExitCode::RUN_SERVICE_DIED);
                        self.stop(child, false).await;
                        let verdict = RunVerdict::failed(RunOutcome::ServiceDied, code, cause);
                        return Some(self.give_up(verdict));
                    }
                }
            }
        }
    }

    /// Takes the state of the services, unless the stack is stopping: then it has already reported
    /// what failed.
    async fn observe(&mut self) {
        let Ok(snapshot) = self.handle.snapshot().await else { return };
        if matches!(snapshot.state, StackState::Stopping | StackState::Stopped) {
            return;
        }
        if self.record.command.is_some() {
            for service in dead_services(&snapshot) {
                let dead = &mut self.record.dead;
                if dead.iter().all(|cause| cause.service.as_ref() != Some(&service.name)) {
                    dead.push(died(service));
                }
            }
        }
        self.record.seen = Some(snapshot);
    }

    async fn finished(&mut self, status: std::io::Result<ExitStatus>) -> RunVerdict {
        self.observe().await;
        let exit = status.map_or(ProcessExit::Code(ExitCode::FAILED.0), process_exit);
        if let Some(command) = &mut self.record.command {
            command.exit = Some(exit);
        }
        let code = exit.exit_code();
        let mut why = format!("the command exited with code {code}");
        let dead = &self.record.dead;
        if code == 0 && !dead.is_empty() {
            let names = dead.iter().filter_map(|cause| cause.service.as_ref());
            why += &format!(", but {} failed", join(names, ", "));
        }
        let verdict = after_command(code, dead);
        self.shutdown.0.shut_down(why, ExitCode::OK.0);
        verdict
    }

    /// Terminates the command, then kills it, at once on a further signal. `reported`: it already
    /// got Ctrl-C from the terminal.
    async fn stop(&mut self, child: &mut Child, reported: bool) {
        let mut wait =
            if reported { self.wait(SIGINT_GRACE, child).await } else { WaitResult::Over };
        if let (WaitResult::Over, Some(pid)) = (&wait, child.id()) {
            process::terminate_child(pid);
            wait = self.wait(GRACE, child).await;
        }
        match wait {
            WaitResult::Ended => {}
            // It may have exited just now. What SIGKILL does not end is left over.
            WaitResult::Over | WaitResult::Interrupted => {
                drop(child.start_kill());
                self.wait(GRACE, child).await;
            }
        }
    }

    async fn wait(&mut self, time: Duration, child: &mut Child) -> WaitResult {
        tokio::select! {
            status = child.wait() => {
                if let Some(command) = &mut self.record.command {
                    command.exit = status.ok().map(process_exit);
                }
                WaitResult::Ended
            }
            _ = self.signals.end() => WaitResult::Interrupted,
            () = tokio::time::sleep(time) => WaitResult::Over,
        }
    }
}

enum WaitResult {
    Ended,
    Over,
    Interrupted,
}

fn process_exit(status: ExitStatus) -> ProcessExit {
    use std::os::unix::process::ExitStatusExt as _;
    let signal = || ProcessExit::Signal(status.signal().unwrap_or(0));
    status.code().map_or_else(signal, ProcessExit::Code)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the command got this signal as part of the terminal's foreground group.
fn at_terminal(signal: i32) -> bool {
    let foreground = || rustix::termios::tcgetpgrp(std::io::stdin()).ok();
    matches!(signal, libc::SIGINT | libc::SIGQUIT)
        && foreground().is_some_and(|group| group.as_raw_pid() == process::own_group())
}

/// Waits for this time and returns it; for ever without one.
async fn passed(time: Option<Duration>) -> Duration {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
    time.unwrap_or_default()
}

async fn wait_for_start(state: &mut watch::Receiver<StackState>) -> StackState {
    match state.wait_for(|state| *state != StackState::Starting).await {
        Ok(state) => *state,
        Err(_) => StackState::Stopped,
    }
}

/// Says again and again what is still awaited, in the words of `devstack wait`.
async fn report_waiting(handle: &SupervisorHandle) -> Infallible {
    let progress = WaitProgress::new(&[], WaitCondition::Up);
    loop {
        tokio::time::sleep(STILL_WAITING).await;
        if let Ok(snapshot) = handle.snapshot().await {
            let text = format!("still waiting for {}", join(progress.missing(&snapshot), "; "));
            handle.logs().write_status(StatusText::stack_wide(StatusTone::Notice, text));
        }
    }
}
