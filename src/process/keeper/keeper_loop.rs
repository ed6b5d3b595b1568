//! The parent of one service: starts it, reports its exit, and stays until its tree is empty. A
//! plain fork of the guard: single-threaded, no runtime, little memory.

use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags};

use super::keeper_protocol::{KeeperOrder, KeeperReport, MAX_REPORTED_ORPHANS};
use super::keeper_start::{StartFailure, start};
use crate::process::process_tree;
use crate::sys::process::ChildSignals;
use crate::sys::wait::{ChildPoll, poll_child, reap};
use crate::sys::{process, signal};

/// How long orphans may take to exit after TERM when the main process exited on its own.
const ORPHAN_GRACE: Duration = Duration::from_millis(500);
/// The same when a stop was requested: the rest of the tree may finish its work like the main
/// process. The supervisor usually kills first, after the service's own grace period.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The same when supervisor or guard are gone: all must be over within a second.
const ABANDONED_GRACE: Duration = Duration::from_millis(400);
/// How often to kill again, in case a list of children was incomplete.
const KILL_AGAIN: Duration = Duration::from_millis(10);
#[derive(Debug, Clone, Copy)]
enum KeeperPhase {
    /// The main process runs.
    Running,
    /// A stop was requested, by a signal to the main process's group or by other means.
    Stopping { by_signal: bool },
    /// The orphans got TERM and are killed at this time.
    Terminating(Instant),
    /// Everything left is being killed.
    Killing,
}

/// The descriptors a keeper gets for its run.
pub(crate) struct KeeperFds {
    /// Connection to the supervisor; at its end of file the supervisor is gone.
    pub line: UnixStream,
    /// Write end of the service's stdout, or its pty.
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Sockets that are passed to the service.
    pub sockets: Vec<OwnedFd>,
}

struct KeeperLoop<'a> {
    line: UnixStream,
    guard: BorrowedFd<'a>,
    signals: &'a ChildSignals,
    main: u32,
    main_lives: bool,
    phase: KeeperPhase,
    line_open: bool,
    guard_lives: bool,
    orphans: Vec<(u32, String)>,
    outbox: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum TreeState {
    Alive,
    Empty,
}

/// Keeps one run from start to end. `guard` reports a hang-up when the guard is gone.
///
/// # Errors
/// The system does not report children. Then the tree may not be empty; the guard ends it, and
/// reports the keeper as lost.
pub(crate) fn run_keeper(
    ends: KeeperFds,
    guard: BorrowedFd<'_>,
    signals: &ChildSignals,
) -> io::Result<()> {
    let KeeperFds { mut line, stdout, stderr, sockets } = ends;
    match start(&mut line, guard, &stdout, &stderr, &sockets) {
        Ok(main) => {
            drop((stdout, stderr, sockets));
            // The keeper must not pin the service's working directory.
            #[expect(clippy::disallowed_methods, reason = "own process with one thread")]
            let _ = std::env::set_current_dir("/");
            KeeperLoop::new(line, guard, signals, main).watch()
        }
        Err(StartFailure { stage, errno }) => {
            send_report(&line, &KeeperReport::Failed { stage, errno });
            Ok(())
        }
    }
}

/// Polls with a timeout. True when a descriptor is ready.
pub(super) fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> bool {
    let timeout =
        timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
    matches!(poll(fds, timeout.as_ref()), Ok(n) if n > 0)
}

fn send_report(line: &UnixStream, report: &KeeperReport) {
    let mut bytes = Vec::new();
    report.encode(&mut bytes);
    send_all(line, &bytes);
}

