//! The supervisor's loop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::actions::ActionNews;
use super::clock::Clock;
use super::executor::{Executor, JobReport};
use super::feed::EventFeed;
use super::port_loss::PortVerdict;
use super::project_place::ProjectPlace;
use super::reload::{ConfigReloader, PreviewResult, ReloadOutcome, ReloadTask};
use super::shutdown_request::{ShutdownHandle, ShutdownRequest};
use super::signal_listener::{SignalAction, SignalListener};
use super::status::{LogTail, StatusQueue};
use super::supervisor_handle::{RequestResult, SupervisorHandle, SupervisorRequest};
use crate::engine::{Effect, Engine, EngineTime, Input, Selection, Ticket, WhenIdle};
use crate::log::StackLog;
use crate::model::{
    BindHints, LabelColor, Message, Name, Plan, Snapshot, Stack, StackState, StartView, WatchId,
};
use crate::probe::ProbeReport;
use crate::process::RunReport;
use crate::watch::WatchReport;

/// If a deadline is missed by this much, devstack itself was not running: it was stopped (Ctrl-Z)
/// or the machine slept. That time does not count towards deadlines.
const SLEEP_THRESHOLD: Duration = Duration::from_secs(2);

/// The loop wakes this often while there is a deadline, to notice how long it did not run. Without
/// one it sleeps until something happens.
const HEARTBEAT: Duration = Duration::from_secs(1);

pub(crate) use super::mode_switch::no_debug_entry;

/// What a supervisor starts with.
pub struct SupervisorSetup {
    /// Holds processes, probes and the watcher.
    pub executor: Executor,
    /// Channels with reports of the executor.
    pub sources: InputSources,
    pub logs: StackLog,
    /// The initial stack.
    pub stack: Arc<Stack>,
    /// What `up` was asked to start.
    pub selection: Option<Selection>,
    /// Reloads the configuration and reassigns ports.
    pub reloader: ConfigReloader,
    /// Follows the project directory when it is moved.
    pub place: ProjectPlace,
    /// What happens when no service runs.
    pub when_idle: WhenIdle,
    /// Size of devstack's terminal, if there is one.
    pub terminal_size: TerminalSizeFn,
    /// Shows a QR code after the start.
    pub qr: bool,
    /// How the stack is started, for clients.
    pub start: StartView,
}

/// Returns the current rows and columns of a terminal.
pub type TerminalSizeFn = Box<dyn Fn() -> Option<(u16, u16)>>;

/// Channels where reports arrive.
pub struct InputSources {
    pub run_reports: mpsc::UnboundedReceiver<RunReport>,
    pub probe_reports: mpsc::UnboundedReceiver<ProbeReport>,
    /// Results of watch commands.
    pub job_reports: mpsc::UnboundedReceiver<JobReport>,
    /// Reports of the watcher.
    pub watch_reports: mpsc::UnboundedReceiver<WatchReport>,
    /// Signals to devstack itself.
    pub signals: SignalListener,
}

