//! The loop of a process that keeps runs for the process at the other end of a socket, and ends
//! them all when that is gone. Single-threaded, no runtime, little memory.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::Rlimit;

use super::keeper_inbox::{KeeperInbox, KeeperRequest};
use super::keeper_protocol::KeeperReport;
use super::keeper_relay::{KeeperRelay, send_all};
use super::kept_run::KILL_AGAIN;
use super::kept_runs::KeptRuns;
use crate::process::process_tree::kill_children;
use crate::sys::fork::exit_now;
use crate::sys::fork_exec::StartStage;
use crate::sys::process::ChildSignals;
use crate::sys::wait::{ChildPoll, poll_child, poll_within, reap};

/// How long trees may take to end once the supervisor is gone.
const KEEPER_GRACE: Duration = Duration::from_millis(700);
/// When to give up on processes that survive SIGKILL because they are stuck in the kernel.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// The most children reaped before requests are read: a service may end processes faster than they
/// can be reaped.
const REAPED_AT_ONCE: usize = 1_000;

/// How a process keeps runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeeperRole {
    /// All runs, told apart by marks.
    AllRuns,
    /// Each run in a keeper of its own, for systems without marks.
    KeeperPerRun,
    /// One run, and no other after it.
    OneRun,
}

/// Runs `body` and ends this forked process. After an error or a panic, kills everything below as
/// far as it can be reached.
pub(crate) fn end_with(body: impl FnOnce() -> io::Result<bool>) -> ! {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(true)) => exit_now(0),
        Ok(Ok(false)) => exit_now(1),
        Ok(Err(_)) | Err(_) => {
            kill_everything();
            exit_now(1)
        }
    }
}

fn kill_everything() {
    let limit = Instant::now() + GIVE_UP_AFTER;
    while Instant::now() < limit {
        kill_children(|_| false);
        match poll_child() {
            Ok(ChildPoll::Exited(pid)) => {
                reap(pid);
            }
            Ok(ChildPoll::AllRunning) | Err(_) => {
                poll_within(&mut [], Some(KILL_AGAIN));
            }
            Ok(ChildPoll::NoChildren) => return,
        }
    }
}

pub(crate) struct KeeperLoop {
    socket: UnixStream,
    signals: ChildSignals,
    role: KeeperRole,
    inbox: KeeperInbox,
    kept: KeptRuns,
    open_files: Rlimit,
    /// More children may have exited than were reaped at once.
    unreaped: bool,
    relay: KeeperRelay,
    had_run: bool,
    /// When the supervisor went away.
    ending: Option<Instant>,
    /// What the supervisor wants to be done after it; empty: nothing.
    last_act: Vec<u8>,
}

impl KeeperLoop {
    /// `open_files`: the limit that services get.
    pub fn new(
        socket: UnixStream,
        signals: ChildSignals,
        role: KeeperRole,
        open_files: Rlimit,
    ) -> KeeperLoop {
        KeeperLoop {
            socket,
            signals,
            role,
            inbox: KeeperInbox::default(),
            kept: KeptRuns::new(role, open_files),
            open_files,
            relay: KeeperRelay::default(),
            unreaped: false,
            had_run: false,
            ending: None,
            last_act: Vec::new(),
        }
    }

    /// Returns what is to be done once everything is over; empty: nothing.
    pub fn last_act(&self) -> &[u8] {
        &self.last_act
    }

    /// Serves until the other end is gone and all trees are empty; one run until it is over. True
    /// when no process is left.
    pub fn serve(&mut self) -> bool {
        loop {
            let childless = self.reap_children();
            self.relay.kill_orphans_of_lost(&mut self.kept.outbox);
            self.kept.settle(childless);
            self.kept.start_delayed();
            self.kept.scan_groups();
            self.flush();
            match self.ending {
                _ if self.had_run && self.role == KeeperRole::OneRun && self.kept.is_empty() => {
                    return true;
                }
                Some(_) if childless && self.kept.is_empty() => return true,
                Some(since) if since.elapsed() >= GIVE_UP_AFTER => return false,
                Some(since) if since.elapsed() >= KEEPER_GRACE => {
                    kill_children(|_| false);
                }
                Some(_) | None => {}
            }
            self.wait();
        }
    }

