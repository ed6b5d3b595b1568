use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::args::Starting;
use super::ground::{Ground, Refused};
use super::log_args::{Form, Shown};
use super::relay::{Relay, Start};
use super::word::Word;
use crate::control;
use crate::error::exit;
use crate::model::Stack;
use crate::runtime::ending::ShutdownHandle;
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::hands::Executor;
use crate::runtime::log::{LogOutput, StackLog};
use crate::runtime::process::{Daemon, GuardHandle, ProcessManager};
use crate::runtime::reload::ConfigReloader;
use crate::runtime::signals::SignalListener;
use crate::runtime::supervisor::{InputSources, Supervisor, SupervisorSetup, TerminalSizeFn};
use crate::runtime::watch::{WatchReport, Watcher};

/// How long the last lines may take to be written if the reader is slow.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Columns of a timestamp at the start of a line.
const STAMP: u16 = 9;

/// What to start and how, for `up` and `run`.
pub(super) struct Plan {
    pub files: Vec<PathBuf>,
    pub starting: Starting,
    pub services: Vec<String>,
    /// Services to start in debug mode, separated by commas; empty: all that have a `debug` entry.
    pub debug: Option<String>,
    pub strict_ports: bool,
    /// Whether to watch files and the configuration.
    pub follow: bool,
    pub shown: Shown,
    /// Whether to show a QR code of the URL on the network.
    pub qr: bool,
    pub place: Place,
    /// Changes every stack before it is used.
    pub adapt: fn(&mut Stack),
    /// Whether to keep running when nothing is left to run, until stopped.
    pub stay: bool,
    /// Whether to ask the user about ports, if there is a terminal.
    pub may_ask: bool,
    /// Exit code if the stack cannot start, but not because of the user's input.
    pub refused: i32,
    /// Detaches into the background once nothing can be asked or refused any more.
    pub back: Option<Daemon>,
}

/// Where the log is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Stdout,
    /// Stdout belongs to the command of `run`.
    Stderr,
    /// Nowhere; clients can read it.
    Background,
}

impl Place {
    pub fn is_terminal(self) -> bool {
        match self {
            Place::Stdout => stdout().is_terminal(),
            Place::Stderr => stderr().is_terminal(),
            Place::Background => false,
        }
    }

    fn shows_color(self) -> bool {
        match self {
            Place::Stdout => super::color(&stdout()),
            Place::Stderr => super::color(&stderr()),
            Place::Background => false,
        }
    }

    /// Returns a function for the terminal's size; in the background, for its last known size.
    fn terminal_size(self) -> TerminalSizeFn {
        match self {
            Place::Stdout => Box::new(|| size_of(stdout())),
            Place::Stderr => Box::new(|| size_of(stderr())),
            Place::Background => {
                let size = size_of(stdout());
                Box::new(move || size)
            }
        }
    }

    fn output(self) -> LogOutput {
        match self {
            Place::Stdout => LogOutput::Stdout,
            Place::Stderr => LogOutput::Stderr,
            Place::Background => LogOutput::None,
        }
    }
}

pub(super) struct Launched {
    pub supervisor: Supervisor,
    pub handle: SupervisorHandle,
    pub stack: Arc<Stack>,
    pub timeout: Option<Duration>,
}

/// Starts a stack and runs it until it stops; returns the exit code.
///
/// The order matters: the guard is forked first, while the process is small and has one thread.
pub(super) fn launch<F>(plan: Plan, drive: impl FnOnce(Launched) -> F) -> i32
where
    F: Future<Output = i32>,
{
    let as_json = plan.shown.output == Form::Json;
    begin(plan, drive).unwrap_or_else(|why| refused(&why, as_json))
}

pub(super) fn refused(why: &Refused, as_json: bool) -> i32 {
    let (text, code) = why.said(as_json);
    let _ = stderr().write_all(text.as_bytes());
    code
}