/// The loop: turns reports and requests into inputs, lets the engine decide, and carries out its
/// effects.
pub struct Supervisor {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) executor: Executor,
    pub(super) sources: InputSources,
    pub(super) logs: StackLog,
    pub(super) status: StatusQueue,
    pub(super) feed: EventFeed,
    /// The initial stack; the engine has the current one.
    pub(super) first_stack: Arc<Stack>,
    pub(super) reloader: ConfigReloader,
    pub(super) place: ProjectPlace,
    /// Changed files of services, seen while changed configuration files are read.
    pub(super) awaiting_reload: BTreeMap<WatchId, PathBuf>,
    /// How the servers behind scripts of `package.json` take their ports, as of the last start.
    pub(super) script_hints: BTreeMap<Name, BindHints>,
    /// Notes of the last configuration load.
    pub(super) notes: Vec<Message>,
    /// Mode requests that wait for their stack.
    pub(super) switches: Vec<super::mode_switch::ModeSwitch>,
    /// Whether the last configuration read was invalid.
    pub(super) broken: bool,
    /// What edits would change that are not applied with `live = false`.
    pub(super) unapplied: Plan,
    pub(super) previewed:
        (mpsc::UnboundedSender<PendingPreview>, mpsc::UnboundedReceiver<PendingPreview>),
    reloaded: (mpsc::UnboundedSender<ReloadOutcome>, mpsc::UnboundedReceiver<ReloadOutcome>),
    pub(super) port_reports:
        (mpsc::UnboundedSender<PortVerdict>, mpsc::UnboundedReceiver<PortVerdict>),
    /// What was found out off the loop.
    pub(super) found: (mpsc::UnboundedSender<Input>, mpsc::UnboundedReceiver<Input>),
    requests: mpsc::UnboundedReceiver<SupervisorRequest>,
    pub(super) waiting: BTreeMap<Ticket, oneshot::Sender<RequestResult>>,
    /// Requests for the end of the stack, with the answer of the engine.
    pub(super) end_requests: BTreeMap<Ticket, Option<RequestResult>>,
    tickets: u64,
    pub(super) interrupts: u32,
    /// When the loop last ran.
    last_step: EngineTime,
    /// The current snapshot, if it was requested since the last change.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) state: watch::Sender<StackState>,
    /// Whether everything requested has been ready, done or failed once.
    pub(super) settled: bool,
    /// Whether the user sees only status lines until then.
    pub(super) output_unseen: bool,
    pub(super) start_done: watch::Sender<bool>,
    /// Whether a service with a name has been ready or asleep.
    pub(super) serves: watch::Sender<bool>,
    /// Whether the names of services are served; `None`: not tried yet.
    pub(super) names: watch::Sender<Option<bool>>,
    pub(super) terminal_size: TerminalSizeFn,
    pub(super) qr: bool,
    pub(super) start: StartView,
    shutdown_handle: ShutdownHandle,
    shutdown_requests: mpsc::UnboundedReceiver<ShutdownRequest>,
    pub(super) exit_code: Option<i32>,
}

/// The result of a preview, and where to send it.
type PendingPreview = (PreviewResult, super::configuration::PlanReply);

/// What woke the loop.
pub(super) enum WakeReason {
    RunReport(RunReport),
    ProbeReport(ProbeReport),
    JobReport(JobReport),
    ActionEnded(ActionNews),
    WatchReport(WatchReport),
    Request(SupervisorRequest),
    PortVerdict(PortVerdict),
    Found(Input),
    Reloaded(ReloadOutcome),
    Previewed(PreviewResult, super::configuration::PlanReply),
    Signal(SignalAction),
    Shutdown(ShutdownRequest),
    LogTail(LogTail),
    LogTrouble,
    Deadline,
}

impl Supervisor {
    /// Creates a supervisor, and the handle to reach it.
    pub fn new(setup: SupervisorSetup) -> (Supervisor, SupervisorHandle) {
        let clock = Clock::start();
        let (requests_tx, requests) = mpsc::unbounded_channel();
        let (shutdown_handle, shutdown_requests) = ShutdownHandle::new();
        let (state, _) = watch::channel(StackState::Starting);
        let feed = EventFeed::new();
        let handle = SupervisorHandle::new(requests_tx, setup.logs.clone(), feed.subscribe())
            .printing_into(setup.executor.output_files());
        let supervisor = Supervisor {
            engine: Engine::new(setup.selection, setup.when_idle),
            clock,
            executor: setup.executor,
            sources: setup.sources,
            status: StatusQueue::new(setup.logs.clone()),
            logs: setup.logs,
            feed,
            first_stack: setup.stack,
            reloader: setup.reloader,
            place: setup.place,
            terminal_size: setup.terminal_size,
            qr: setup.qr,
            start: setup.start,
            awaiting_reload: BTreeMap::new(),
            script_hints: BTreeMap::new(),
            notes: Vec::new(),
            switches: Vec::new(),
            broken: false,
            unapplied: Plan::default(),
            previewed: mpsc::unbounded_channel(),
            reloaded: mpsc::unbounded_channel(),
            port_reports: mpsc::unbounded_channel(),
            found: mpsc::unbounded_channel(),
            requests,
            waiting: BTreeMap::new(),
            end_requests: BTreeMap::new(),
            tickets: 0,
            interrupts: 0,
            last_step: EngineTime::ZERO,
            snapshot: None,
            state,
            settled: false,
            output_unseen: false,
            start_done: watch::Sender::new(false),
            serves: watch::Sender::new(false),
            names: watch::Sender::new(None),
            shutdown_handle,
            shutdown_requests,
            exit_code: None,
        };
        (supervisor, handle)
    }

