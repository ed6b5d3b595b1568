use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::launch::{self, StartedStack};
use super::options::{LogTarget, StartOptions};
use super::up::not_ready_within;
use crate::cli::args::{FileArgs, StartupArgs};
use crate::cli::inspect::LogStyleArgs;
use crate::cli::render::{CommandError, message_text, warn};
use crate::engine::WhenIdle;
use crate::exit_code::ExitCode;
use crate::model::{
    Message, MessageClass, Name, Phase, ProcessExit, RestartPolicy, ServiceView, Snapshot, Stack,
    StackState, connectable_host,
};
use crate::process;
use crate::process::{CommandOrphans, ExecError};
use crate::supervisor::{ShutdownHandle, SignalListener, SupervisorHandle};

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

/// `devstack run -- CMD`: runs a command once the stack is ready, stops everything, exits with its
/// code.
pub(crate) fn run(files: Vec<std::path::PathBuf>, args: RunArgs) -> Result<ExitCode, CommandError> {
    let plan = StartOptions {
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
    launch::start(plan, |launched| async move {
        let StartedStack { supervisor, handle, stack, timeout } = launched;
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
        };
        let smoke = tokio::spawn(smoke.run(timeout));
        let outcome = supervisor.run().await;
        // The stack has stopped, so the command was terminated as well; its task is bounded.
        let finished = smoke.await.unwrap_or_default();
        let left = match finished.orphans {
            Some(orphans) => orphans.kill_remaining().await,
            None => Vec::new(),
        };
        if !left.is_empty() {
            tell(json, &do_not_end(&left));
        }
        let clean = outcome.proved && left.is_empty();
        match (ExitCode(outcome.code), finished.code) {
            (ExitCode::OK, Some(_)) if !clean => Ok(ExitCode::RUN_NOT_CLEAN),
            (ExitCode::OK, Some(own)) => Ok(own),
            (ExitCode::OK, None) => Err(CommandError::new(stopped_early(), ExitCode::FAILED)),
            (code, Some(_) | None) => Ok(code),
        }
    })
}

/// Prints a message to stderr, between the lines of the log.
fn tell(json: bool, message: &Message) {
    warn(&message_text(message, json));
}

/// The stack was stopped regularly before the command finished.
fn stopped_early() -> Message {
    let text = "the stack stopped before the command finished";
    Message::new(MessageClass::NotRunning, text).help("run it again")
}

fn do_not_end(left: &[u32]) -> Message {
    let pids: Vec<String> = left.iter().map(u32::to_string).collect();
    let text = format!(
        "cannot kill processes left by the command, even with SIGKILL: pid {}",
        pids.join(", ")
    );
    Message::new(MessageClass::Orphan, text)
        .help(format!("inspect them with `ps -o pid,stat,args -p {}`", pids.join(",")))
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
    async fn run(mut self, timeout: Option<Duration>) -> FinishedCommand {
        let limit = async {
            match timeout {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(limit);
        let state = tokio::select! {
            state = wait_for_start(&mut self.state) => state,
            () = &mut limit => {
                let Ok(snapshot) = self.handle.snapshot().await else { return FinishedCommand::default() };
                let why = not_ready_within(timeout.unwrap_or_default(), &snapshot);
                return self.give_up(why, ExitCode::RUN_NOT_READY);
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
        let mut orphans = CommandOrphans::before_start();
        // Register before the command runs, so that no exit is missed.
        let ends = signal(SignalKind::child()).ok();
        let mut child = match self.spawn(&snapshot) {
            Ok(child) => child,
            Err((message, code)) => {
                tell(self.json, &message);
                return self.give_up(message.text, code);
            }
        };
        let code = self.attend(&mut child, &orphans, ends, timeout, limit).await;
        let left = orphans.terminate();
        if left > 0 {
            let text = match left {
                1 => "the command left 1 process running; terminating it".to_owned(),
                _ => format!("the command left {left} processes running; terminating them"),
            };
            match self.json {
                true => tell(true, &Message::new(MessageClass::Orphan, text)),
                false => warn(&format!("note: {text}\n")),
            }
        }
        FinishedCommand { code, orphans: Some(orphans) }
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
        command.spawn().map_err(|error| refuse(process::exec_refused(&program, &dir, &error)))
    }

    /// Waits for the command. `None`: the stack was stopped for another reason.
    async fn attend(
        &mut self,
        child: &mut Child,
        orphans: &CommandOrphans,
        mut ends: Option<Signal>,
        timeout: Option<Duration>,
        limit: impl Future<Output = ()>,
    ) -> Option<ExitCode> {
        tokio::pin!(limit);
        let any_end = async |ends: &mut Option<Signal>| match ends {
            Some(ends) => drop(ends.recv().await),
            None => std::future::pending().await,
        };
        loop {
            tokio::select! {
                biased;
                status = child.wait() => return Some(self.finished(status).await),
                number = self.signals.end() => {
                    // The supervisor received the signal, too, and stops the stack.
                    self.stop(child, at_terminal(number)).await;
                    return None;
                }
                () = &mut limit => {
                    self.stop(child, false).await;
                    let time = crate::model::DisplayDuration(timeout.unwrap_or_default());
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
                () = any_end(&mut ends) => orphans.reap_exited(child.id()),
            }
        }
    }

    async fn note_dead(&mut self) {
        // A stopped stack has already reported what failed.
        let Ok(snapshot) = self.handle.snapshot().await else { return };
        let failed = snapshot.services.iter().filter(|service| service.phase == Phase::Failed);
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
            // It may have exited just now.
            WaitResult::Over | WaitResult::Interrupted => drop(child.kill().await),
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

async fn wait_for_start(state: &mut watch::Receiver<StackState>) -> StackState {
    match state.wait_for(|state| *state != StackState::Starting).await {
        Ok(state) => *state,
        Err(_) => StackState::Stopped,
    }
}

/// Returns why the start failed, if it did, and the exit code.
fn failure(snapshot: &Snapshot) -> Option<(String, ExitCode)> {
    let because_of_another = |service: &&ServiceView| {
        service.message.as_ref().is_some_and(|message| message.class == MessageClass::DepFailed)
    };
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
    let root = of(Phase::Failed).find(|service| !because_of_another(service));
    root.or_else(|| unseen.next())
        .map(before_ready)
        .or_else(|| of(Phase::Unhealthy).next().map(late))
        .or_else(|| of(Phase::Failed).next().map(before_ready))
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
