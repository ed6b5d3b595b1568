//! What the supervisor acts with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use regex::bytes::Regex;
use tokio::sync::{mpsc, oneshot};

use super::console::{Console, RunOutput, Screen, Seat};
use super::jobs::{Done, Jobs};
use super::log::{Capture, Logs};
use super::passing::Passing;
use super::probe::{self, Finding, Notice, Probing, Report};
use super::process::{Environment, Leash, Processes, Sink};
use super::survey::Survey;
use super::usage::Subject;
use super::watch::Watcher;
use crate::engine::Job;
use crate::model::{
    Class, Command, Exit, Launch, Message, Mode, Name, Probe, Run, Service, Stack, Stop, Stream,
    Watched,
};
use sight::sight;

mod sight;

/// Everything the supervisor acts with. Orders are carried out without waiting; what comes of them
/// arrives as facts and reports.
pub struct Hands {
    processes: Arc<Processes>,
    logs: Logs,
    reports: mpsc::UnboundedSender<Report>,
    watcher: Option<Watcher>,
    runs: BTreeMap<Run, Held>,
    survey: Survey,
    jobs: Jobs,
    sockets: Option<Sockets>,
    passing: Passing,
    consoles: BTreeMap<Name, Arc<Console>>,
}

/// Where sockets of runs are made.
struct Sockets {
    dir: PathBuf,
    /// Whether that folder was cleared of what others left.
    cleared: bool,
}

impl Sockets {
    fn open(&mut self, run: Run) -> Result<Notice, String> {
        if !std::mem::replace(&mut self.cleared, true) {
            Notice::remove_stale(&self.dir);
        }
        Notice::open(&self.dir, run).map_err(|error| format!("{}: {error}", self.dir.display()))
    }
}

/// What is held of one run.
struct Held {
    name: Name,
    /// The main port that it was given.
    port: Option<u16>,
    leash: Leash,
    launch: Launch,
    /// When it was ordered.
    began: Instant,
    /// One for each log probe, made before the process so that no line is missed; `None`: given away.
    lines: Option<Vec<oneshot::Receiver<String>>>,
    /// Where it may say that it is ready.
    notice: Option<Notice>,
    probing: Option<Probing>,
    debugger: Option<Probing>,
    health: Option<Probing>,
}

