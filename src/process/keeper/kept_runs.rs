//! Runs by the children of this process: every process of a run is a child, or has an ancestor that is one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit};

use super::keeper_loop::KeeperRole;
use super::keeper_protocol::{KeeperOrder, KeeperReport, RunMessage};
use super::kept_run::KeptRun;
use crate::model::SERVICE_VAR;
use crate::process::process_tree;
use crate::process::spawn::SpawnRequest;
use crate::process::start_retry::StartRetry;
use crate::sys::fork_exec::{ChildLimits, ExecFds, ExecPipe, StartFailure, StartStage, fork_exec};
use crate::sys::process::ChildList;
use crate::sys::wait::reap;
use crate::sys::{process, run_mark, signal};

/// The most groups of all runs that the kernel is asked to kill with this process.
const MAX_ALL_GROUPS: usize = 256;

/// How soon to list the children again when that failed.
const LIST_AGAIN: Duration = Duration::from_millis(10);

/// A run that the system has no room for at the moment.
#[derive(Debug)]
struct DelayedStart {
    run: u64,
    mark: u64,
    request: SpawnRequest,
    fds: ExecFds,
    retry: StartRetry,
    due: Instant,
    errno: i32,
}

#[derive(Debug)]
pub(crate) struct KeptRuns {
    role: KeeperRole,
    open_files: Rlimit,
    runs: BTreeMap<u64, KeptRun>,
    delayed: Vec<DelayedStart>,
    children: ChildList,
    /// Orphans without a known mark, and the runs that they may belong to.
    adopted: BTreeMap<u32, Vec<u64>>,
    /// Runs that lost a process and are to be looked at.
    bereaved: BTreeSet<u64>,
    /// Reports to be sent.
    pub outbox: Vec<u8>,
}

/// An orphan among the children of this process.
#[derive(Debug)]
struct AdoptedChild {
    pid: u32,
    /// Usually one; several may have an orphan without a known mark.
    owners: Vec<u64>,
}

impl KeptRuns {
    /// `open_files`: the limit that services get.
    pub fn new(role: KeeperRole, open_files: Rlimit) -> KeptRuns {
        KeptRuns {
            role,
            open_files,
            runs: BTreeMap::new(),
            delayed: Vec::new(),
            children: ChildList::open(),
            adopted: BTreeMap::new(),
            bereaved: BTreeSet::new(),
            outbox: Vec::new(),
        }
    }