/// Gives up on errors: a supervisor that is gone needs no report.
fn send_all(line: &UnixStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::net::send(line, bytes, SendFlags::empty()) {
            Ok(n) => bytes = &bytes[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

impl<'a> KeeperLoop<'a> {
    fn new(
        line: UnixStream,
        guard: BorrowedFd<'a>,
        signals: &'a ChildSignals,
        main: u32,
    ) -> KeeperLoop<'a> {
        let mut outbox = Vec::new();
        KeeperReport::Spawned { keeper: std::process::id(), pid: main }.encode(&mut outbox);
        KeeperLoop {
            line,
            guard,
            signals,
            main,
            main_lives: true,
            phase: KeeperPhase::Running,
            line_open: true,
            guard_lives: true,
            orphans: Vec::new(),
            outbox,
        }
    }

    /// Returns when the tree is empty.
    fn watch(&mut self) -> io::Result<()> {
        loop {
            if self.reap()? == TreeState::Empty {
                let orphans = std::mem::take(&mut self.orphans);
                KeeperReport::Empty { orphans }.encode(&mut self.outbox);
                self.flush();
                return Ok(());
            }
            self.kill_if_due();
            self.flush();
            self.listen();
        }
    }

    fn flush(&mut self) {
        if !self.outbox.is_empty() {
            send_all(&self.line, &self.outbox);
            self.outbox.clear();
        }
    }

    /// Reaps exited processes. When the main process was one of them, terminates the rest.
    fn reap(&mut self) -> io::Result<TreeState> {
        let mut main_died = false;
        loop {
            match poll_child()? {
                ChildPoll::Exited(pid) if pid == self.main && self.main_lives => {
                    self.reap_main();
                    main_died = true;
                }
                ChildPoll::Exited(pid) => {
                    reap(pid);
                }
                ChildPoll::AllRunning => break,
                ChildPoll::NoChildren if process::group_exists(self.main) => break,
                ChildPoll::NoChildren => return Ok(TreeState::Empty),
            }
        }
        if main_died && !matches!(self.phase, KeeperPhase::Killing) {
            self.terminate_orphans();
        }
        Ok(TreeState::Alive)
    }

    /// Until the main process is reaped its pid is pinned, so its group can be signalled safely.
    fn reap_main(&mut self) {
        match self.phase {
            KeeperPhase::Running => {
                self.record_orphans();
                self.signal_group(libc::SIGTERM);
            }
            KeeperPhase::Stopping { by_signal: false } => self.signal_group(libc::SIGTERM),
            KeeperPhase::Stopping { by_signal: true }
            | KeeperPhase::Terminating(_)
            | KeeperPhase::Killing => {}
        }
        self.main_lives = false;
        if let Some(exit) = reap(self.main) {
            KeeperReport::Exited(exit).encode(&mut self.outbox);
        }
    }

    /// The main process has exited and others have not.
    fn terminate_orphans(&mut self) {
        let main = self.main;
        let grace = match self.phase {
            // Its group has just got TERM.
            KeeperPhase::Running => Some(ORPHAN_GRACE),
            // Some programs take a second TERM as "at once", so only the rest of the tree gets one.
            KeeperPhase::Stopping { .. } => Some(STOP_GRACE),
            KeeperPhase::Terminating(_) | KeeperPhase::Killing => None,
        };
        if let Some(grace) = grace {
            process_tree::signal_descendants(libc::SIGTERM, |p| p.group != main);
            self.phase = KeeperPhase::Terminating(Instant::now() + grace);
        }
    }

    fn record_orphans(&mut self) {
        let main = self.main;
        let alive = |pid: u32| match process::process_stat(pid) {
            Some(p) if !p.zombie => Some((pid, p.name)),
            _ => None,
        };
        let tree = process_tree::descendants(std::process::id());
        self.orphans = tree
            .into_iter()
            .filter(|pid| *pid != main)
            .filter_map(alive)
            .take(MAX_REPORTED_ORPHANS)
            .collect();
    }

    fn signal_group(&self, number: i32) {
        if self.main_lives {
            signal::kill_group(self.main, number);
            signal::kill_group(self.main, libc::SIGCONT);
        }
    }

    fn signal_main(&self, number: i32) {
        if self.main_lives {
            signal::kill(self.main, number);
        }
    }

    fn kill_if_due(&mut self) {
        match self.phase {
            KeeperPhase::Terminating(until) if Instant::now() >= until => self.kill(),
            KeeperPhase::Killing => self.kill(),
            KeeperPhase::Running | KeeperPhase::Stopping { .. } | KeeperPhase::Terminating(_) => {}
        }
    }

    /// Kills what is there now. Called again until the tree is empty.
    fn kill(&mut self) {
        if !matches!(self.phase, KeeperPhase::Killing) {
            if !self.main_lives && self.orphans.is_empty() {
                self.record_orphans();
            }
            self.phase = KeeperPhase::Killing;
        }
        process_tree::kill_children(|_| false);
        if self.main_lives || process::group_exists(self.main) {
            signal::kill_group(self.main, libc::SIGKILL);
        }
    }

    /// Waits for the next event and handles it.
    fn listen(&mut self) {
        let timeout = match self.phase {
            KeeperPhase::Running | KeeperPhase::Stopping { .. } => None,
            KeeperPhase::Terminating(until) => {
                let left = until.saturating_duration_since(Instant::now());
                Some(process::RESCAN_INTERVAL.map_or(left, |again| again.min(left)))
            }
            KeeperPhase::Killing => Some(KILL_AGAIN),
        };
        let mut fds = [
            PollFd::new(self.signals, PollFlags::IN),
            PollFd::new(&self.line, PollFlags::IN),
            PollFd::from_borrowed_fd(self.guard, PollFlags::IN),
        ];
        // A closed connection would report its hang-up forever, so it is not polled again.
        let count = match (self.line_open, self.guard_lives) {
            (true, true) => 3,
            (true, false) => 2,
            (false, _) => 1,
        };
        wait(&mut fds[..count], timeout);
        let [child, line, guard] = fds.map(|fd| !fd.revents().is_empty());
        if child {
            self.signals.drain();
        }
        if line {
            self.read_order();
        }
        if guard {
            self.guard_lives = false;
            self.stop_abandoned();
        }
    }

    /// Reads one order of two bytes. A full socket may split them; then the second follows at once.
    fn read_order(&mut self) {
        let mut order = [0; 2];
        match rustix::net::recv(&self.line, &mut order, RecvFlags::DONTWAIT) {
            Ok((_, 2)) => self.carry_out(order),
            Ok((_, 1)) if (&self.line).read_exact(&mut order[1..]).is_ok() => self.carry_out(order),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Ok(_) | Err(_) => self.connection_lost(),
        }
    }

    fn carry_out(&mut self, order: [u8; 2]) {
        match KeeperOrder::decode(order) {
            Some(KeeperOrder::Signal(number)) => self.signal_main(number.into()),
            Some(KeeperOrder::Stop(number)) => {
                self.signal_group(number.into());
                self.mark_stopping(true);
            }
            Some(KeeperOrder::Stopping) => self.mark_stopping(false),
            Some(KeeperOrder::Kill) => self.kill(),
            None => self.connection_lost(),
        }
    }

    fn mark_stopping(&mut self, by_signal: bool) {
        if matches!(self.phase, KeeperPhase::Running | KeeperPhase::Stopping { .. }) {
            self.phase = KeeperPhase::Stopping { by_signal };
        }
    }

    fn connection_lost(&mut self) {
        self.line_open = false;
        self.stop_abandoned();
    }

    /// Supervisor or guard is gone: the whole tree must be dead within a second.
    fn stop_abandoned(&mut self) {
        let until = Instant::now() + ABANDONED_GRACE;
        match self.phase {
            KeeperPhase::Running | KeeperPhase::Stopping { .. } => {
                let main = self.main;
                self.signal_group(libc::SIGTERM);
                process_tree::signal_descendants(libc::SIGTERM, |p| p.group != main);
            }
            KeeperPhase::Terminating(earlier) if earlier <= until => return,
            KeeperPhase::Terminating(_) => {}
            KeeperPhase::Killing => return,
        }
        self.phase = KeeperPhase::Terminating(until);
    }
}