    /// Reaps exited children. True when no child is left.
    fn reap_children(&mut self) -> bool {
        self.unreaped = false;
        for _ in 0..REAPED_AT_ONCE {
            match poll_child() {
                Ok(ChildPoll::Exited(pid)) if self.relay.is_keeper(pid) => {
                    self.relay.reap(pid, &mut self.kept.outbox);
                }
                Ok(ChildPoll::Exited(pid)) => self.kept.reap(pid),
                // An error proves nothing: they are killed once the supervisor is gone.
                Ok(ChildPoll::AllRunning) | Err(_) => return false,
                Ok(ChildPoll::NoChildren) => return true,
            }
        }
        self.unreaped = true;
        false
    }

    /// Sends the reports.
    fn flush(&mut self) {
        // Fails only when the supervisor is gone, which needs none.
        let _ = send_all(&self.socket, &self.kept.outbox);
        self.kept.outbox.clear();
    }

    /// Waits for the next event and handles it.
    fn wait(&mut self) {
        let grace = self.ending.map(|since| KEEPER_GRACE.saturating_sub(since.elapsed()));
        let grace = grace.map(|left| left.max(KILL_AGAIN));
        let again = self.relay.has_lost().then_some(KILL_AGAIN);
        let unreaped = self.unreaped.then_some(Duration::ZERO);
        let timeout = [grace, again, unreaped, self.kept.timeout()].into_iter().flatten().min();
        let open = self.ending.is_none();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(open.then(|| PollFd::new(&self.socket, PollFlags::IN)));
        let pipes: Vec<u64> = self.kept.pipes().map(|(run, _)| run).collect();
        fds.extend(
            self.kept
                .pipes()
                .map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)),
        );
        fds.extend(
            self.relay.sockets().map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)),
        );
        poll_within(&mut fds, timeout);
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (own, others) = ready.split_at(1 + usize::from(open));
        let (started, relayed) = others.split_at(pipes.len());
        if own[0] {
            self.signals.drain();
        }
        for (run, _) in pipes.iter().zip(started).filter(|(_, ready)| **ready) {
            self.kept.started(*run);
        }
        self.relay.receive(relayed, &mut self.kept.outbox);
        if own.get(1) == Some(&true) {
            self.receive();
        }
    }

    fn receive(&mut self) {
        let mut open = self.inbox.read(&self.socket);
        loop {
            match self.inbox.next() {
                Ok(Some(request)) => self.handle(request),
                Ok(None) => break,
                Err(_) => {
                    open = false;
                    break;
                }
            }
        }
        if !open {
            self.ending = Some(Instant::now());
            self.kept.abandon();
            self.relay.abandon();
        }
    }

    fn handle(&mut self, request: KeeperRequest) {
        let starts =
            matches!(request, KeeperRequest::Start { .. } | KeeperRequest::Incomplete { .. });
        self.had_run |= starts;
        match request {
            KeeperRequest::Start { run, mark, request, fds } => {
                if self.role != KeeperRole::KeeperPerRun {
                    return self.kept.start(run, mark, request, fds);
                }
                if let Err(failure) = self.relay.start(run, mark, request, fds, &self.open_files) {
                    self.kept.report(run, failure.into());
                }
            }
            KeeperRequest::Incomplete { run } => {
                let report =
                    KeeperReport::Failed { stage: StartStage::Keeper, errno: libc::EMFILE };
                self.kept.report(run, report);
            }
            KeeperRequest::LastAct(act) => self.last_act = act,
            KeeperRequest::Order { run, order } => {
                self.kept.order(run, order);
                self.relay.order(run, order);
            }
        }
    }
}
