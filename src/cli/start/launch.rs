//! Starts the supervisor and what is around it, and runs it to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::context::StartContext;
use super::options::{LogTarget, StartOptions};
use super::relay::{RelaySource, StartRelay};
use super::startup_message::StartupMessage;
use super::timeline::TimelineTask;
use crate::cli::context;
use crate::cli::render::{CommandError, warn};
use crate::control;
use crate::exit_code::ExitCode;
use crate::front_door::{DoorFiles, Membership};
use crate::log::{LogStyle, StackLog};
use crate::model::Stack;
use crate::process::{GuardHandle, OwnChildren, ProcessManager};
use crate::supervisor::containers;
use crate::supervisor::executor::Executor;
use crate::supervisor::reload::ConfigReloader;
use crate::supervisor::{
    InputSources, ProjectPlace, ShutdownHandle, SignalListener, Supervisor, SupervisorHandle,
    SupervisorSetup, TerminalSizeFn,
};
use crate::sys::allocator;
use crate::sys::file_id::own_output;
use crate::watch::{WatchReport, Watcher};

/// How long the last lines may take to be written if the reader is slow.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the names of services may delay the end of a start in the background.
const NAMES_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct StartedStack {
    pub supervisor: Supervisor,
    pub handle: SupervisorHandle,
    pub stack: Arc<Stack>,
    pub timeout: Option<Duration>,
    pub children: OwnChildren,
}

/// Starts a stack and runs it until it stops. Only once per process, which holds the lock of the
/// directory until it exits.
///
/// The order matters: the guard is forked first, while the process is small and has one thread.
pub(super) fn start<F>(
    plan: &mut StartOptions,
    drive: impl FnOnce(StartedStack) -> F,
) -> Result<ExitCode, CommandError>
where
    F: Future<Output = Result<ExitCode, CommandError>>,
{
    allocator::limit_heaps();
    let code = plan.refused;
    let internal = |what, error| CommandError::internal(what, &error, code);
    let guard = GuardHandle::start(containers::clean_up_after)
        .map_err(|error| internal("start the guard process", error))?;
    let (changes, changes_in) = mpsc::unbounded_channel();
    // Before the files are read, so that later changes are not missed.
    let watcher = plan.follow.then(|| Watcher::start(changes));
    // In the background, this is the output of the process in front.
    let printed = watcher.as_ref().map(|it| it.output_files().claim(own_output()));
    let ground = match StartContext::prepare(plan) {
        Ok(ground) => ground,
        Err(no) => {
            guard.dismiss();
            return Err(no);
        }
    };
    let socket =
        ground.instance.listen().map_err(|error| internal("open the control socket", error))?;
    let runtime = context::supervisor_runtime().map_err(|error| internal("start", error))?;
    let logs = open_logs(plan, &ground);
    let tui = plan.tui.take().map(|tui| (tui, logs.hold_output()));
    // In the background, this is the last chance to query the terminal.
    let terminal_size = plan.place.terminal_size();
    let errors = ground.state_dir.background_errors();
    let back = plan.daemon.take().map(|back| back.leave_terminal(&errors)).transpose();
    let front = back.map_err(|error| internal("detach into the background", error))?;
    let children = OwnChildren::new(guard.pid());
    let outcome = runtime.block_on(async {
        tokio::spawn(children.clone().reap_others());
        let setup =
            build_supervisor(guard, plan, &ground, &logs, (watcher, changes_in), terminal_size)
                .map_err(|error| internal("start", error))?;
        let guard_lost = setup.executor.guard_lost();
        let (mut supervisor, handle) = Supervisor::new(setup);
        supervisor.load_notes(ground.notes.clone());
        if front.is_some() {
            supervisor.start_cautiously();
        }
        end_when(&supervisor, guard_lost, |handle, ()| {
            handle.kill("the guard process was killed", ExitCode::FAILED.0);
        });
        end_without_output(&supervisor, &logs, plan.place);
        if let Some(membership) = membership(&ground, &handle) {
            tokio::spawn(membership.keep(supervisor.serves()));
        }
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        // An error means the same.
        let shutdown = async { drop(ended.await) };
        let server = tokio::spawn(control::serve(socket, handle.clone(), shutdown));
        let running_tui = tui.map(|(tui, hold)| tui.show(ground.instance.socket(), hold, &logs));
        let (stack, timeout) = (ground.stack.clone(), plan.starting.timeout);
        let timeline = plan.timeline.take();
        let timeline =
            timeline.map(|target| TimelineTask::begin(target, handle.clone(), stack.clone()));
        let relay = front.map(|front| {
            let services = stack.services.keys().cloned().collect();
            let errors = errors.to_string_lossy().into_owned();
            let shown = timeline.as_ref().map_or_else(|| supervisor.settled(), TimelineTask::shown);
            let settled = once_named(shown, supervisor.serves(), supervisor.names());
            let source = RelaySource { logs: logs.clone(), handle: handle.clone(), settled };
            StartRelay::begin(front, printed, StartupMessage::Begins { services, errors }, source)
        });
        let result = drive(StartedStack { supervisor, handle, stack, timeout, children }).await;
        if let Some(timeline) = timeline {
            timeline.finish().await;
        }
        if let Some(relay) = relay {
            relay.finish(LOG_FLUSH_TIMEOUT).await;
        }
        drop(done);
        if let Some(running_tui) = running_tui {
            running_tui.left().await;
        }
        // Finishes responses in progress; the server limits the time.
        let _ = server.await;
        result
    });
    runtime.shutdown_background();
    logs.finish(LOG_FLUSH_TIMEOUT);
    // `down` waits for the lock, and must not return before this process has exited.
    ground.instance.hold_until_exit();
    outcome
}

