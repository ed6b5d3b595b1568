//! Carries out the engine's effects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use regex::bytes::Regex;
use tokio::sync::{mpsc, oneshot};

use super::job_runner::{JobReport, JobRunner};
use super::listen_scan::ListenScan;
use super::passed_listeners::PassedListeners;
use super::probe_setup::probe_context;
use super::usage_meter::MeteredRun;
use crate::engine::JobId;
use crate::log::{LogCapture, StackLog};
use crate::model::{
    CommandLine, LaunchConfig, Message, MessageClass, Name, OutputStream, Probe, ProcessExit,
    RunId, RunMode, Service, Stack, StopConfig, WatchId,
};
use crate::probe;
use crate::probe::{NotifySocket, ProbeFinding, ProbeHandle, ProbeReport};
use crate::process::{BoxFuture, InheritedEnv, OutputSink, ProcessManager, RunHandle};
use crate::terminal::{Attachment, ClientScreen, RunOutputSink, ServiceTerminal};
use crate::watch::Watcher;

/// Holds live runs and carries out effects without waiting; what comes of them arrives as reports.
pub struct Executor {
    processes: Arc<ProcessManager>,
    logs: StackLog,
    reports: mpsc::UnboundedSender<ProbeReport>,
    watcher: Option<Watcher>,
    runs: BTreeMap<RunId, ActiveRun>,
    survey: ListenScan,
    jobs: JobRunner,
    sockets: Option<NotifySocketDir>,
    passing: PassedListeners,
    consoles: BTreeMap<Name, Arc<ServiceTerminal>>,
}

/// The directory of notify sockets.
struct NotifySocketDir {
    dir: PathBuf,
    /// Whether leftover sockets have been removed.
    cleared: bool,
}

impl NotifySocketDir {
    fn open(&mut self, run: RunId) -> Result<NotifySocket, String> {
        if !std::mem::replace(&mut self.cleared, true) {
            NotifySocket::remove_stale(&self.dir);
        }
        NotifySocket::open(&self.dir, run)
            .map_err(|error| format!("{}: {error}", self.dir.display()))
    }
}

/// What is kept of a live run.
struct ActiveRun {
    name: Name,
    /// The assigned main port.
    port: Option<u16>,
    leash: RunHandle,
    launch: LaunchConfig,
    began: Instant,
    /// One per log probe, created before the process so that no line is missed; `None`: already
    /// taken.
    lines: Option<Vec<oneshot::Receiver<String>>>,
    /// For `READY=1`.
    notice: Option<NotifySocket>,
    probing: Option<ProbeHandle>,
    debugger: Option<ProbeHandle>,
    health: Option<ProbeHandle>,
}

impl ActiveRun {
    /// Returns the receivers of log and notify probes, in their order.
    fn probe_receivers(
        &mut self,
        probes: &[Probe],
        lines: Vec<oneshot::Receiver<String>>,
    ) -> Vec<oneshot::Receiver<String>> {
        let mut lines = lines.into_iter();
        let mut waits = Vec::new();
        for probe in probes {
            match probe {
                Probe::Log { .. } => waits.extend(lines.next()),
                Probe::Notify => waits.push(self.listen()),
                Probe::Tcp { .. }
                | Probe::Http { .. }
                | Probe::Exec { .. }
                | Probe::Delay { .. } => {}
            }
        }
        waits
    }

    /// Without a socket the receiver fails at once.
    fn listen(&mut self) -> oneshot::Receiver<String> {
        let leash = self.leash.clone();
        match &mut self.notice {
            Some(notice) => notice.listen(move || leash.tree_pids()),
            None => oneshot::channel().1,
        }
    }
}