/// Like [`launch`], but returns why nothing was started. Only once per process, which holds the
/// lock of the directory until it exits.
pub(super) fn begin<F>(mut plan: Plan, drive: impl FnOnce(Launched) -> F) -> Result<i32, Refused>
where
    F: Future<Output = i32>,
{
    let code = plan.refused;
    let internal = |what, error| Refused::internal(what, &error, code);
    let guard = GuardHandle::start().map_err(|error| internal("start the guard process", error))?;
    let (changes, changes_in) = mpsc::unbounded_channel();
    // Before the files are read, so that later changes are not missed.
    let watcher = plan.follow.then(|| Watcher::start(changes));
    let ground = match Ground::take(&plan) {
        Ok(ground) => ground,
        Err(no) => {
            guard.dismiss();
            return Err(no);
        }
    };
    let socket =
        ground.instance.listen().map_err(|error| internal("open the control socket", error))?;
    let runtime = super::lasting_runtime().map_err(|error| internal("start", error))?;
    let logs = open_logs(&plan, &ground);
    // In the background, this is the last chance to query the terminal.
    let terminal_size = plan.place.terminal_size();
    let errors = ground.state_dir.join("background.err");
    let back = plan.back.take().map(|back| back.leave_terminal(&errors)).transpose();
    let front = back.map_err(|error| internal("detach into the background", error))?;
    let outcome = runtime.block_on(async {
        let setup = setup(guard, &plan, &ground, &logs, (watcher, changes_in), terminal_size)
            .map_err(|error| internal("start", error))?;
        let guard_lost = setup.hands.guard_lost();
        let (mut supervisor, handle) = Supervisor::new(setup);
        supervisor.load_notes(ground.notes.clone());
        end_when(&supervisor, guard_lost, |ender, ()| {
            ender.kill("the guard process was killed", exit::FAILED);
        });
        end_when(&supervisor, logs.closed(), end_unheard);
        if plan.place == Place::Stdout {
            // Notices a closed reader even if there is nothing to print.
            end_when(&supervisor, super::stdout_gone(), |ender, ()| {
                end_unheard(ender, libc::EPIPE);
            });
        }
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async {
            // An error means the same.
            let _ = ended.await;
        };
        let server = tokio::spawn(control::serve(socket, handle.clone(), logs.clone(), shutdown));
        let (stack, timeout) = (ground.stack.clone(), plan.starting.timeout);
        let relay = front.map(|front| {
            let services = stack.services.keys().cloned().collect();
            let first = Word::Begins { services, errors: errors.to_string_lossy().into_owned() };
            let (handle, logs, settled) = (handle.clone(), logs.clone(), supervisor.settled());
            Relay::begin(front, first, Start { logs, handle, settled })
        });
        let code = drive(Launched { supervisor, handle, stack, timeout }).await;
        if let Some(relay) = relay {
            relay.finish(LAST_LINES).await;
        }
        drop(done);
        // Finishes responses in progress; the server limits the time.
        let _ = server.await;
        Ok(code)
    });
    runtime.shutdown_background();
    logs.finish(LAST_LINES);
    // `down` waits for the lock, and must not return before this process has exited.
    ground.instance.hold_until_exit();
    outcome
}

fn end_when<T>(
    supervisor: &Supervisor,
    event: impl Future<Output = T> + Send + 'static,
    end: impl FnOnce(&ShutdownHandle, T) + Send + 'static,
) {
    let ender = supervisor.ender();
    tokio::spawn(async move {
        let what = event.await;
        end(&ender, what);
    });
}

/// The log cannot be written any more. If its reader has closed, the stack stops quietly.
fn end_unheard(ender: &ShutdownHandle, errno: i32) {
    match errno {
        libc::EPIPE | libc::EIO => {
            ender.shut_down("output closed, stopping", exit::OUTPUT_CLOSED);
        }
        _ => {
            let why = format!("cannot write output: {}", std::io::Error::from_raw_os_error(errno));
            // If stderr cannot be written, the exit code still reports the error.
            let _ = writeln!(stderr(), "error: {why}");
            ender.shut_down(why, exit::FAILED);
        }
    }
}

fn setup(
    guard: GuardHandle,
    plan: &Plan,
    ground: &Ground,
    logs: &StackLog,
    (watcher, changes): (Option<Watcher>, mpsc::UnboundedReceiver<WatchReport>),
    terminal_size: TerminalSizeFn,
) -> std::io::Result<SupervisorSetup> {
    let (facts, facts_in) = mpsc::unbounded_channel();
    let (reports, reports_in) = mpsc::unbounded_channel();
    let (done, done_in) = mpsc::unbounded_channel();
    let mut processes =
        ProcessManager::new(guard, facts, shows_color(plan))?.record_to(&ground.record);
    if let Err(error) = ground.instance.record_token(processes.token()) {
        // As with the process record: only needed after a crash.
        tracing::warn!(%error, "cannot record the token of the stack");
    }
    if on_terminal(plan) {
        processes = processes.with_terminal();
    }
    if on_terminal(plan)
        && let Some((rows, columns)) = terminal_size()
    {
        processes.resize(rows, columns);
    }
    let mut hands = Executor::new(processes, logs.clone(), reports, done, watcher);
    hands.sockets_in(ground.runtime_dir.clone());
    Ok(SupervisorSetup {
        hands,
        senses: InputSources {
            facts: facts_in,
            reports: reports_in,
            done: done_in,
            changes,
            signals: SignalListener::listen()?,
        },
        logs: logs.clone(),
        stack: ground.stack.clone(),
        selection: ground.selection.clone(),
        reloader: ConfigReloader::new(ground.loader.clone(), ground.draft.clone(), plan.follow),
        stay: plan.stay,
        terminal_size,
        qr: plan.qr.then_some(if plan.shown.timestamps { STAMP } else { 0 }),
    })
}

fn open_logs(plan: &Plan, ground: &Ground) -> StackLog {
    let terminal = on_terminal(plan);
    let look = super::look(terminal, plan.shown);
    let logs = StackLog::open(&ground.state_dir.join("logs"), look, plan.place.output());
    logs.set_retention(ground.stack.logs);
    logs
}

/// Returns whether the log goes to a terminal, so that services may write as to a terminal.
pub(super) fn on_terminal(plan: &Plan) -> bool {
    plan.shown.output != Form::Json && plan.place.is_terminal()
}

fn size_of(output: impl std::os::fd::AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    Some((size.ws_row, size.ws_col))
}

fn shows_color(plan: &Plan) -> bool {
    plan.shown.output != Form::Json && plan.place.shows_color()
}