    /// Whether there is no run.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.delayed.is_empty()
    }

    /// Starts a run with a mark for its processes, or reports why it cannot be started.
    pub fn start(&mut self, run: u64, mark: u64, request: SpawnRequest, fds: ExecFds) {
        let now = Instant::now();
        let (retry, errno) = (StartRetry::new(now), libc::EAGAIN);
        self.try_start(DelayedStart { run, mark, request, fds, retry, due: now, errno });
    }

    fn try_start(&mut self, mut start: DelayedStart) {
        let DelayedStart { run, mark, .. } = start;
        let Some(image) = start.request.exec_image() else {
            let error = io::Error::from_raw_os_error(libc::EBADMSG);
            return self.report(run, StartFailure::new(StartStage::Keeper, &error).into());
        };
        let mut in_child = StartRetry::new(Instant::now());
        let retry = |errno| in_child.pause(errno, Instant::now());
        let limits = ChildLimits { mark, open_files: self.open_files };
        match fork_exec(&image, &start.fds, limits, retry) {
            Ok((main, pipe)) => {
                let service = image.variable(SERVICE_VAR);
                self.runs.insert(run, KeptRun::new(mark, service, main, pipe));
            }
            Err(error) => {
                let failure = StartFailure::new(StartStage::Fork, &error);
                let now = Instant::now();
                match start.retry.pause(failure.errno, now) {
                    None => self.report(run, failure.into()),
                    Some(pause) => {
                        (start.due, start.errno) = (now + pause, failure.errno);
                        self.delayed.push(start);
                    }
                }
            }
        }
    }

    /// Starts what the system had no room for, when it is time.
    pub fn start_delayed(&mut self) {
        let now = Instant::now();
        for one in self.delayed.extract_if(.., |one| one.due <= now).collect::<Vec<_>>() {
            self.try_start(one);
        }
    }

    /// Carries out an order; one for a run that is over does nothing.
    pub fn order(&mut self, run: u64, order: KeeperOrder) {
        if !matches!(order, KeeperOrder::Signal(_)) {
            self.cancel_delayed(|one| one.run == run);
        }
        if let Some(kept) = self.runs.get_mut(&run) {
            kept.order(order);
        }
    }

    fn cancel_delayed(&mut self, choose: impl Fn(&DelayedStart) -> bool) {
        let chosen: Vec<_> = self.delayed.extract_if(.., |one| choose(one)).collect();
        for one in chosen {
            let failure = StartFailure { stage: StartStage::Fork, errno: one.errno };
            self.report(one.run, failure.into());
        }
    }

    /// The supervisor is gone: everything must be over within a second.
    pub fn abandon(&mut self) {
        self.cancel_delayed(|_| true);
        let asked: Vec<u64> =
            self.runs.iter_mut().filter_map(|(run, kept)| kept.abandon().then_some(*run)).collect();
        let orphans = self.orphans().unwrap_or_default();
        for run in asked {
            let mut roots = self.owned(&orphans, run);
            let Some(kept) = self.runs.get(&run) else { continue };
            roots.extend(kept.has_main().then_some(kept.main));
            process_tree::signal_trees(&roots, libc::SIGTERM, |p| p.group != kept.main);
        }
    }

    /// The pipes of runs that do not execute their program yet.
    pub fn pipes(&self) -> impl Iterator<Item = (u64, &ExecPipe)> {
        self.runs.iter().filter_map(|(run, kept)| Some((*run, kept.pipe()?)))
    }

    /// The pipe of a run is readable, or its process has exited.
    pub fn started(&mut self, run: u64) {
        if self.runs.get(&run).and_then(KeptRun::pipe).is_none() {
            return;
        }
        let room = self.room_for_groups();
        if let Some(report) = self.runs.get_mut(&run).and_then(|kept| kept.started(room)) {
            self.report(run, report);
        }
    }

    /// A child has exited and is not reaped yet.
    pub fn reap(&mut self, pid: u32) {
        let is_main = |kept: &KeptRun| kept.has_main() && kept.main == pid;
        let Some((&run, _)) = self.runs.iter().find(|(_, kept)| is_main(kept)) else {
            let owners = self.owners_of(pid);
            self.bereaved.extend(owners);
            self.adopted.remove(&pid);
            reap(pid);
            return;
        };
        self.started(run);
        self.bereaved.insert(run);
        let ends_by_itself = self.runs.get(&run).is_some_and(|kept| !kept.is_ending());
        let orphans = if ends_by_itself { self.orphans().unwrap_or_default() } else { Vec::new() };
        let own = self.owned(&orphans, run);
        let report = self.runs.get_mut(&run).and_then(|kept| kept.reap_main(&own));
        if matches!(report, Some(KeeperReport::Failed { .. })) {
            self.runs.remove(&run);
        }
        report.into_iter().for_each(|report| self.report(run, report));
    }

    /// Ends runs whose tree is empty, and the orphans of those that have lost their main process.
    /// `childless`: this process is known to have no child.
    pub fn settle(&mut self, childless: bool) {
        let now = Instant::now();
        let due = |kept: &KeptRun| kept.kill_at().is_some_and(|at| at <= now);
        let rescans = process::RESCAN_INTERVAL.is_some();
        let concerned: Vec<u64> = self
            .runs
            .iter()
            .filter(|(run, kept)| {
                due(kept) || self.bereaved.contains(run) || (rescans && !kept.has_main())
            })
            .map(|(run, _)| *run)
            .collect();
        if concerned.is_empty() {
            self.bereaved.clear();
            return;
        }
        let Some(orphans) = (if childless { Some(Vec::new()) } else { self.orphans() }) else {
            // Nothing is proved; tried again soon.
            self.bereaved.extend(concerned);
            return;
        };
        self.bereaved.clear();
        let is_proof = childless || self.role != KeeperRole::OneRun;
        for run in concerned {
            let own = self.owned(&orphans, run);
            let Some(kept) = self.runs.get_mut(&run) else { continue };
            if !kept.has_main() {
                if own.is_empty() && is_proof && !process::group_exists(kept.main) {
                    let report = self.runs.remove(&run).map(KeptRun::ended);
                    report.into_iter().for_each(|report| self.report(run, report));
                    continue;
                }
                kept.terminate(&own);
            }
            if due(kept) || kept.is_killing() {
                kept.kill(&own);
            }
        }
    }

    /// Looks for groups of processes where it is time.
    pub fn scan_groups(&mut self) {
        let now = Instant::now();
        let is_due = |kept: &KeptRun| kept.scan_at().is_some_and(|at| at <= now);
        let due: Vec<u64> =
            self.runs.iter().filter_map(|(run, kept)| is_due(kept).then_some(*run)).collect();
        if due.is_empty() {
            return;
        }
        let orphans = self.orphans().unwrap_or_default();
        // The other half is for the groups of main processes.
        let mut room = self.room_for_groups() / 2;
        for run in due {
            let own = self.owned(&orphans, run);
            let Some(kept) = self.runs.get_mut(&run) else { continue };
            let before = kept.groups();
            kept.scan_groups(&own, room);
            room = room.saturating_sub(kept.groups().saturating_sub(before));
        }
    }

    /// How many more groups may die with this process: each takes two open files.
    fn room_for_groups(&self) -> usize {
        let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = MAX_ALL_GROUPS.min(usize::try_from(open_files / 8).unwrap_or(MAX_ALL_GROUPS));
        most.saturating_sub(self.runs.values().map(KeptRun::groups).sum())
    }

    /// Lists the children that are no main process, with their owners; `None` if they cannot be
    /// listed at the moment.
    fn orphans(&mut self) -> Option<Vec<AdoptedChild>> {
        let mains: BTreeSet<u32> =
            self.runs.values().filter(|kept| kept.has_main()).map(|kept| kept.main).collect();
        let mut children = self.children.read()?;
        children.retain(|pid| !mains.contains(pid));
        self.adopted.retain(|pid, _| children.contains(pid));
        let owners = |pid| AdoptedChild { pid, owners: self.owners_of(pid) };
        Some(children.into_iter().map(owners).collect())
    }

    /// Returns the orphans of a run. One that may be of several runs is of none as long as another
    /// of them goes on.
    fn owned(&self, orphans: &[AdoptedChild], run: u64) -> Vec<u32> {
        let ends =
            |owner: &u64| *owner == run || self.runs.get(owner).is_none_or(KeptRun::is_ending);
        orphans
            .iter()
            .filter(|orphan| orphan.owners.contains(&run) && orphan.owners.iter().all(ends))
            .map(|orphan| orphan.pid)
            .collect()
    }

    /// Returns the runs that a child may belong to: by its mark, else by its session, else by the
    /// service in its environment, else all that are older than it.
    fn owners_of(&mut self, pid: u32) -> Vec<u64> {
        if self.role == KeeperRole::OneRun {
            return self.runs.keys().copied().collect();
        }
        if let Some(mark) = run_mark::of(pid) {
            let marked: Vec<u64> = self
                .runs
                .iter()
                .filter_map(|(run, kept)| (kept.mark == mark).then_some(*run))
                .collect();
            if !marked.is_empty() {
                return marked;
            }
        }
        let session = signal::session_of(pid);
        let in_session = |kept: &KeptRun| kept.main.cast_signed() == session;
        if let Some((run, _)) = self.runs.iter().find(|(_, kept)| in_session(kept)) {
            return vec![*run];
        }
        let runs = &self.runs;
        let older = || {
            let service = process::env_var_of(pid, SERVICE_VAR);
            let is_named = |kept: &KeptRun| service.is_some() && kept.service == service;
            if runs.values().any(is_named) {
                let named = runs.iter().filter(|(_, kept)| is_named(kept));
                return named.map(|(run, _)| *run).collect();
            }
            let age = process::process_stat(pid).and_then(|stat| process::age(&stat));
            let is_older = |kept: &KeptRun| age.is_none_or(|age| kept.age() >= age);
            runs.iter().filter_map(|(run, kept)| is_older(kept).then_some(*run)).collect()
        };
        self.adopted.entry(pid).or_insert_with(older).clone()
    }

    /// When there is something to do without an event.
    pub fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let kills = self.runs.values().filter_map(KeptRun::kill_at);
        let starts = self.delayed.iter().map(|one| one.due);
        let scans = self.runs.values().filter_map(KeptRun::scan_at);
        let next =
            kills.chain(starts).chain(scans).min().map(|at| at.saturating_duration_since(now));
        let orphaned = self.runs.values().any(|kept| !kept.has_main());
        let rescan = process::RESCAN_INTERVAL.filter(|_| orphaned);
        // After a failed listing.
        let again = (!self.bereaved.is_empty()).then_some(LIST_AGAIN);
        [next, rescan, again].into_iter().flatten().min()
    }

    pub fn report(&mut self, run: u64, report: KeeperReport) {
        RunMessage { run, report }.encode(&mut self.outbox);
    }
}
