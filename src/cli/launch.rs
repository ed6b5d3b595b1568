use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::args::Starting;
use super::up::selection;
use crate::config::{self, Overrides, Sources};
use crate::control::{self, Instance};
use crate::engine::Selection;
use crate::error::{exit, shown};
use crate::model::{Class, Message, Stack};
use crate::ports::Ports;
use crate::runtime::handle::Handle;
use crate::runtime::hands::Hands;
use crate::runtime::log::{Logs, Output};
use crate::runtime::process::{Guard, Processes};
use crate::runtime::reload::{Loader, Reloaded, Reloader};
use crate::runtime::signals::Signals;
use crate::runtime::supervisor::{Senses, Setup, Supervisor};
use crate::runtime::watch::{Change, Watcher};

/// How long the last lines may take to be shown when the reader of the output is slow.
const LAST_LINES: Duration = Duration::from_secs(5);

/// How long a load may take before Ctrl-C is heard again: what `up` and `run` have in common.
pub(super) struct Plan {
    pub files: Vec<PathBuf>,
    pub starting: Starting,
    pub services: Vec<String>,
    pub strict_ports: bool,
    /// Follow files and the configuration.
    pub follow: bool,
    pub timestamps: bool,
    /// The log goes to stderr, because stdout belongs to somebody else.
    pub to_stderr: bool,
    /// Changes every stack before it is used.
    pub adapt: fn(&mut Stack),
    /// Goes on when nothing runs any more, until it is told to end.
    pub stay: bool,
    /// The exit code when the stack cannot be started though nobody made a mistake.
    pub refused: i32,
}

/// A stack that is about to run.
pub(super) struct Launched {
    pub supervisor: Supervisor,
    pub handle: Handle,
    pub stack: Arc<Stack>,
    pub timeout: Option<Duration>,
}

/// Why nothing was started: the text for stderr and the exit code.
struct Refused(String, i32);

impl Refused {
    fn because(message: &Message, code: i32) -> Refused {
        Refused(shown(message), code)
    }
}

/// Starts a stack and drives it to its end; the exit code.
///
/// The order matters: the guard is forked first, while the process is small and has one thread.
pub(super) fn launch<F>(plan: Plan, drive: impl FnOnce(Launched) -> F) -> i32
where
    F: Future<Output = i32>,
{
    match begin(plan, drive) {
        Ok(code) => code,
        Err(Refused(text, code)) => {
            // When not even this can be written, the exit code has to say it.
            let _ = stderr().write_all(text.as_bytes());
            code
        }
    }
}