impl Executor {
    /// Creates an executor without runs. `watcher`: `None` when no files are watched.
    pub fn new(
        processes: ProcessManager,
        logs: StackLog,
        reports: mpsc::UnboundedSender<ProbeReport>,
        done: mpsc::UnboundedSender<JobReport>,
        watcher: Option<Watcher>,
    ) -> Executor {
        let (runs, processes) = (BTreeMap::new(), Arc::new(processes));
        let survey = ListenScan::new(reports.clone());
        let jobs = JobRunner::new(processes.clone(), done);
        let passing = PassedListeners::default();
        let (sockets, consoles) = (None, BTreeMap::new());
        Executor {
            processes,
            logs,
            reports,
            watcher,
            runs,
            survey,
            jobs,
            sockets,
            passing,
            consoles,
        }
    }

    /// Sets the directory of notify sockets: private, and with a short path.
    pub fn sockets_in(&mut self, dir: PathBuf) {
        self.sockets = Some(NotifySocketDir { dir, cleared: false });
    }

    /// Files saved from now on count as changed: the first runs are about to start.
    pub(crate) fn set_watch_baseline(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.set_baseline();
        }
    }

    pub(crate) fn spawn(&mut self, run: RunId, service: &Service) {
        let (capture, lines) = self.logs.capture(&service.name, run, patterns(service));
        let mut launch = service.launch.clone();
        let notice = self.open_notify_socket(run, service);
        if let Some(notice) = &notice {
            let path = notice.path().to_string_lossy().into_owned();
            launch.env.insert(probe::NOTIFY_SOCKET.to_owned(), path);
        }
        let console = self.console(&service.name);
        let output = RunOutputSink::new(capture, run, console, no_terminal(service));
        if let Some(message) = self.passing.shell_warning(service) {
            // Without a receiver the stack is shutting down.
            let _ = self.reports.send(ProbeReport { run, what: ProbeFinding::Note(message) });
        }
        let leash = match self.passing.listen_fds(service) {
            Ok(handed) => self.processes.spawn_with(run, &launch, service.tty, handed, output),
            Err(why) => self.processes.spawn_refused(run, why, output),
        };
        let (name, lines) = (service.name.clone(), Some(lines));
        let port = service.port().map(|port| port.number);
        let held = ActiveRun {
            name,
            port,
            leash,
            launch,
            began: Instant::now(),
            lines,
            notice,
            probing: None,
            debugger: None,
            health: None,
        };
        self.runs.insert(run, held);
    }

    /// The services with held listening sockets.
    pub(crate) fn passing(&self) -> BTreeSet<Name> {
        self.passing.services()
    }

    pub(crate) fn passes(&self) -> bool {
        !self.passing.is_empty()
    }

    /// Closes listening sockets that none of these services uses.
    pub(crate) fn close_other_listeners<'a>(
        &mut self,
        services: impl Iterator<Item = &'a Arc<Service>>,
    ) {
        self.passing.retain(services);
    }

    /// Opens the socket for a service with a notify probe.
    fn open_notify_socket(&mut self, run: RunId, service: &Service) -> Option<NotifySocket> {
        if !service.ready.probes.contains(&Probe::Notify) {
            return None;
        }
        let opened = match &mut self.sockets {
            Some(sockets) => sockets.open(run),
            None => Err("no directory for it".to_owned()),
        };
        match opened {
            Ok(notice) => Some(notice),
            Err(why) => {
                let text = format!("cannot create the READY=1 socket: {why}");
                let help = "make sure the directory exists, is yours and is not full, or use another probe";
                let message = Message::new(MessageClass::Limit, text).help(help);
                // Without a receiver the stack is shutting down.
                let _ = self.reports.send(ProbeReport { run, what: ProbeFinding::Note(message) });
                None
            }
        }
    }

    /// Stops a run with its signal or command. Output of the command goes to the service's log.
    pub(crate) fn stop(&self, run: RunId, stop: &StopConfig) {
        let Some(held) = self.runs.get(&run) else { return };
        let Some(command) = &stop.command else { return held.leash.stop(stop.signal) };
        let launch = LaunchConfig { command: command.clone(), ..held.launch.clone() };
        let (capture, _) = self.logs.capture(&held.name, run, Vec::new());
        let reports = self.reports.clone();
        let tell = move |message| {
            // Without a receiver the stack is shutting down.
            let _ = reports.send(ProbeReport { run, what: ProbeFinding::Note(message) });
        };
        self.processes.stop_with_command(
            &held.leash,
            &launch,
            stop.signal,
            CaptureSink(capture),
            tell,
        );
    }

    pub(crate) fn kill(&self, run: RunId) {
        if let Some(held) = self.runs.get(&run) {
            held.leash.kill();
        }
    }

    /// Starts readiness probes. If they were running before, `service` has changed.
    pub(crate) fn start_probes(&mut self, run: RunId, service: &Service) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        let lines = held.lines.take();
        let lines =
            lines.unwrap_or_else(|| self.logs.await_lines(&service.name, run, patterns(service)));
        let waits = held.probe_receivers(&service.ready.probes, lines);
        let sight = probe_context(&held.leash, service, &self.processes).exclusive();
        let reports = self.reports.clone();
        held.probing =
            Some(probe::start_readiness(run, &service.ready, &held.launch, sight, waits, reports));
    }

    /// Starts to check whether the debugger of a run is listening.
    pub(crate) fn await_debugger(&mut self, run: RunId, service: &Service) {
        let RunMode::Debug(debugging) = service.mode else { return };
        let Some(held) = self.runs.get_mut(&run) else { return };
        let sight = probe_context(&held.leash, service, &self.processes);
        let (interval, reports) = (service.ready.interval, self.reports.clone());
        held.debugger =
            Some(probe::start_debugger_probe(run, debugging.port, interval, sight, reports));
    }

    /// Starts the health probes of a ready run, or restarts them after a change.
    pub(crate) fn watch_health(&mut self, run: RunId, service: &Service) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        held.health = service.health.as_ref().map(|health| {
            let sight = probe_context(&held.leash, service, &self.processes);
            let reports = self.reports.clone();
            probe::start_health(run, health, &held.launch, sight, reports)
        });
    }

    /// Schedules a scan of where a run listens that became ready.
    pub(crate) fn scan_listeners(&self, run: RunId) {
        if let Some(held) = self.runs.get(&run) {
            self.survey.add(run, held.leash.tree_fn(), held.port);
        }
    }

    pub(crate) fn signal(&self, run: RunId, signal: i32) {
        if let Some(held) = self.runs.get(&run) {
            held.leash.signal(signal);
        }
    }

    /// Runs a watch command of a service. Its output goes to the service's log.
    pub(crate) fn start_job(
        &mut self,
        job: JobId,
        service: &Service,
        run: Option<RunId>,
        command: &CommandLine,
    ) {
        let (capture, _) = self.logs.capture(&service.name, run.unwrap_or(RunId(0)), Vec::new());
        let launch = LaunchConfig { command: command.clone(), ..service.launch.clone() };
        self.jobs.start(job, &launch, CaptureSink(capture));
    }

    pub(crate) fn stop_job(&self, job: JobId) {
        self.jobs.stop(job);
    }

    pub(crate) fn kill_job(&self, job: JobId) {
        self.jobs.kill(job);
    }

    pub(crate) fn forget_job(&mut self, job: JobId) {
        self.jobs.remove(job);
    }

    /// Stops all probes of a run with an exited main process.
    pub(crate) fn stop_probing(&mut self, run: RunId) {
        if let Some(held) = self.runs.get_mut(&run) {
            held.probing = None;
            held.debugger = None;
            held.health = None;
        }
    }

    /// Passes on the new size of devstack's terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.processes.resize(rows, columns);
    }

    /// Attaches a client with this screen to the terminal of a service. Also returns the run to
    /// show.
    ///
    /// # Errors
    /// When the service has no terminal and its next run gets none, or when the screen is itself
    /// the terminal of a service.
    pub(crate) fn attach(
        &mut self,
        service: &Service,
        screen: ClientScreen,
    ) -> Result<(Attachment, Option<RunId>), Message> {
        if let Some(terminal) = screen.terminal {
            let mut consoles = self.consoles.iter();
            if let Some((name, _)) = consoles.find(|(_, console)| console.is_shown_on(terminal)) {
                return Err(in_a_service(name));
            }
        }
        let console = self.console(&service.name);
        let run = console.run();
        if run.is_none() && !self.processes.gives_terminal(service.tty) {
            return Err(no_terminal(service));
        }
        Ok((console.attach(screen.size), run))
    }

    /// Closes the terminals of services that are no longer in the stack.
    pub(crate) fn close_terminals(&mut self, stack: &Stack) {
        self.consoles.retain(|name, console| {
            let kept = stack.services.contains_key(name);
            if !kept {
                let text = format!("{name} is no longer in the stack");
                console.close(&Message::new(MessageClass::Usage, text));
            }
            kept
        });
    }

    fn console(&mut self, service: &Name) -> Arc<ServiceTerminal> {
        self.consoles.entry(service.clone()).or_default().clone()
    }

    /// The inherited environment, and whether this service gets a terminal.
    pub(crate) fn inherited_env(&self, service: &Service) -> (Arc<InheritedEnv>, bool) {
        (self.processes.environment(), self.processes.gives_terminal(service.tty))
    }

    pub(crate) fn tree(&self, run: RunId) -> Vec<u32> {
        self.runs.get(&run).map(|held| held.leash.tree_pids()).unwrap_or_default()
    }

    /// The runs with their processes, to measure their usage.
    pub(crate) fn metered_runs(&self) -> Vec<MeteredRun> {
        let subject = |(run, held): (&RunId, &ActiveRun)| {
            let (since, tree) = (held.began, held.leash.usage());
            MeteredRun { run: *run, since, tree }
        };
        self.runs.iter().map(subject).collect()
    }

    pub(crate) fn forget(&mut self, run: RunId) {
        self.runs.remove(&run);
    }

    /// Resolves when the guard is gone although it should not be.
    pub fn guard_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        self.processes.guard_lost()
    }

    /// Watches what `stack` asks for, its configuration files, and `more` files.
    pub(crate) fn watch(&mut self, stack: &Stack, more: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let services = stack.services.iter().flat_map(|(name, service)| {
            let watched = |place| WatchId { service: name.clone(), index: place };
            let watches = service.watch.iter().enumerate();
            watches.map(move |(place, watch)| (watched(place), watch.clone()))
        });
        watcher.set(services.collect(), stack.files.union(more).cloned().collect());
    }

    /// Stops watching. Done early in a shutdown: the kernel needs some milliseconds to tear down an
    /// inotify instance, which pass while services stop.
    pub(crate) fn unwatch(&mut self) {
        self.watcher = None;
    }

    /// Kills what is left and waits for the guard. Returns whether it is proven that no process is
    /// left.
    pub(crate) async fn finish(self) -> bool {
        drop(self.watcher);
        self.processes.shut_down().await
    }
}

