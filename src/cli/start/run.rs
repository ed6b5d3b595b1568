use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::launch::{self, StartedStack};
use super::options::{LogTarget, StartOptions};
use super::up::not_ready_within;
use crate::cli::args::{FileArgs, StartupArgs, duration};
use crate::cli::inspect::LogStyleArgs;
use crate::cli::render::{CommandError, begin_line, message_text, warn};
use crate::engine::WhenIdle;
use crate::exit_code::ExitCode;
use crate::model::{
    Message, MessageClass, Name, Phase, ProcessExit, RestartPolicy, ServiceView, Snapshot, Stack,
    StackState, StartCommand, connectable_host,
};
use crate::process;
use crate::process::{CommandOrphans, ExecError, OwnChildren};
use crate::supervisor::{ShutdownHandle, SignalListener, StackEnd, SupervisorHandle};
use crate::text::join;

/// `devstack run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Start only this service and its dependencies; can be repeated [default: all]
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub starting: StartupArgs,
    /// Give up if the stack is not ready within this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub ready_timeout: Option<Duration>,
    /// Let ports move if they are in use, as the file says [default: fail]
    #[arg(long)]
    pub no_strict_ports: bool,
    #[command(flatten)]
    pub shown: LogStyleArgs,
    /// Command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

/// How long the command may take to exit after TERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long the command may take to exit after Ctrl-C at the terminal, before it also gets TERM.
const SIGINT_GRACE: Duration = Duration::from_secs(2);

/// How long the command may wait for the log to be printed; a terminal can be stuck.
const PRINT_LIMIT: Duration = Duration::from_secs(1);

/// `devstack run -- CMD`: runs a command once the stack is ready, stops everything, exits with its
/// code.
pub(crate) fn run(files: Vec<std::path::PathBuf>, args: RunArgs) -> Result<ExitCode, CommandError> {
    let mut plan = StartOptions {
        command: StartCommand::Run,
        files,
        starting: args.starting,
        services: args.services,
        debug: None,
        strict_ports: !args.no_strict_ports,
        follow: false,
        shown: args.shown,
        qr: false,
        place: LogTarget::Stderr,
        modify_stack: disable_restarts,
        when_idle: WhenIdle::KeepAlive,
        may_ask: false,
        refused: ExitCode::RUN_FAILED_BEFORE_READY,
        daemon: None,
    };
    let (command, json) = (args.command, args.shown.is_json());
    let ready_timeout = args.ready_timeout;
    launch::start(&mut plan, |launched| async move {
        let StartedStack { supervisor, handle, stack, timeout, children } = launched;
        let signals = SignalListener::listen().map_err(|error| {
            Message::new(MessageClass::Limit, format!("cannot listen for signals: {error}"))
        })?;
        let (state, ender) = (supervisor.state(), ShutdownOnDrop(supervisor.ender()));
        let smoke = CommandRun {
            command,
            handle,
            stack,
            state,
            ender,
            signals,
            died: BTreeSet::new(),
            json,
            children,
        };
        let smoke = tokio::spawn(smoke.run(timeout, ready_timeout));
        let outcome = supervisor.run().await;
        // The stack has stopped, so the command was terminated as well; its task is bounded.
        let finished = smoke.await.unwrap_or_default();
        let left = match finished.orphans {
            Some(orphans) if outcome.end != StackEnd::Abandoned => orphans.kill_remaining().await,
            Some(_) | None => Vec::new(),
        };
        if !left.is_empty() {
            tell(json, do_not_end(&left)).await;
        }
        let unproved = outcome.end == StackEnd::Proved && !left.is_empty();
        let end = if unproved { StackEnd::Unproved } else { outcome.end };
        exit_code(ExitCode(outcome.code), end, finished.code)
    })
}

/// Returns the result: `code` and `end` are those of the stack, `own` is the command's, if any.
fn exit_code(
    code: ExitCode,
    end: StackEnd,
    own: Option<ExitCode>,
) -> Result<ExitCode, CommandError> {
    match (end, code, own) {
        (StackEnd::Panicked, _, _) => Ok(ExitCode::RUN_INTERNAL),
        // Why the run failed comes first.
        (StackEnd::Unproved, ExitCode(120..=127), _) => Ok(code),
        (StackEnd::Unproved, _, _) => Ok(ExitCode::RUN_NOT_CLEAN),
        (_, ExitCode::OK, Some(own)) => Ok(own),
        (_, ExitCode::OK, None) => Err(CommandError::new(stopped_early(), ExitCode::FAILED)),
        (_, code, _) => Ok(code),
    }
}

