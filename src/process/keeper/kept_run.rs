//! One run in the process that keeps it, from the fork to the empty tree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::keeper_protocol::{KeeperOrder, KeeperReport, MAX_REPORTED_ORPHANS};
use crate::process::process_tree;
use crate::sys::fork_exec::{ExecPipe, StartFailure};
use crate::sys::kill_on_close::KillOnClose;
use crate::sys::wait::reap;
use crate::sys::{process, signal};

/// How long orphans may take to exit after TERM when the main process exited on its own.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);
/// The same when a stop was requested: the rest of the tree may finish its work like the main
/// process. The supervisor usually kills first, after the service's own grace period.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The same when the supervisor is gone: all must be over within a second.
const ABANDONED_GRACE: Duration = Duration::from_millis(400);
/// How often to kill again, in case a list of children was incomplete.
pub(super) const KILL_AGAIN: Duration = Duration::from_millis(10);
/// How long a tree is killed before it is frozen first: it may grow faster than it is killed.
const FREEZE_AFTER: Duration = Duration::from_millis(50);

/// When to look for groups that the processes of a run have made, in milliseconds after its start.
const GROUP_SCANS: [u64; 10] = [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 60_000];
/// The most groups of a run that the kernel is asked to kill with this process.
const MAX_GROUPS: usize = 16;

#[derive(Debug, Clone, Copy)]
enum KeeperPhase {
    /// The main process runs.
    Running,
    /// A stop was requested, by a signal to the main process's group or by other means.
    Stopping { by_signal: bool },
    /// The orphans got TERM and are killed at this time.
    Terminating(Instant),
    /// Everything left is being killed, and again at this time.
    Killing { since: Instant, again: Instant },
}

#[derive(Debug)]
enum MainProcess {
    /// Forked; it tells through the pipe when it executes the program.
    Starting(ExecPipe),
    Running,
    /// It could not execute the program and is about to exit.
    Failed(StartFailure),
    Reaped,
}

#[derive(Debug)]
pub(super) struct KeptRun {
    /// Carried by every process of the run, where the system can mark them.
    pub mark: u64,
    /// The service that its environment names.
    pub service: Option<String>,
    /// The pid of the main process.
    pub main: u32,
    state: MainProcess,
    phase: KeeperPhase,
    /// What the main process left behind when it exited on its own.
    orphans: Vec<(u32, String)>,
    /// The groups that die with this process, even if it is killed.
    groups: BTreeMap<u32, KillOnClose>,
    began: Instant,
    /// How often groups were looked for.
    scans: usize,
}

impl KeptRun {
    pub fn new(mark: u64, service: Option<String>, main: u32, pipe: ExecPipe) -> KeptRun {
        KeptRun {
            mark,
            service,
            main,
            state: MainProcess::Starting(pipe),
            phase: KeeperPhase::Running,
            orphans: Vec::new(),
            groups: BTreeMap::new(),
            began: Instant::now(),
            scans: 0,
        }
    }

    /// Returns what to poll until the program is executed.
    pub fn pipe(&self) -> Option<&ExecPipe> {
        match &self.state {
            MainProcess::Starting(pipe) => Some(pipe),
            MainProcess::Running | MainProcess::Failed(_) | MainProcess::Reaped => None,
        }
    }

    /// Whether the main process exists. Until it is reaped its pid is pinned, so its group can be
    /// signalled safely.
    pub fn has_main(&self) -> bool {
        !matches!(self.state, MainProcess::Reaped)
    }

    /// How long ago it was forked, at least.
    pub fn age(&self) -> Duration {
        self.began.elapsed() + Duration::from_secs(1)
    }

    /// Whether nothing of the run is meant to go on.
    pub fn is_ending(&self) -> bool {
        !self.has_main() || !matches!(self.phase, KeeperPhase::Running)
    }

    pub fn is_killing(&self) -> bool {
        matches!(self.phase, KeeperPhase::Killing { .. })
    }