impl Held {
    /// What log and notify probes wait for, in their order.
    fn waits(
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

impl Hands {
    /// Hands that hold nothing yet. `watcher`: `None` when no files are followed.
    pub fn new(
        processes: Processes,
        logs: Logs,
        reports: mpsc::UnboundedSender<Report>,
        done: mpsc::UnboundedSender<Done>,
        watcher: Option<Watcher>,
    ) -> Hands {
        let (runs, processes) = (BTreeMap::new(), Arc::new(processes));
        let survey = Survey::new(reports.clone());
        let jobs = Jobs::new(processes.clone(), done);
        let passing = Passing::default();
        let (sockets, consoles) = (None, BTreeMap::new());
        Hands { processes, logs, reports, watcher, runs, survey, jobs, sockets, passing, consoles }
    }

    /// Where services reach devstack: a private folder with a short path.
    pub fn sockets_in(&mut self, dir: PathBuf) {
        self.sockets = Some(Sockets { dir, cleared: false });
    }

    /// The first runs are about to start: what is saved from now on may be unseen by them.
    pub(super) fn begin(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.begin();
        }
    }

    /// Starts a run.
    pub(super) fn spawn(&mut self, run: Run, service: &Service) {
        let (capture, lines) = self.logs.capture(&service.name, run, patterns(service));
        let mut launch = service.launch.clone();
        let notice = self.notice(run, service);
        if let Some(notice) = &notice {
            let path = notice.path().to_string_lossy().into_owned();
            launch.env.insert(probe::NOTIFY_SOCKET.to_owned(), path);
        }
        let console = self.console(&service.name);
        let output = RunOutput::new(capture, run, console, no_terminal(service));
        if let Some(message) = self.passing.remark(service) {
            // Without a receiver the stack is ending.
            let _ = self.reports.send(Report { run, what: Finding::Note(message) });
        }
        let leash = match self.passing.for_run(service) {
            Ok(handed) => self.processes.spawn_with(run, &launch, service.tty, handed, output),
            Err(why) => self.processes.refuse(run, why, output),
        };
        let (name, lines) = (service.name.clone(), Some(lines));
        let port = service.port().map(|port| port.number);
        let held = Held {
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

    /// The services that devstack holds listening sockets for.
    pub(super) fn passing(&self) -> BTreeSet<Name> {
        self.passing.services()
    }

    /// Whether devstack holds listening sockets.
    pub(super) fn passes(&self) -> bool {
        !self.passing.is_empty()
    }

    /// Closes the listening sockets that none of these services is to be passed.
    pub(super) fn pass_only<'a>(&mut self, services: impl Iterator<Item = &'a Arc<Service>>) {
        self.passing.keep_only(services);
    }

    /// The socket for a service that says by itself that it is ready.
    fn notice(&mut self, run: Run, service: &Service) -> Option<Notice> {
        if !service.ready.probes.contains(&Probe::Notify) {
            return None;
        }
        let opened = match &mut self.sockets {
            Some(sockets) => sockets.open(run),
            None => Err("there is no folder for it".to_owned()),
        };
        match opened {
            Ok(notice) => Some(notice),
            Err(why) => {
                let text = format!("no socket for READY=1: {why}");
                let help = "see that the folder is there, yours and not full, or use another probe";
                let message = Message::new(Class::Limit, text).help(help);
                // Without a receiver the stack is ending.
                let _ = self.reports.send(Report { run, what: Finding::Note(message) });
                None
            }
        }
    }

    /// Asks a run to end, by its signal or its command. What a command prints is in the log of the service.
    pub(super) fn stop(&self, run: Run, stop: &Stop) {
        let Some(held) = self.runs.get(&run) else { return };
        let Some(command) = &stop.command else { return held.leash.stop(stop.signal) };
        let launch = Launch { command: command.clone(), ..held.launch.clone() };
        let (capture, _) = self.logs.capture(&held.name, run, Vec::new());
        let reports = self.reports.clone();
        let tell = move |message| {
            // Without a receiver the stack is ending.
            let _ = reports.send(Report { run, what: Finding::Note(message) });
        };
        self.processes.stop_by(&held.leash, &launch, stop.signal, Recorded(capture), tell);
    }

    /// Kills a run.
    pub(super) fn kill(&self, run: Run) {
        if let Some(held) = self.runs.get(&run) {
            held.leash.kill();
        }
    }

    /// Begins to find out whether a run is ready. When it was begun before, `service` has changed meanwhile.
    pub(super) fn probe(&mut self, run: Run, service: &Service) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        let lines = held.lines.take();
        let lines = lines.unwrap_or_else(|| self.logs.find(&service.name, run, patterns(service)));
        let waits = held.waits(&service.ready.probes, lines);
        let sight = sight(&held.leash, service, &self.processes).alone();
        let reports = self.reports.clone();
        held.probing = Some(probe::probe(run, &service.ready, &held.launch, sight, waits, reports));
    }

    /// Begins to find out when the debugger of a run listens.
    pub(super) fn await_debugger(&mut self, run: Run, service: &Service) {
        let Mode::Debug(debugging) = service.mode else { return };
        let Some(held) = self.runs.get_mut(&run) else { return };
        let sight = sight(&held.leash, service, &self.processes);
        let (interval, reports) = (service.ready.interval, self.reports.clone());
        held.debugger = Some(probe::listens(run, debugging.port, interval, sight, reports));
    }

    /// Begins to look after a run that is ready, or does so anew when that is to be done in another way.
    pub(super) fn watch_health(&mut self, run: Run, service: &Service) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        held.health = service.health.as_ref().map(|health| {
            let sight = sight(&held.leash, service, &self.processes);
            let reports = self.reports.clone();
            probe::health(run, health, &held.launch, sight, reports)
        });
    }

    /// Has a look soon at where a run listens that has become ready.
    pub(super) fn survey(&self, run: Run) {
        if let Some(held) = self.runs.get(&run) {
            self.survey.add(run, held.leash.tree(), held.port);
        }
    }

    /// Sends a signal to the main process of a run.
    pub(super) fn signal(&self, run: Run, signal: i32) {
        if let Some(held) = self.runs.get(&run) {
            held.leash.signal(signal);
        }
    }

    /// Runs a command of a service beside it. What it prints is in the log of the service.
    pub(super) fn start_job(
        &mut self,
        job: Job,
        service: &Service,
        run: Option<Run>,
        command: &Command,
    ) {
        let (capture, _) = self.logs.capture(&service.name, run.unwrap_or(Run(0)), Vec::new());
        let launch = Launch { command: command.clone(), ..service.launch.clone() };
        self.jobs.start(job, &launch, Recorded(capture));
    }