/// Prints a message to stderr, between the lines of the log.
async fn tell(json: bool, message: Message) {
    off_loop(move || warn(&message_text(&message, json))).await;
}

/// Does what may wait for the terminal on another thread; goes on without it if it takes longer.
async fn off_loop(act: impl FnOnce() + Send + 'static) {
    // A panic has been printed.
    drop(tokio::time::timeout(PRINT_LIMIT, tokio::task::spawn_blocking(act)).await);
}

/// The stack was stopped regularly before the command finished.
fn stopped_early() -> Message {
    let text = "the stack stopped before the command finished";
    Message::new(MessageClass::NotRunning, text).help("run it again")
}

fn do_not_end(left: &[u32]) -> Message {
    let pids = join(left, ", ");
    let text = format!("cannot kill processes left by the command, even with SIGKILL: pid {pids}");
    let help = format!("inspect them with `ps -o pid,stat,args -p {}`", join(left, ","));
    Message::new(MessageClass::Orphan, text).help(help)
}

/// Disables restarts: during a smoke run a crash is a finding, not something to hide.
fn disable_restarts(stack: &mut Stack) {
    for service in stack.services.values_mut() {
        Arc::make_mut(service).restart.policy = RestartPolicy::No;
    }
}

/// Stops the stack at the latest when dropped, so that no bug leaves it running without a command.
struct ShutdownOnDrop(ShutdownHandle);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        // Only the first reason counts, and there nearly always is one by now.
        self.0.shut_down("the command is gone", ExitCode::FAILED.0);
    }
}

struct CommandRun {
    command: Vec<OsString>,
    handle: SupervisorHandle,
    stack: Arc<Stack>,
    state: watch::Receiver<StackState>,
    ender: ShutdownOnDrop,
    signals: SignalListener,
    died: BTreeSet<Name>,
    json: bool,
    children: OwnChildren,
}

#[derive(Default)]
struct FinishedCommand {
    /// The exit code; `None` if the stack was stopped for another reason.
    code: Option<ExitCode>,
    /// Orphans of the command, if it was started.
    orphans: Option<CommandOrphans>,
}

impl CommandRun {
    /// Runs the command once the stack is ready, then stops the stack.
    async fn run(
        mut self,
        timeout: Option<Duration>,
        ready_timeout: Option<Duration>,
    ) -> FinishedCommand {
        let limit = passed(timeout);
        tokio::pin!(limit);
        let started = tokio::select! {
            biased;
            state = wait_for_start(&mut self.state) => Ok(state),
            time = passed(ready_timeout) => Err((time, ExitCode::RUN_NOT_READY)),
            time = &mut limit => Err((time, ExitCode::RUN_TIMEOUT)),
        };
        let state = match started {
            Ok(state) => state,
            Err((time, code)) => {
                let Ok(snapshot) = self.handle.snapshot().await else {
                    return FinishedCommand::default();
                };
                return self.give_up(not_ready_within(time, &snapshot), code);
            }
        };
        let snapshot = match state {
            StackState::Up | StackState::Degraded => {
                let Ok(snapshot) = self.handle.snapshot().await else {
                    return FinishedCommand::default();
                };
                if let Some((why, code)) = failure(&snapshot) {
                    return self.give_up(why, code);
                }
                snapshot
            }
            StackState::Starting | StackState::Stopping | StackState::Stopped => {
                return FinishedCommand::default();
            }
        };
        self.finish_log().await;
        let mut orphans = CommandOrphans::before_start();
        let mut child = match self.spawn(&snapshot) {
            Ok(child) => child,
            Err((message, code)) => {
                tell(self.json, message.clone()).await;
                return self.give_up(message.text, code);
            }
        };
        let code = self.attend(&mut child, limit).await;
        let left = orphans.terminate();
        if left > 0 {
            let text = match left {
                1 => "the command left 1 process running; terminating it".to_owned(),
                _ => format!("the command left {left} processes running; terminating them"),
            };
            match self.json {
                true => tell(true, Message::new(MessageClass::Orphan, text)).await,
                false => off_loop(move || warn(&format!("note: {text}\n"))).await,
            }
        }
        FinishedCommand { code, orphans: Some(orphans) }
    }

    /// Lets what led to this moment be shown before the command prints.
    async fn finish_log(&self) {
        let log = self.handle.logs().clone();
        off_loop(move || log.wait_printed(PRINT_LIMIT)).await;
    }

    fn give_up(&self, why: String, code: ExitCode) -> FinishedCommand {
        self.ender.0.shut_down(why, code.0);
        FinishedCommand { code: Some(code), orphans: None }
    }

