use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};

use super::stable_read;
use super::stack_loader::{PreviewResult, ReloadBaseline, ReloadOutcome, StackLoader};
use crate::config::{self, Config, DebugServices};
use crate::model::{
    AssignedPort, ConflictPolicy, DirMove, Message, MessageClass, Name, PortKey, PortRequest,
    Service, Stack, WantedPort,
};
use crate::ports::PortAllocator;

/// Work done off the loop.
pub(crate) enum ReloadTask {
    /// Reread the files.
    Read,
    /// Change which services are in debug mode.
    Switch,
    /// Choose other ports for services that lost one.
    Place,
}

/// What is being done off the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReloaderWork {
    None,
    Reading,
    Other,
}

/// Reloads the configuration, changes modes, and reassigns lost ports. Does one thing at a time:
/// what comes in meanwhile is done afterwards.
pub struct ConfigReloader {
    loader: StackLoader,
    /// The last applied configuration: the files may be in the middle of an edit.
    applied: Arc<Config>,
    work: ReloaderWork,
    /// The files have changed since they were last read.
    files_changed: bool,
    switching: bool,
    lost_ports: BTreeSet<Name>,
    /// Ports that services could not bind although nothing is listening there, since they were last
    /// ready.
    avoided: BTreeMap<Name, BTreeSet<u16>>,
    /// Whether ports were chosen again; before that, every port is in use.
    reassigned: bool,
    /// A run has ended since ports were last released.
    release_due: bool,
    /// Whether what is being done began when the project directory had another path.
    outdated: bool,
    /// Whether the files are watched at all.
    pub(crate) follows: bool,
}

impl ConfigReloader {
    /// Creates an idle reloader. `applied`: the configuration of the first stack. `follows`:
    /// whether changes of files are reported.
    pub fn new(loader: StackLoader, applied: Arc<Config>, follows: bool) -> ConfigReloader {
        ConfigReloader {
            loader,
            applied,
            work: ReloaderWork::None,
            files_changed: false,
            switching: false,
            lost_ports: BTreeSet::new(),
            avoided: BTreeMap::new(),
            reassigned: false,
            release_due: false,
            outdated: false,
            follows,
        }
    }

    pub(crate) fn files_changed(&mut self) {
        self.files_changed = true;
    }

    pub(crate) fn modes_changed(&mut self) {
        self.switching = true;
    }

    pub(crate) fn reassign(&mut self, name: Name) {
        self.lost_ports.insert(name);
    }

    /// Notes that a service cannot bind its own `port` although nothing is listening there. Returns
    /// whether it may have another one; this one is then avoided until the service is ready.
    pub(crate) fn avoid_port(&mut self, service: &Service, port: u16) -> bool {
        let key = |one: &AssignedPort| PortKey::new(&service.name, &one.name);
        let key = service.ports.iter().find(|one| one.number == port).map(key);
        let requests =
            self.applied.port_requests_with(&DebugServices::from([service.name.clone()]));
        let request = requests.iter().find(|request| Some(&request.key) == key.as_ref());
        let moves = request.is_some_and(|request| match request.wanted {
            WantedPort::Any
            | WantedPort::Preferred(_, ConflictPolicy::Next | ConflictPolicy::Auto) => true,
            WantedPort::Preferred(
                _,
                ConflictPolicy::Fail | ConflictPolicy::Ask | ConflictPolicy::Strict,
            )
            | WantedPort::Pinned(_) => false,
        });
        if moves {
            self.avoided.entry(service.name.clone()).or_default().insert(port);
        }
        moves
    }

    /// Clears the avoided ports of a ready service: they may be free again.
    pub(crate) fn clear_avoided(&mut self, name: &Name) {
        self.avoided.remove(name);
    }

    /// Returns the task to start now, if any.
    pub(crate) fn due(&self) -> Option<ReloadTask> {
        match (self.work, self.files_changed, self.switching) {
            (ReloaderWork::Reading | ReloaderWork::Other, _, _) => None,
            // The files first: they may bring other ports.
            (ReloaderWork::None, true, _) => Some(ReloadTask::Read),
            (ReloaderWork::None, false, true) => Some(ReloadTask::Switch),
            (ReloaderWork::None, false, false) => {
                (!self.lost_ports.is_empty()).then_some(ReloadTask::Place)
            }
        }
    }

    /// Whether changed configuration files are still to be applied.
    pub(crate) fn has_unread_changes(&self) -> bool {
        self.files_changed || self.work == ReloaderWork::Reading
    }

    /// The last applied configuration.
    pub(crate) fn applied(&self) -> Arc<Config> {
        self.applied.clone()
    }

    /// The port requests of the last applied configuration, with these services in debug mode.
    pub(crate) fn known(&self, debugged: &DebugServices) -> Vec<PortRequest> {
        self.applied.port_requests_with(debugged)
    }

