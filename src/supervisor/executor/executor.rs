//! Carries out the engine's effects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::active_run::{ActiveRun, CaptureSink, NotifySocketDir};
use super::container_runs::ContainerExit;
use super::doors::Doors;
use super::job_runner::{JobReport, JobRunner};
use super::listen_scan::ListenScan;
use super::own_reloader;
use super::passed_listeners::PassedListeners;
use super::probe_setup::{patterns, probe_context};
use super::terminals::no_terminal;
use super::usage_meter::MeteredRun;
use crate::engine::{Door, Input, JobId, KilledTree};
use crate::log::StackLog;
use crate::model::{
    CommandLine, DirMove, LaunchConfig, Message, MessageClass, Name, Probe, ProcessExit, RunId,
    RunMode, Service, Stack, StopConfig, Survivor,
};
use crate::probe;
use crate::probe::{NotifySocket, ProbeFinding, ProbeReport};
use crate::process::{InheritedEnv, ProcessManager, RunInputs};
use crate::supervisor::actions::ActionRunner;
use crate::supervisor::containers::{ContainerAdoption, ContainerHost, ContainerRun, EngineRecord};
use crate::supervisor::stack_outcome::StackRemains;
use crate::supervisor::status::OwnExit;
use crate::sys::file_clock::FileTime;
use crate::terminal::{RunOutputSink, ServiceTerminal};
use crate::watch::{OutputFiles, Watcher};

/// For how many later runs the exit of a container is kept.
const KEPT_EXITS: u64 = 1000;