/// Ends the stack when its log cannot be written.
fn end_without_output(supervisor: &Supervisor, logs: &StackLog, place: LogTarget) {
    end_when(supervisor, logs.closed(), stop_on_output_error);
    if place == LogTarget::Stdout {
        // Notices a closed reader even if there is nothing to print.
        end_when(supervisor, context::stdout_closed(), |handle, ()| {
            stop_on_output_error(handle, libc::EPIPE);
        });
    }
}

/// Returns what joins the front door once a service of the stack has a name to serve. `None`: none
/// ever has.
fn membership(ground: &StartContext, handle: &SupervisorHandle) -> Option<Membership> {
    let names = ground.names.as_ref()?;
    Some(Membership {
        files: DoorFiles::below(ground.runtime_dir.path()),
        socket: ground.instance.socket().to_owned(),
        port: names.place.port,
        handle: handle.clone(),
    })
}

/// Delays the end of a start in the background until its names are served, as what follows may ask
/// for them at once. Nothing in the stack waits for that.
fn once_named(
    mut settled: watch::Receiver<bool>,
    serves: watch::Receiver<bool>,
    mut names: watch::Receiver<Option<bool>>,
) -> watch::Receiver<bool> {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        // Errors mean that the stack has stopped; then the receiver sees the sender go.
        if settled.wait_for(|settled| *settled).await.is_err() {
            return;
        }
        if *serves.borrow() {
            let _ = tokio::time::timeout(NAMES_LIMIT, names.wait_for(Option::is_some)).await;
        }
        let _ = tell.send(true);
        // Until then, a closed channel would mean that the stack has stopped.
        while names.changed().await.is_ok() {}
    });
    told
}

fn end_when<T>(
    supervisor: &Supervisor,
    event: impl Future<Output = T> + Send + 'static,
    end: impl FnOnce(&ShutdownHandle, T) + Send + 'static,
) {
    let handle = supervisor.shutdown_handle();
    tokio::spawn(async move {
        let what = event.await;
        end(&handle, what);
    });
}

/// The log cannot be written any more. If its reader has closed, the stack stops quietly.
fn stop_on_output_error(handle: &ShutdownHandle, errno: i32) {
    match errno {
        libc::EPIPE | libc::EIO => {
            handle.shut_down("output closed, stopping", ExitCode::OUTPUT_CLOSED.0);
        }
        _ => {
            let why = format!("cannot write output: {}", std::io::Error::from_raw_os_error(errno));
            warn(&format!("error: {why}\n"));
            handle.shut_down(why, ExitCode::FAILED.0);
        }
    }
}

fn build_supervisor(
    guard: GuardHandle,
    plan: &StartOptions,
    ground: &StartContext,
    logs: &StackLog,
    (watcher, watch_reports): (Option<Watcher>, mpsc::UnboundedReceiver<WatchReport>),
    terminal_size: TerminalSizeFn,
) -> std::io::Result<SupervisorSetup> {
    let (run_reports_tx, run_reports) = mpsc::unbounded_channel();
    let (probe_reports_tx, probe_reports) = mpsc::unbounded_channel();
    let (job_reports_tx, job_reports) = mpsc::unbounded_channel();
    let mut processes =
        ProcessManager::new(guard, run_reports_tx, plan.shows_color())?.record_to(&ground.record);
    if let Err(error) = ground.instance.record_token(processes.token()) {
        // As with the process record: only needed after a crash.
        tracing::warn!(%error, "cannot record the token of the stack");
    }
    if plan.on_terminal() {
        processes = processes.with_terminal();
    }
    let mut executor =
        Executor::new(processes, logs.clone(), probe_reports_tx, job_reports_tx, watcher);
    executor.sockets_in(ground.runtime_dir.path().to_owned());
    Ok(SupervisorSetup {
        executor,
        sources: InputSources {
            run_reports,
            probe_reports,
            job_reports,
            watch_reports,
            signals: SignalListener::listen()?,
        },
        logs: logs.clone(),
        stack: ground.stack.clone(),
        selection: ground.selection.clone(),
        reloader: ConfigReloader::new(ground.loader.clone(), ground.config.clone(), plan.follow),
        place: ProjectPlace::new(ground.config.dir(), Arc::new(ground.instance.follower())),
        when_idle: plan.when_idle,
        terminal_size,
        qr: plan.qr,
        start: ground.start.clone(),
    })
}

fn open_logs(plan: &StartOptions, ground: &StartContext) -> StackLog {
    let terminal = plan.on_terminal();
    let style = context::log_style(terminal, plan.shown);
    // The log of a job shows which service printed a line.
    let style = LogStyle { prefix: style.prefix || style.github, ..style };
    let logs = StackLog::open(&ground.state_dir.logs(), style, plan.place.output());
    logs.set_retention(ground.stack.logs);
    logs
}
