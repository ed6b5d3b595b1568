//! What the supervisor acts with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use regex::bytes::Regex;
use tokio::sync::{mpsc, oneshot};

use super::log::{Capture, Logs};
use super::probe::{self, Probing, Report, Sight};
use super::process::{Leash, Processes, Sink};
use super::watch::Watcher;
use crate::model::{Launch, Probe, Run, Service, Stack, Stream};
use crate::ports;

/// Everything the supervisor acts with. Orders are carried out without waiting; what comes of them
/// arrives as facts and reports.
pub struct Hands {
    processes: Processes,
    logs: Logs,
    reports: mpsc::UnboundedSender<Report>,
    watcher: Option<Watcher>,
    runs: BTreeMap<Run, Held>,
}

/// What is held of one run.
struct Held {
    leash: Leash,
    launch: Launch,
    /// One for each log probe, made before the process so that no line is missed; `None`: given away.
    lines: Option<Vec<oneshot::Receiver<String>>>,
    probing: Option<Probing>,
}

impl Hands {
    /// Hands that hold nothing yet. `watcher`: `None` when no files are followed.
    pub fn new(
        processes: Processes,
        logs: Logs,
        reports: mpsc::UnboundedSender<Report>,
        watcher: Option<Watcher>,
    ) -> Hands {
        Hands { processes, logs, reports, watcher, runs: BTreeMap::new() }
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
        let leash = self.processes.spawn(run, &service.launch, Recorded(capture));
        let launch = service.launch.clone();
        self.runs.insert(run, Held { leash, launch, lines: Some(lines), probing: None });
    }

    /// Asks a run to end.
    pub(super) fn stop(&self, run: Run, signal: i32) {
        if let Some(held) = self.runs.get(&run) {
            held.leash.stop(signal);
        }
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
        let (leash, reports) = (held.leash.clone(), self.reports.clone());
        let lines = held.lines.take();
        let lines = lines.unwrap_or_else(|| self.logs.find(&service.name, run, patterns(service)));
        // Its other ports are no news: only where nobody told it to listen is it elsewhere.
        let given: BTreeSet<u16> = service.ports.iter().map(|port| port.number).collect();
        let elsewhere = move |tree: &[u32]| -> Vec<u16> {
            let listening = ports::listening(tree).into_iter();
            listening.filter(|port| !given.contains(port)).collect()
        };
        let sight = Sight::new(move || leash.tree_pids(), owner, elsewhere);
        held.probing = Some(probe::probe(run, &service.ready, &held.launch, sight, lines, reports));
    }

    /// A main process that ended is not probed any more.
    pub(super) fn stop_probing(&mut self, run: Run) {
        if let Some(held) = self.runs.get_mut(&run) {
            held.probing = None;
        }
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
        let services = stack.services.iter().filter_map(|(name, service)| {
            service.watch.as_ref().map(|watch| (name.clone(), watch.clone()))
        });
        watcher.set(services.collect(), stack.files.union(more).cloned().collect());
    }

    /// Everything ends from now on. Nothing is watched any more: the kernel needs some milliseconds to
    /// take an inotify instance apart, and they pass while services stop.
    pub(super) fn part(&mut self) {
        self.watcher = None;
        self.processes.part();
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

/// A capture as the sink of a process.
struct Recorded(Capture);

impl Sink for Recorded {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.push(stream, bytes);
    }

    fn closed(&mut self) {
        self.0.close();
    }
}

fn owner(port: u16, tree: &[u32]) -> probe::Owner {
    match ports::listener_owner(port, tree) {
        ports::Owner::Owned => probe::Owner::Ours,
        ports::Owner::Foreign(holder) => probe::Owner::Foreign(holder.to_string()),
        ports::Owner::Nobody => probe::Owner::Nobody,
        ports::Owner::Unknown => probe::Owner::Unknown,
    }
}