/// Holds live runs and carries out effects without waiting; what comes of them arrives as reports.
pub struct Executor {
    pub(super) processes: Arc<ProcessManager>,
    pub(super) logs: StackLog,
    pub(super) reports: mpsc::UnboundedSender<ProbeReport>,
    pub(super) watcher: Option<Watcher>,
    pub(super) runs: BTreeMap<RunId, ActiveRun>,
    survey: ListenScan,
    jobs: JobRunner,
    pub(crate) actions: ActionRunner,
    sockets: Option<NotifySocketDir>,
    passing: PassedListeners,
    doors: Doors,
    pub(super) engines: Arc<EngineRecord>,
    /// What the stack has in container engines; `None`: no service was started in one.
    pub(super) containers: Option<Arc<ContainerHost>>,
    /// How containers exited, until that is judged.
    pub(super) container_exits: BTreeMap<RunId, ContainerExit>,
    pub(super) consoles: BTreeMap<Name, Arc<ServiceTerminal>>,
    /// Files to watch beside those of the stack; `None`: nothing is watched yet.
    pub(super) more_files: Option<BTreeSet<PathBuf>>,
    /// Services that reloaded themselves in some run.
    pub(super) reloading: BTreeSet<Name>,
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
        let engines = Arc::new(EngineRecord::new(processes.clone()));
        let jobs = JobRunner::new(processes.clone(), done);
        let actions = ActionRunner::new(processes.clone(), logs.clone());
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
            actions,
            sockets,
            passing,
            doors: Doors::default(),
            engines,
            containers: None,
            container_exits: BTreeMap::new(),
            consoles,
            more_files: None,
            reloading: BTreeSet::new(),
        }
    }

    /// Sets the directory of notify sockets: private, and with a short path.
    pub fn sockets_in(&mut self, dir: PathBuf) {
        self.sockets = Some(NotifySocketDir { dir, cleared: false });
    }

    /// Files that devstack itself writes.
    pub(crate) fn output_files(&self) -> OutputFiles {
        self.watcher.as_ref().map(Watcher::output_files).cloned().unwrap_or_default()
    }

    /// Files saved from now on count as changed: the first runs are about to start.
    pub(crate) fn set_watch_baseline(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.set_baseline();
        }
    }

    /// Starts a run of a service of this stack.
    pub(crate) fn spawn(&mut self, run: RunId, service: &Arc<Service>, stack: &Stack) {
        let reloader = own_reloader::pattern(service);
        let reloads = reloader.is_some();
        let awaited = patterns(service).into_iter().chain(reloader).collect();
        let (capture, mut lines) = self.logs.capture(&service.name, run, awaited);
        if let Some(line) = lines.pop_if(|_| reloads) {
            own_reloader::report_line(run, line, self.reports.clone());
        }
        let mut launch = service.launch.clone();
        let notice = self.open_notify_socket(run, service);
        if let Some(notice) = &notice {
            let path = notice.path().to_string_lossy();
            launch.env.insert(probe::NOTIFY_SOCKET, &path);
        }
        let console = self.console(&service.name);
        let output = RunOutputSink::new(capture, run, console, no_terminal(service));
        if let Some(message) = self.passing.shell_warning(service) {
            // Without a receiver the stack is shutting down.
            let _ = self.reports.send(ProbeReport { run, what: ProbeFinding::Note(message) });
        }
        let mut container = None;
        let adoption = ContainerAdoption::new(self.processes.clone(), self.engines.clone());
        let handle = match self.passing.listen_fds(service) {
            Ok(_) if launch.container.is_some() => {
                let (handle, started) = self.start_container(run, service, stack, output);
                container = Some(started);
                handle
            }
            Ok(handed) => {
                let reserved = self.processes.reserve(run, &launch);
                let handle = reserved.handle().clone();
                let inputs = RunInputs {
                    tty: service.tty,
                    handed,
                    epilogue: Some(Box::pin(adoption.clone().end())),
                };
                self.processes.start_reserved(reserved, &launch, inputs, output);
                handle
            }
            Err(why) => self.processes.spawn_refused(run, why, output),
        };
        let (name, lines) = (service.name.clone(), Some(lines));
        let port = service.own_ports().first().map(|port| port.number);
        let held = ActiveRun {
            name,
            port,
            handle,
            container,
            adoption,
            launch,
            began: Instant::now(),
            lines,
            notice,
            reloader: None,
            terminal: self.processes.gives_terminal(service.tty),
            stopping: false,
            own_exit: None,
            probing: None,
            debugger: None,
            health: None,
        };
        self.runs.insert(run, held);
    }

    /// The services for which devstack itself listens.
    pub(crate) fn listens_for(&self) -> BTreeSet<Name> {
        let mut services = self.passing.services();
        services.extend(self.doors.services().cloned());
        services
    }

    /// Listens for these lazy services and for no others.
    pub(crate) fn keep_doors<'a>(
        &mut self,
        doors: impl Iterator<Item = Door<'a>>,
        reports: &mpsc::UnboundedSender<Input>,
    ) {
        self.doors.keep(doors, reports);
    }

    /// A lazy service was reported as unused; what is decided comes with the next doors.
    pub(crate) fn answer_unused(&mut self, name: &Name) {
        self.doors.answer_unused(name);
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
            Some(sockets) => sockets.open(),
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
    pub(crate) fn stop(&mut self, run: RunId, stop: &StopConfig) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        held.stopping = true;
        if held.ends_container_early() {
            return;
        }
        let Some(command) = &stop.command else { return held.handle.stop(stop.signal) };
        let launch = LaunchConfig { command: command.clone(), ..held.launch.clone() };
        let launch = held.inside(launch);
        let (capture, _) = self.logs.capture(&held.name, run, Vec::new());
        let reports = self.reports.clone();
        let tell = move |message| {
            // Without a receiver the stack is shutting down.
            let _ = reports.send(ProbeReport { run, what: ProbeFinding::Note(message) });
        };
        self.processes.stop_with_command(
            &held.handle,
            &launch,
            stop.signal,
            CaptureSink(capture),
            tell,
        );
    }

    pub(crate) fn kill(&mut self, run: RunId) {
        if let Some(held) = self.runs.get_mut(&run) {
            held.stopping = true;
            if !held.ends_container_early() {
                held.handle.kill();
            }
        }
    }

    /// Starts readiness probes. If they were running before, `service` has changed.
    pub(crate) fn start_probes(&mut self, run: RunId, service: &Service) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        let lines = held.lines.take();
        let lines =
            lines.unwrap_or_else(|| self.logs.await_lines(&service.name, run, patterns(service)));
        let waits = held.probe_receivers(&service.ready.probes, lines);
        let sight = probe_context(held, service, &self.processes).exclusive();
        let reports = self.reports.clone();
        held.probing =
            Some(probe::start_readiness(run, &service.ready, &held.launch, sight, waits, reports));
    }

    /// Starts to check whether the debugger of a run is listening.
    pub(crate) fn await_debugger(&mut self, run: RunId, service: &Service) {
        let RunMode::Debug(debugging) = service.mode else { return };
        let Some(held) = self.runs.get_mut(&run) else { return };
        let sight = probe_context(held, service, &self.processes);
        let (interval, reports) = (service.ready.interval, self.reports.clone());
        held.debugger =
            Some(probe::start_debugger_probe(run, debugging.port, interval, sight, reports));
    }

    /// Starts the health probes of a ready run, or restarts them after a change.
    pub(crate) fn watch_health(&mut self, run: RunId, service: &Service) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        held.health = service.health.as_ref().map(|health| {
            let sight = probe_context(held, service, &self.processes);
            let reports = self.reports.clone();
            probe::start_health(run, health, &held.launch, sight, reports)
        });
    }

    /// Schedules a scan of where a run listens that became ready.
    pub(crate) fn scan_listeners(&self, run: RunId) {
        // What listens inside a container is of no concern to this machine.
        if let Some(held) = self.runs.get(&run).filter(|held| held.container.is_none()) {
            self.survey.add(run, held.handle.tree_fn(), held.port);
        }
    }

    pub(crate) fn signal(&self, run: RunId, signal: i32) {
        if let Some(held) = self.runs.get(&run) {
            held.handle.signal(signal);
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
        // On this machine, also for a container: it builds what the next one contains.
        let launch = self.image_build(service, command).unwrap_or_else(|| LaunchConfig {
            command: command.clone(),
            container: None,
            ..service.launch.clone()
        });
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

    /// Stops all probes of a run whose main process has exited.
    pub(crate) fn exited(&mut self, run: RunId, exit: ProcessExit) {
        if let Some(held) = self.runs.get_mut(&run) {
            held.probing = None;
            held.debugger = None;
            held.health = None;
            if let (Some(container), ProcessExit::Code(_)) = (&held.container, exit) {
                container.program_exited();
            }
            let ended = ContainerExit::of(held, exit);
            self.container_exits.extend(ended.map(|ended| (run, ended)));
            let lived = held.began.elapsed();
            held.own_exit =
                (!held.stopping).then_some(OwnExit { exit, lived, terminal: held.terminal });
        }
    }

    /// The inherited environment, and whether this service gets a terminal.
    pub(crate) fn inherited_env(&self, service: &Service) -> (Arc<InheritedEnv>, bool) {
        (self.processes.environment(), self.processes.gives_terminal(service.tty))
    }

    /// The runs with their processes, to measure their usage.
    pub(crate) fn metered_runs(&self) -> Vec<MeteredRun> {
        let subject = |(run, held): (&RunId, &ActiveRun)| {
            let inside = held.container.as_ref().map(ContainerRun::local_pids);
            let (since, tree) = (held.began, held.handle.usage().and(inside.unwrap_or_default()));
            MeteredRun { run: *run, since, tree }
        };
        self.runs.iter().map(subject).collect()
    }

    /// Forgets a run of which nothing is left. `stack` is the current one. Returns how it exited if
    /// it was not asked to.
    pub(crate) fn forget(&mut self, run: RunId, stack: &Stack) -> Option<OwnExit> {
        // Judged with the next step, if at all.
        self.container_exits.retain(|known, _| known.0 + KEPT_EXITS > run.0);
        let held = self.runs.remove(&run)?;
        let service = stack.services.get(&held.name);
        if held.reloader.is_some() || service.is_some_and(|it| it.reloads_itself()) {
            self.watch_again(stack);
        }
        held.own_exit
    }

    /// Resolves when the guard is gone although it should not be.
    pub fn guard_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        self.processes.guard_lost()
    }

    /// Follows the project directory, which was at its former path at `since`. Files modified after
    /// that count as changed.
    pub(crate) fn relocate(&mut self, moved: &DirMove, since: FileTime) {
        self.runs.values_mut().for_each(|held| held.launch.relocate(moved));
        self.processes.relocate(moved);
        if let Some(watcher) = &mut self.watcher {
            watcher.set_since(since);
        }
    }

    /// Returns a function that lists what is left of a killed tree; `None`: nothing of it is known.
    pub(crate) fn survivors(
        &self,
        tree: KilledTree,
    ) -> Option<impl Fn() -> Vec<Survivor> + Clone + Send + 'static> {
        let handle = match tree {
            KilledTree::Run(run) => &self.runs.get(&run)?.handle,
            KilledTree::Job(job) => self.jobs.get(job)?,
        };
        Some(self.processes.survivors(handle))
    }

    /// Kills what is left and waits for the guard. With `survivors` something was killed long ago and
    /// is still alive: waiting is in vain.
    pub(crate) async fn finish(self, survivors: bool) -> StackRemains {
        drop(self.watcher);
        if survivors {
            self.processes.kill_all();
            return StackRemains::Processes;
        }
        let mut trouble = None;
        if let Some(containers) = &self.containers {
            self.processes.empty().await;
            trouble = containers.finish().await.err();
        }
        let proved = match &trouble {
            None => self.processes.shut_down().await,
            Some(_) => self.processes.shut_down_with_record().await,
        };
        match trouble {
            _ if !proved => StackRemains::Processes,
            Some(why) => StackRemains::Containers(why),
            None => StackRemains::Nothing,
        }
    }
}