    fn spawn(&self, snapshot: &Snapshot) -> Result<Child, (Message, ExitCode)> {
        let refuse = |no: ExecError| match no {
            ExecError::Missing(message) => (message, ExitCode::RUN_NOT_FOUND),
            ExecError::NotExecutable(message) => (message, ExitCode::RUN_NOT_EXECUTABLE),
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
    ) -> Option<ExitCode> {
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
                    self.stop(child, false).await;
                    let time = crate::model::DisplayDuration(time);
                    let why = format!("the command did not finish within {time}");
                    self.ender.0.shut_down(why, ExitCode::RUN_TIMEOUT.0);
                    return Some(ExitCode::RUN_TIMEOUT);
                }
                changed = self.state.changed() => {
                    let state = *self.state.borrow_and_update();
                    self.note_dead().await;
                    if changed.is_err() || matches!(state, StackState::Stopping | StackState::Stopped) {
                        self.stop(child, false).await;
                        return None;
                    }
                }
            }
        }
    }

    async fn note_dead(&mut self) {
        // A stopped stack has already reported what failed.
        let Ok(snapshot) = self.handle.snapshot().await else { return };
        let dead = |phase| matches!(phase, Phase::Failed | Phase::Blocked);
        let failed = snapshot.services.iter().filter(|service| dead(service.phase));
        self.died.extend(failed.map(|service| service.name.clone()));
    }

    async fn finished(&mut self, status: std::io::Result<ExitStatus>) -> ExitCode {
        use std::os::unix::process::ExitStatusExt as _;
        self.note_dead().await;
        let code =
            status.map_or(ExitCode::FAILED.0, |status| match (status.code(), status.signal()) {
                (Some(code), _) => code,
                (None, signal) => ProcessExit::Signal(signal.unwrap_or(0)).exit_code(),
            });
        let names: Vec<&str> = self.died.iter().map(Name::as_str).collect();
        let (why, own) = match (code, names.as_slice()) {
            (0, []) => ("the command exited with code 0".to_owned(), ExitCode::OK),
            (0, names) => {
                let why =
                    format!("the command exited with code 0, but {} failed", names.join(", "));
                (why, ExitCode::RUN_SERVICE_DIED)
            }
            (code, _) => (format!("the command exited with code {code}"), ExitCode(code)),
        };
        self.ender.0.shut_down(why, ExitCode::OK.0);
        own
    }

    /// Terminates the command, then kills it, at once on a further signal. `told`: it already got
    /// Ctrl-C from the terminal.
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
            _ = child.wait() => WaitResult::Ended,
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

/// Returns why the start failed, if it did, and the exit code.
fn failure(snapshot: &Snapshot) -> Option<(String, ExitCode)> {
    let of = |phase| snapshot.services.iter().filter(move |service| service.phase == phase);
    // It exited as it may, but never was ready: a command that depends on it would fail.
    let mut unseen =
        of(Phase::Done).filter(|one| !one.kind.is_task() && one.ready_after_ms.is_none());
    let before_ready = |service: &ServiceView| {
        let why = format!("{} failed before becoming ready: {}", service.name, service.cause);
        (why, ExitCode::RUN_FAILED_BEFORE_READY)
    };
    let late = |service: &ServiceView| {
        (format!("{}: {}", service.name, service.cause), ExitCode::RUN_NOT_READY)
    };
    let failed = of(Phase::Failed).next().or_else(|| unseen.next()).map(before_ready);
    failed
        .or_else(|| of(Phase::Unhealthy).next().map(late))
        .or_else(|| of(Phase::Blocked).next().map(before_ready))
}

/// Returns variables with the addresses of the requested services.
fn variables(stack: &Stack, snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut variables = vec![("DEVSTACK_STACK".to_owned(), snapshot.stack.clone())];
    for view in snapshot.services.iter().filter(|view| view.phase != Phase::Idle) {
        let Some(service) = stack.services.get(&view.name) else { continue };
        // The port may have moved since the stack was created.
        let Some(port) = view.port else { continue };
        let host = &service.launch.host;
        // The actual address if known, or else the assigned one.
        let url = view.url.clone().unwrap_or_else(|| service.url_form.format(host, port));
        let prefix = format!("DEVSTACK_{}", view.name.to_env_prefix());
        variables.push((format!("{prefix}_HOST"), connectable_host(host).to_owned()));
        variables.push((format!("{prefix}_PORT"), port.to_string()));
        variables.push((format!("{prefix}_URL"), url));
    }
    variables
}