    /// Starts a task off the loop; the result is sent to `tell`, even if the task panics. `stack` is
    /// the one in `present`.
    pub(crate) fn start(
        &mut self,
        task: ReloadTask,
        stack: &Arc<Stack>,
        present: ReloadBaseline,
        tell: &mpsc::UnboundedSender<ReloadOutcome>,
    ) {
        let (loader, applied) = (self.loader.clone(), self.applied.clone());
        match task {
            ReloadTask::Read => {
                self.files_changed = false;
                let sources = loader.sources.clone();
                let read = move || config::load(&sources);
                let task = async move {
                    let read = stable_read::read_when_stable(present.files.clone(), read).await?;
                    spawn_blocking(move || loader.evaluate(&present, read)).await
                };
                self.run(ReloaderWork::Reading, task, ReloadOutcome::Panicked, tell);
            }
            ReloadTask::Switch => {
                self.switching = false;
                let make = move || loader.load(&applied, &present.situation);
                let made =
                    move || make().map_or_else(ReloadOutcome::NotSwitched, ReloadOutcome::Switched);
                let panicked = |bug| ReloadOutcome::NotSwitched(vec![bug]);
                self.run(ReloaderWork::Other, spawn_blocking(made), panicked, tell);
            }
            ReloadTask::Place => {
                let lost = std::mem::take(&mut self.lost_ports);
                let shunned = lost.iter().filter_map(|name| self.avoided.get(name));
                let shunned: BTreeSet<u16> = shunned.flatten().copied().collect();
                let (before, failed) = (stack.clone(), lost.clone());
                let panicked = move |bug: Message| ReloadOutcome::PortsReassigned {
                    stack: before,
                    outcome: failed.into_iter().map(|name| (name, Err(bug.clone()))).collect(),
                    notes: Vec::new(),
                };
                let stack = stack.clone();
                let place = move || loader.reassign(&applied, &stack, &lost, &shunned);
                self.run(ReloaderWork::Other, spawn_blocking(place), panicked, tell);
            }
        }
    }

    /// Sends what comes of a task, or of its panic.
    fn run(
        &mut self,
        work: ReloaderWork,
        task: impl Future<Output = Result<ReloadOutcome, JoinError>> + Send + 'static,
        panicked: impl FnOnce(Message) -> ReloadOutcome + Send + 'static,
        tell: &mpsc::UnboundedSender<ReloadOutcome>,
    ) {
        self.work = work;
        let tell = tell.clone();
        tokio::spawn(async move {
            let outcome = task.await.unwrap_or_else(|error| panicked(internal_error(error)));
            // The supervisor may have finished by then.
            let _ = tell.send(outcome);
        });
    }

    /// Previews the current files off the loop; the result is sent to `tell`.
    pub(crate) fn preview(
        &self,
        present: ReloadBaseline,
        tell: impl FnOnce(PreviewResult) + Send + 'static,
    ) {
        let loader = self.loader.clone();
        tokio::spawn(async move {
            let found = spawn_blocking(move || loader.preview(&present)).await;
            tell(found.unwrap_or_else(|error| Err(internal_error(error))));
        });
    }

    /// Continues in the project directory's new place. Returns the applied configuration as a stack
    /// there, with the ports and modes of `stack`. Files may have changed on the way.
    pub(crate) fn relocate(&mut self, moved: &DirMove, stack: &Stack) -> Arc<Stack> {
        self.loader.sources.relocate(moved);
        // It runs under its name, also if that is the directory's former one.
        self.loader.sources.overrides.default_name = Some(stack.name.clone());
        self.applied = Arc::new(self.applied.relocated(moved));
        self.outdated = self.work != ReloaderWork::None;
        self.files_changed |= self.follows;
        self.loader.remake(&self.applied, stack)
    }

    /// Takes the outcome of a task. `None` if it is about the directory's former place: then the
    /// task is due again.
    pub(crate) fn current(&mut self, outcome: ReloadOutcome) -> Option<ReloadOutcome> {
        if !std::mem::take(&mut self.outdated) {
            return Some(outcome);
        }
        match outcome {
            ReloadOutcome::Panicked(_) | ReloadOutcome::PortsReleased => return Some(outcome),
            ReloadOutcome::Stack(_) | ReloadOutcome::NotLive(_) | ReloadOutcome::Invalid { .. } => {
                self.files_changed = true
            }
            ReloadOutcome::Switched(_) | ReloadOutcome::NotSwitched(_) => self.switching = true,
            ReloadOutcome::PortsReassigned { outcome, .. } => {
                self.lost_ports.extend(outcome.into_keys());
            }
        }
        self.work = ReloaderWork::None;
        None
    }

    /// Notes the end of a task. `draft`: the configuration now applied, if it changed.
    pub(crate) fn finished(&mut self, config: Option<&Arc<Config>>) {
        self.reassigned = true;
        self.work = ReloaderWork::None;
        if let Some(config) = config {
            self.applied = config.clone();
        }
    }

    /// The ports of this stack. Locked during I/O, so never on the loop.
    pub(crate) fn ports(&self) -> Arc<Mutex<PortAllocator>> {
        self.loader.ports.clone()
    }

    /// Notes that a run is over, perhaps the last one on a port that was given up.
    pub(crate) fn run_ended(&mut self) {
        // Before ports are chosen again, every port is in use.
        self.release_due |= self.reassigned;
    }

    /// Returns whether ports may be released now: those being chosen are not in the stack yet.
    pub(crate) fn takes_release(&mut self) -> bool {
        self.work == ReloaderWork::None && std::mem::take(&mut self.release_due)
    }

    /// Releases ports that neither `stack` nor a live process uses.
    pub(crate) fn release_unused(
        &mut self,
        stack: &Stack,
        leaving: BTreeSet<u16>,
        tell: &mpsc::UnboundedSender<ReloadOutcome>,
    ) {
        let used = stack.ports().map(|(key, port)| (key, port.clone())).collect();
        let loader = self.loader.clone();
        let release = move || {
            loader.ports().release_unused(&used, &leaving);
            ReloadOutcome::PortsReleased
        };
        self.run(ReloaderWork::Other, spawn_blocking(release), ReloadOutcome::Panicked, tell);
    }
}

/// Describes a panic of a task, as an error.
fn internal_error(error: JoinError) -> Message {
    let payload = error.try_into_panic().ok();
    let text = payload.as_ref().and_then(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    });
    let text = text.map_or_else(String::new, |text| format!(": {text}"));
    Message::new(MessageClass::Internal, format!("reloading the configuration panicked{text}"))
        .help("this is a bug in devstack; the next save is loaded again")
}

#[cfg(test)]
mod tests;