fn begin<F>(plan: Plan, drive: impl FnOnce(Launched) -> F) -> Result<i32, Refused>
where
    F: Future<Output = i32>,
{
    let internal = |what: &str, error: std::io::Error| {
        let message = Message::new(Class::Limit, format!("cannot {what}: {error}"))
            .help("this machine may be out of processes, memory or file descriptors");
        Refused::because(&message, plan.refused)
    };
    let guard = Guard::start().map_err(|error| internal("start the guard process", error))?;
    let (changes, changes_in) = mpsc::unbounded_channel();
    // Before the files are read: what is saved from now on is a change.
    let watcher = plan.follow.then(|| Watcher::start(changes));
    let draft = config::load(&sources(&plan)?)
        .map_err(|wrong| Refused(wrong.render(super::color(&stderr())), exit::USAGE))?;
    let instance = Instance::claim(draft.dir(), draft.name())
        .map_err(|error| Refused::because(&error.message(), error.exit_code()))?;
    let state_dir = control::state_dir(draft.dir())
        .map_err(|message| Refused::because(&message, plan.refused))?;
    let leases = control::runtime_dir()
        .map_err(|message| Refused::because(&message, plan.refused))?
        .join("ports");
    let ports = Ports::open(&leases, &state_dir.join("ports.json"), draft.dir());
    // Held to the end: its leases keep the ports of this stack from others.
    let ports = Arc::new(Mutex::new(ports));
    let loader = Loader {
        sources: sources(&plan)?,
        ports: ports.clone(),
        color: super::color(&stderr()),
        adapt: plan.adapt,
    };
    let (stack, notes) = match loader.choose(&draft, &BTreeMap::new()) {
        Reloaded::Stack(stack, notes) => (stack, notes),
        Reloaded::Broken { text, .. } => return Err(Refused(text, plan.refused)),
    };
    let selection = selection(&stack, &plan.services, plan.starting.no_deps)
        .map_err(|message| Refused::because(&message, exit::NOT_RUNNING))?;
    let socket = instance.listen().map_err(|error| internal("open the control socket", error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| internal("start", error))?;
    let logs = open_logs(&plan, &state_dir);
    let outcome = runtime.block_on(async {
        let setup =
            setup(guard, &plan, loader, &logs, stack.clone(), selection, (watcher, changes_in))
                .map_err(|error| internal("start", error))?;
        let guard_lost = setup.hands.guard_lost();
        let (mut supervisor, handle) = Supervisor::new(setup);
        supervisor.notes(notes);
        let ender = supervisor.ender();
        tokio::spawn(async move {
            guard_lost.await;
            ender.kill("the guard process was killed", exit::FAILED);
        });
        let closing = logs.closed();
        let ender = supervisor.ender();
        tokio::spawn(async move {
            closing.await;
            ender.end("nobody reads the output any more", 141);
        });
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async {
            // An error means the same.
            let _ = ended.await;
        };
        let server = tokio::spawn(control::serve(socket, handle.clone(), logs.clone(), shutdown));
        let timeout = plan.starting.timeout;
        let launched = Launched { supervisor, handle, stack, timeout };
        let code = drive(launched).await;
        drop(done);
        // Answers that are under way are finished; the server bounds that itself.
        let _ = server.await;
        Ok(code)
    });
    runtime.shutdown_background();
    logs.finish(LAST_LINES);
    drop(ports);
    drop(instance);
    outcome
}

fn setup(
    guard: Guard,
    plan: &Plan,
    loader: Loader,
    logs: &Logs,
    stack: Arc<Stack>,
    selection: Option<Selection>,
    watching: (Option<Watcher>, mpsc::UnboundedReceiver<Change>),
) -> std::io::Result<Setup> {
    let (facts, facts_in) = mpsc::unbounded_channel();
    let (reports, reports_in) = mpsc::unbounded_channel();
    let (watcher, changes) = watching;
    let processes = Processes::new(guard, facts, shows_color(plan))?;
    Ok(Setup {
        hands: Hands::new(processes, logs.clone(), reports, watcher),
        senses: Senses {
            facts: facts_in,
            reports: reports_in,
            changes,
            signals: Signals::listen()?,
        },
        logs: logs.clone(),
        stack,
        selection,
        reloader: plan.follow.then(|| Reloader::new(loader)),
        stay: plan.stay,
    })
}

fn open_logs(plan: &Plan, state_dir: &std::path::Path) -> Logs {
    let terminal = if plan.to_stderr { stderr().is_terminal() } else { stdout().is_terminal() };
    let mut look = super::look(terminal);
    look.timestamps = plan.timestamps;
    let output = if plan.to_stderr { Output::Stderr } else { Output::Stdout };
    Logs::open(&state_dir.join("logs"), look, output)
}

fn shows_color(plan: &Plan) -> bool {
    if plan.to_stderr { super::color(&stderr()) } else { super::color(&stdout()) }
}

fn sources(plan: &Plan) -> Result<Sources, Refused> {
    super::sources(
        plan.files.clone(),
        Overrides {
            ports: plan.starting.ports.clone(),
            strict_ports: plan.strict_ports,
            host: plan.starting.host.clone(),
            profiles: plan.starting.profiles.clone(),
        },
    )
    .map_err(|message| Refused::because(&message, exit::USAGE))
}