/// The patterns of the log probes, in their order.
fn patterns(service: &Service) -> Vec<Regex> {
    let patterns = service.ready.probes.iter().filter_map(|probe| match probe {
        Probe::Log { pattern } => Regex::new(pattern).ok(),
        Probe::Tcp { .. }
        | Probe::Http { .. }
        | Probe::Exec { .. }
        | Probe::Delay { .. }
        | Probe::Notify => None,
    });
    patterns.collect()
}

/// The terminal would show its own output, endlessly.
fn in_a_service(name: &Name) -> Message {
    let text = format!("this is {name}'s own terminal: attaching here would loop its output");
    Message::new(MessageClass::Usage, text).help("attach from another terminal")
}

fn no_terminal(service: &Service) -> Message {
    let name = &service.name;
    let message = Message::new(MessageClass::Spawn, format!("{name} has no terminal"));
    message.help(format!("set `tty = true` under [services.{name}]; it applies when you save"))
}

/// A log capture as the sink of a command.
struct CaptureSink(LogCapture);

impl OutputSink for CaptureSink {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.0.push(stream, bytes);
    }

    fn full(&self) -> Option<BoxFuture> {
        self.0.full()
    }

    fn closed(&mut self, _exit: Option<ProcessExit>) {
        self.0.close();
    }
}