    /// Subscribes to the state of the stack as a whole.
    pub fn state(&self) -> watch::Receiver<StackState> {
        self.state.subscribe()
    }

    /// Subscribes to the end of the start: everything requested is ready or done, or has failed.
    pub fn settled(&self) -> watch::Receiver<bool> {
        self.start_done.subscribe()
    }

    /// Subscribes to the first service with a name that is ready or asleep.
    pub fn serves(&self) -> watch::Receiver<bool> {
        self.serves.subscribe()
    }

    /// Subscribes to whether names are served; `None`: not tried yet.
    pub fn names(&self) -> watch::Receiver<Option<bool>> {
        self.names.subscribe()
    }

    /// Lets the start be over only once services have had time to crash, and shows what they print
    /// then: for a start whose result is not corrected later, and whose output is not seen.
    pub fn start_cautiously(&mut self) {
        self.engine.start_cautiously();
        self.output_unseen = true;
    }

    /// Returns a handle to shut the stack down.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown_handle.clone()
    }

    /// Waits for whatever comes first. The arms only produce a value.
    pub(super) async fn wake(&mut self) -> WakeReason {
        let deadline = self.next_wake().map(|at| self.clock.instant(at));
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            called = self.sources.signals.next() => WakeReason::Signal(called),
            Some(report) = self.sources.run_reports.recv() => WakeReason::RunReport(report),
            Some(request) = self.requests.recv() => WakeReason::Request(request),
            Some(report) = self.port_reports.1.recv() => WakeReason::PortVerdict(report),
            Some(found) = self.found.1.recv() => WakeReason::Found(found),
            Some(report) = self.sources.probe_reports.recv() => WakeReason::ProbeReport(report),
            Some(report) = self.sources.job_reports.recv() => WakeReason::JobReport(report),
            ended = self.executor.actions.next_end() => WakeReason::ActionEnded(ended),
            Some(report) = self.sources.watch_reports.recv() => WakeReason::WatchReport(report),
            Some(reloaded) = self.reloaded.1.recv() => WakeReason::Reloaded(reloaded),
            Some((found, tell)) = self.previewed.1.recv() => WakeReason::Previewed(found, tell),
            Some(request) = self.shutdown_requests.recv() => WakeReason::Shutdown(request),
            tail = self.status.next_tail() => WakeReason::LogTail(tail),
            () = self.logs.has_warnings() => WakeReason::LogTrouble,
            () = sleep => WakeReason::Deadline,
        }
    }

    /// Returns when to wake at the latest.
    fn next_wake(&self) -> Option<EngineTime> {
        self.engine.next_deadline().map(|at| at.min(self.last_step + HEARTBEAT))
    }

    /// Returns what has already arrived.
    pub(super) fn try_wake(&mut self) -> Option<WakeReason> {
        if let Ok(report) = self.sources.run_reports.try_recv() {
            return Some(WakeReason::RunReport(report));
        }
        if let Ok(report) = self.port_reports.1.try_recv() {
            return Some(WakeReason::PortVerdict(report));
        }
        if let Ok(report) = self.sources.probe_reports.try_recv() {
            return Some(WakeReason::ProbeReport(report));
        }
        None
    }

    /// Steps the engine, publishes the new state, then carries out the effects.
    pub(super) fn step_engine(&mut self, mut inputs: Vec<Input>) {
        let now = self.clock.now();
        let late = self.next_wake().and_then(|at| now.checked_sub(at));
        if let Some(late) = late.filter(|late| *late > SLEEP_THRESHOLD) {
            inputs.insert(0, Input::TimeSkipped(late));
        }
        self.last_step = now;
        // These have no effects, but matter in a snapshot of a service that is not ready.
        let failing = inputs.iter().any(|input| {
            matches!(
                input,
                Input::ProbeFailed(..) | Input::ListeningOn(..) | Input::ListenWarnings(..)
            )
        });
        let effects = self.engine.step(now, inputs);
        self.executor.keep_doors(self.engine.doors(), &self.found.0);
        if !effects.is_empty() || failing {
            self.publish(now, &effects);
            if self.executor.passes() {
                // Before anything starts: a port may move from one service to another.
                self.executor.close_other_listeners(self.engine.expected_services());
            }
            self.inspect_ports(&effects);
            effects.into_iter().for_each(|effect| self.execute(effect));
        }
        self.start_due_reload();
    }

    /// Starts the next reload task, if one is due.
    fn start_due_reload(&mut self) {
        if self.reloader.takes_release() {
            let leaving = self.engine.ports_in_use();
            let stack = self.engine.stack().unwrap_or(&self.first_stack);
            return self.reloader.release_unused(stack, leaving, &self.reloaded.0);
        }
        let Some(task) = self.reloader.due().filter(|_| !self.engine.is_ending()) else { return };
        let present = match task {
            ReloadTask::Read | ReloadTask::Place => self.reload_baseline(),
            ReloadTask::Switch => self.present_switched(),
        };
        let stack = self.engine.stack().unwrap_or(&self.first_stack);
        self.reloader.start(task, stack, present, &self.reloaded.0);
    }

    /// Carries out an effect.
    fn execute(&mut self, effect: Effect) {
        match effect {
            // All of a step are inspected together.
            Effect::InspectPorts { .. } => {}
            Effect::Spawn(run, service) => {
                let stack = self.stack().clone();
                self.executor.spawn(run, &service, &stack);
                if service.reloads_itself() {
                    let stack = self.stack().clone();
                    self.executor.watch_again(&stack);
                }
            }
            Effect::Stop(run, stop) => self.executor.stop(run, &stop),
            Effect::StartHealthProbes(run, service) => self.executor.watch_health(run, &service),
            Effect::Kill(run) => self.executor.kill(run),
            Effect::InspectSurvivors(tree) => self.inspect_survivors(tree),
            Effect::Signal(run, signal) => self.executor.signal(run, signal),
            Effect::StartJob(job, service, run, command) => {
                self.executor.start_job(job, &service, run, &command);
            }
            Effect::StopJob(job) => self.executor.stop_job(job),
            Effect::KillJob(job) => self.executor.kill_job(job),
            Effect::AwaitDebugger(run, service) => self.executor.await_debugger(run, &service),
            Effect::StartReadyProbes(run, service) => self.executor.start_probes(run, &service),
            Effect::Emit(event) => self.on_event(event),
            Effect::Answer(ticket, answer) => {
                let answer = answer.map_err(|error| error.message());
                if let Some(held) = self.end_requests.get_mut(&ticket) {
                    *held = Some(answer);
                } else if let Some(tell) = self.waiting.remove(&ticket) {
                    // The client may have left.
                    let _ = tell.send(answer);
                }
            }
            Effect::InvestigateExit(run, service) => self.investigate_exit(run, service),
            Effect::ReassignPorts(name) => self.reloader.reassign(name),
            Effect::Exit(code) => self.exit_code = Some(code),
        }
    }

    /// Returns the current stack.
    pub(super) fn stack(&self) -> &Arc<Stack> {
        self.engine.stack().unwrap_or(&self.first_stack)
    }

    pub(super) fn ticket(&mut self, tell: oneshot::Sender<RequestResult>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket, tell);
        ticket
    }
}

pub(super) fn colors(stack: &Stack) -> Vec<(Name, Option<LabelColor>)> {
    stack.services.iter().map(|(name, service)| (name.clone(), service.color)).collect()
}