    /// Asks a command to end.
    pub(super) fn stop_job(&self, job: Job) {
        self.jobs.stop(job);
    }

    /// Kills a command.
    pub(super) fn kill_job(&self, job: Job) {
        self.jobs.kill(job);
    }

    /// A command is over.
    pub(super) fn forget_job(&mut self, job: Job) {
        self.jobs.forget(job);
    }

    /// A main process that ended is not probed any more.
    pub(super) fn stop_probing(&mut self, run: Run) {
        if let Some(held) = self.runs.get_mut(&run) {
            held.probing = None;
            held.debugger = None;
            held.health = None;
        }
    }

    /// The terminal that devstack writes to has this size now, in rows and columns.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.processes.resize(rows, columns);
    }

    /// A place at the terminal of a service, for somebody who has this screen, and the run that is to be seen.
    ///
    /// # Errors
    /// It has no terminal and gets none when it starts; or the screen is the terminal of a service.
    pub(super) fn attach(
        &mut self,
        service: &Service,
        screen: Screen,
    ) -> Result<(Seat, Option<Run>), Message> {
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
        Ok((console.sit(screen.size), run))
    }

    /// Says good-bye to those who are attached to services that are not in the stack any more.
    pub(super) fn keep_consoles(&mut self, stack: &Stack) {
        self.consoles.retain(|name, console| {
            let kept = stack.services.contains_key(name);
            if !kept {
                let text = format!("{name} is not in the stack any more");
                console.close(&Message::new(Class::Usage, text));
            }
            kept
        });
    }

    fn console(&mut self, service: &Name) -> Arc<Console> {
        self.consoles.entry(service.clone()).or_default().clone()
    }

    /// What services inherit, and whether this one gets a terminal.
    pub(super) fn surroundings(&self, service: &Service) -> (Arc<Environment>, bool) {
        (self.processes.environment(), self.processes.gives_terminal(service.tty))
    }

    /// The live processes of a run.
    pub(super) fn tree(&self, run: Run) -> Vec<u32> {
        self.runs.get(&run).map(|held| held.leash.tree_pids()).unwrap_or_default()
    }

    /// The runs, for whoever measures what they use.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let subject = |(run, held): (&Run, &Held)| {
            let (since, tree) = (held.began, held.leash.spending());
            Subject { run: *run, since, tree }
        };
        self.runs.iter().map(subject).collect()
    }

    /// Nothing of a run is left.
    pub(super) fn forget(&mut self, run: Run) {
        self.runs.remove(&run);
    }

    /// Resolves when the guard was ended from outside.
    pub fn guard_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        self.processes.guard_lost()
    }

    /// Watches what `stack` asks for, its own files, and `more` files.
    pub(super) fn watch(&mut self, stack: &Stack, more: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let services = stack.services.iter().flat_map(|(name, service)| {
            let watched = |place| Watched { service: name.clone(), place };
            let watches = service.watch.iter().enumerate();
            watches.map(move |(place, watch)| (watched(place), watch.clone()))
        });
        watcher.set(services.collect(), stack.files.union(more).cloned().collect());
    }

    /// Watches nothing any more. Done when a shutdown begins: the kernel needs some milliseconds to take
    /// an inotify instance apart, and they pass while services stop.
    pub(super) fn unwatch(&mut self) {
        self.watcher = None;
    }

    /// Lets go of everything and waits for the guard. True when it is proved that nothing is left.
    pub(super) async fn finish(self) -> bool {
        drop(self.watcher);
        self.processes.finish().await
    }
}

/// The lines that a service is waited for, one pattern for each log probe.
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

/// What a service's terminal shows would be its own output, for ever.
fn in_a_service(name: &Name) -> Message {
    let text = format!(
        "this is the terminal of {name} itself: what it shows would be printed there again and again"
    );
    Message::new(Class::Usage, text).help("attach in another terminal")
}

fn no_terminal(service: &Service) -> Message {
    let name = &service.name;
    let message = Message::new(Class::Spawn, format!("{name} has no terminal"));
    message.help(format!("write `tty = true` under [services.{name}]; saving applies it"))
}

/// A capture as the sink of a command beside a run.
struct Recorded(Capture);

impl Sink for Recorded {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.push(stream, bytes);
    }

    fn closed(&mut self, _exit: Option<Exit>) {
        self.0.close();
    }
}