    /// The pipe is readable: the program is executed, or not. `room`: how many groups may be added.
    pub fn started(&mut self, room: usize) -> Option<KeeperReport> {
        match std::mem::replace(&mut self.state, MainProcess::Running) {
            MainProcess::Starting(pipe) => match pipe.failure() {
                None => {
                    if room > 0 {
                        self.add_group(self.main);
                    }
                    Some(KeeperReport::Spawned { keeper: None, pid: self.main })
                }
                Some(failure) => {
                    self.state = MainProcess::Failed(failure);
                    None
                }
            },
            other => {
                self.state = other;
                None
            }
        }
    }

    /// How many groups die with this process.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// When to look for groups that its processes have made.
    pub fn scan_at(&self) -> Option<Instant> {
        let is_scanned = KillOnClose::WORKS && self.pipe().is_none();
        let after = GROUP_SCANS.get(self.scans).filter(|_| is_scanned)?;
        Some(self.began + Duration::from_millis(*after))
    }

    /// Looks for groups that its processes have made. `orphans`: its orphans among the children.
    pub fn scan_groups(&mut self, orphans: &[u32], room: usize) {
        self.scans += 1;
        let most = MAX_GROUPS.min(self.groups.len() + room);
        let main = self.has_main().then_some(self.main);
        let roots: Vec<u32> = orphans.iter().copied().chain(main).collect();
        let tree: BTreeSet<u32> = process_tree::with_descendants(&roots).into_iter().collect();
        self.groups.retain(|group, _| signal::kill_group(*group, 0));
        let (own, of_main) = (signal::own_group(), self.main.cast_signed());
        for found in tree.iter().filter_map(|pid| process::process_stat(*pid)) {
            // The number of a process that has gone since may be a stranger's.
            let is_ours = found.parent == std::process::id() || tree.contains(&found.parent);
            let group = found.group.cast_signed();
            let is_new = group > 1 && group != own && group != of_main;
            if is_ours && is_new && self.groups.len() < most {
                self.add_group(found.group);
            }
        }
    }

    fn add_group(&mut self, group: u32) {
        if !self.groups.contains_key(&group) {
            self.groups.extend(KillOnClose::group(group).map(|armed| (group, armed)));
        }
    }

    /// Reaps the main process, which has exited. `orphans`: its orphans among the children.
    pub fn reap_main(&mut self, orphans: &[u32]) -> Option<KeeperReport> {
        match self.phase {
            KeeperPhase::Running => {
                self.record(orphans);
                self.signal_group(libc::SIGTERM);
            }
            KeeperPhase::Stopping { by_signal: false } => self.signal_group(libc::SIGTERM),
            KeeperPhase::Stopping { by_signal: true }
            | KeeperPhase::Terminating(_)
            | KeeperPhase::Killing { .. } => {}
        }
        let exit = reap(self.main);
        match std::mem::replace(&mut self.state, MainProcess::Reaped) {
            MainProcess::Failed(failure) => Some(failure.into()),
            MainProcess::Starting(_) | MainProcess::Running | MainProcess::Reaped => {
                exit.map(KeeperReport::Exited)
            }
        }
    }

    /// The main process has been reaped, and these orphans are left.
    pub fn terminate(&mut self, orphans: &[u32]) {
        let main = self.main;
        let grace = match self.phase {
            // Its group has just got TERM.
            KeeperPhase::Running => Some(ORPHAN_GRACE),
            // Some programs take a second TERM as "at once", so only the rest of the tree gets one.
            KeeperPhase::Stopping { .. } => Some(STOP_GRACE),
            KeeperPhase::Terminating(_) | KeeperPhase::Killing { .. } => None,
        };
        if let Some(grace) = grace {
            process_tree::signal_trees(orphans, libc::SIGTERM, |p| p.group != main);
            self.phase = KeeperPhase::Terminating(Instant::now() + grace);
        }
    }

    /// Returns the last report: the tree is empty.
    pub fn ended(self) -> KeeperReport {
        KeeperReport::Empty { orphans: self.orphans }
    }

    fn record(&mut self, orphans: &[u32]) {
        let alive = |pid: u32| match process::process_stat(pid) {
            Some(p) if !p.zombie => Some((pid, p.name)),
            _ => None,
        };
        let tree = process_tree::with_descendants(orphans);
        self.orphans = tree.into_iter().filter_map(alive).take(MAX_REPORTED_ORPHANS).collect();
    }

    /// Signals the group of the main process, or that alone before it has one.
    fn signal_group(&self, number: i32) {
        if self.has_main() {
            for number in [number, libc::SIGCONT] {
                if !signal::kill_group(self.main, number) {
                    signal::kill(self.main, number);
                }
            }
        }
    }

    /// Carries out an order; the loop kills what is to be killed.
    pub fn order(&mut self, order: KeeperOrder) {
        match order {
            KeeperOrder::Signal(number) if self.has_main() => {
                signal::kill(self.main, number.into());
            }
            KeeperOrder::Signal(_) => {}
            KeeperOrder::Stop(number) => {
                self.signal_group(number.into());
                self.mark_stopping(true);
            }
            KeeperOrder::Stopping => self.mark_stopping(false),
            KeeperOrder::Kill => self.start_killing(),
        }
    }

    fn mark_stopping(&mut self, by_signal: bool) {
        if matches!(self.phase, KeeperPhase::Running | KeeperPhase::Stopping { .. }) {
            self.phase = KeeperPhase::Stopping { by_signal };
        }
    }

    fn start_killing(&mut self) {
        if !matches!(self.phase, KeeperPhase::Killing { .. }) {
            let now = Instant::now();
            self.phase = KeeperPhase::Killing { since: now, again: now };
        }
    }

    /// The supervisor is gone: the whole tree must be dead within a second. Returns whether the
    /// tree is to get TERM.
    pub fn abandon(&mut self) -> bool {
        let until = Instant::now() + ABANDONED_GRACE;
        let is_new = match self.phase {
            KeeperPhase::Running | KeeperPhase::Stopping { .. } => {
                self.signal_group(libc::SIGTERM);
                true
            }
            KeeperPhase::Terminating(earlier) if earlier <= until => return false,
            KeeperPhase::Terminating(_) => false,
            KeeperPhase::Killing { .. } => return false,
        };
        self.phase = KeeperPhase::Terminating(until);
        is_new
    }

    /// When the rest of the tree is to be killed; `None` when it is not.
    pub fn kill_at(&self) -> Option<Instant> {
        match self.phase {
            KeeperPhase::Terminating(until) => Some(until),
            KeeperPhase::Killing { again, .. } => Some(again),
            KeeperPhase::Running | KeeperPhase::Stopping { .. } => None,
        }
    }

    /// Kills the main process and these orphans, which are children of this process. Called again
    /// until the tree is empty.
    pub fn kill(&mut self, orphans: &[u32]) {
        self.start_killing();
        if !self.has_main() && self.orphans.is_empty() {
            self.record(orphans);
        }
        let KeeperPhase::Killing { since, again } = &mut self.phase else { return };
        let now = Instant::now();
        *again = now + KILL_AGAIN;
        if now.saturating_duration_since(*since) >= FREEZE_AFTER {
            let main = self.has_main().then_some(self.main);
            let roots: Vec<u32> = orphans.iter().copied().chain(main).collect();
            process_tree::freeze_and_kill(&roots);
        }
        process_tree::kill_with_groups(orphans);
        if self.has_main() {
            signal::kill(self.main, libc::SIGKILL);
        }
        if self.has_main() || process::group_exists(self.main) {
            signal::kill_group(self.main, libc::SIGKILL);
        }
    }
}
