//! The guard process: forks a keeper for each run on request, kills the orphans of dead keepers,
//! and makes sure that all keepers exit once the supervisor is gone.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, SendFlags};

use super::guard_protocol::{KEEPER_FDS, REQUEST_LEN, decode_request};
use crate::model::ProcessExit;
use crate::process::keeper::{KeeperFds, KeeperReport, StartStage, keeper_loop};
use crate::process::process_tree::kill_children;
use crate::process::spawn::MAX_LISTEN_FDS;
use crate::sys::fork::{ForkResult, close_copy, exit_now, fork};
use crate::sys::process;
use crate::sys::process::ChildSignals;
use crate::sys::wait::{ChildPoll, poll_child, reap};

/// How long keepers may take to end their trees once the supervisor is gone.
const KEEPER_GRACE: Duration = Duration::from_millis(700);
/// When the guard gives up on processes that survive SIGKILL because they are stuck in the kernel.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
/// How often to check while killing.
const KILL_AGAIN: Duration = Duration::from_millis(10);

pub(super) fn run(socket: UnixStream) -> ! {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        std::panic::set_hook(Box::new(|_| {}));
        isolate(&socket)
            .and_then(|signals| GuardLoop::new(socket, signals))
            .map(|mut guard| guard.serve())
    }));
    match outcome {
        Ok(Ok(true)) => exit_now(0),
        Ok(Ok(false)) => exit_now(1),
        Ok(Err(_)) | Err(_) => {
            kill_everything();
            exit_now(1)
        }
    }
}

/// Kills everything below after a panic, as far as it can be reached.
fn kill_everything() {
    let limit = Instant::now() + GIVE_UP_AFTER;
    while Instant::now() < limit {
        kill_children(|_| false);
        match poll_child() {
            Ok(ChildPoll::Exited(pid)) => {
                reap(pid);
            }
            #[expect(clippy::disallowed_methods, reason = "the guard's loop is gone")]
            Ok(ChildPoll::AllRunning) | Err(_) => std::thread::sleep(KILL_AGAIN),
            Ok(ChildPoll::NoChildren) => return,
        }
    }
}

/// Detaches from the user's terminal, directory and files: a guard that held the user's stdout
/// would keep `devstack up | head` waiting.
fn isolate(socket: &UnixStream) -> io::Result<ChildSignals> {
    process::set_process_name(c"ds-guard");
    rustix::process::setsid()?;
    process::become_subreaper()?;
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    process::close_fds_except(socket.as_raw_fd());
    let signals = ChildSignals::new()?;
    #[expect(clippy::disallowed_methods, reason = "own process with one thread")]
    std::env::set_current_dir("/")?;
    Ok(signals)
}

struct GuardLoop {
    socket: UnixStream,
    signals: ChildSignals,
    /// Keepers see a hang-up here when the guard, sole holder of `liveness_write`, exits.
    liveness_read: PipeReader,
    liveness_write: PipeWriter,
    /// Run by the pid of its keeper.
    keepers: BTreeMap<u32, u64>,
    /// Runs whose keeper died and whose orphans are being killed.
    lost: Vec<u64>,
    /// When the supervisor went away.
    ending: Option<Instant>,
}

enum GuardRequest {
    /// Start a keeper for this run.
    Keep(u64, KeeperFds),
    /// The descriptors of the request did not arrive.
    Incomplete(u64),
    /// Interrupted; there is no request.
    Nothing,
    Closed,
}

impl GuardLoop {
    fn new(socket: UnixStream, signals: ChildSignals) -> io::Result<GuardLoop> {
        let (alive, pulse) = io::pipe()?;
        let (keepers, lost, ending) = (BTreeMap::new(), Vec::new(), None);
        Ok(GuardLoop {
            socket,
            signals,
            liveness_read: alive,
            liveness_write: pulse,
            keepers,
            lost,
            ending,
        })
    }

    /// Runs until the supervisor is gone and all keepers have exited. True when no process is left.
    fn serve(&mut self) -> bool {
        loop {
            let empty = self.reap_children();
            self.kill_lost_orphans();
            match self.ending {
                Some(_) if empty => return true,
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
        loop {
            match poll_child() {
                Ok(ChildPoll::Exited(pid)) => {
                    let exit = reap(pid);
                    if let Some(run) = self.keepers.remove(&pid)
                        && exit != Some(ProcessExit::Code(0))
                    {
                        self.lost.push(run);
                    }
                }
                // An error proves nothing: they are killed once the supervisor is gone.
                Ok(ChildPoll::AllRunning) | Err(_) => return false,
                Ok(ChildPoll::NoChildren) => return true,
            }
        }
    }

    /// The tree of a dead keeper now belongs to the guard: it is every child that is not a keeper.
    fn kill_lost_orphans(&mut self) {
        if !self.lost.is_empty() && kill_children(|pid| self.keepers.contains_key(&pid)) == 0 {
            for run in std::mem::take(&mut self.lost) {
                self.report_lost_keeper(run);
            }
        }
    }

    fn report_lost_keeper(&self, run: u64) {
        // Fails only when the supervisor is gone, which then needs no report.
        let _ = rustix::net::send(&self.socket, &run.to_le_bytes(), SendFlags::empty());
    }

    fn wait(&mut self) {
        let timeout = match self.ending {
            _ if !self.lost.is_empty() => Some(KILL_AGAIN),
            Some(since) => Some(KEEPER_GRACE.saturating_sub(since.elapsed()).max(KILL_AGAIN)),
            None => None,
        };
        let timeout = timeout
            .map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
        let mut fds =
            [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.socket, PollFlags::IN)];
        let count = if self.ending.is_none() { 2 } else { 1 };
        // An interrupted poll reports nothing; the loop polls again.
        let _ = poll(&mut fds[..count], timeout.as_ref());
        let [child, request] = fds.map(|fd| !fd.revents().is_empty());
        if child {
            self.signals.drain();
        }
        if request {
            match receive(&self.socket) {
                GuardRequest::Keep(run, ends) => self.fork_keeper(run, ends),
                GuardRequest::Incomplete(run) => self.report_lost_keeper(run),
                GuardRequest::Nothing => {}
                GuardRequest::Closed => self.ending = Some(Instant::now()),
            }
        }
    }

    fn fork_keeper(&mut self, run: u64, ends: KeeperFds) {
        match fork() {
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                let mut frame = Vec::new();
                KeeperReport::Failed { stage: StartStage::Fork, errno }.encode(&mut frame);
                // Fails only when the supervisor is gone.
                let _ = rustix::net::send(&ends.line, &frame, SendFlags::empty());
            }
            Ok(ForkResult::Child) => self.become_keeper(ends),
            Ok(ForkResult::Parent(pid)) => {
                self.keepers.insert(pid, run);
            }
        }
    }

    /// Runs in the forked child. Closes the guard's own descriptors at once: a keeper that held
    /// them would hide the guard's exit from the other keepers.
    fn become_keeper(&mut self, ends: KeeperFds) -> ! {
        close_copy(self.liveness_write.as_raw_fd());
        close_copy(self.socket.as_raw_fd());
        let kept = catch_unwind(AssertUnwindSafe(|| {
            self.signals.after_fork()?;
            keeper_loop::run_keeper(ends, self.liveness_read.as_fd(), &self.signals)
        }));
        if !matches!(kept, Ok(Ok(()))) {
            kill_everything();
            exit_now(1);
        }
        exit_now(0)
    }
}

fn receive(socket: &UnixStream) -> GuardRequest {
    let mut request = [0; REQUEST_LEN];
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(KEEPER_FDS + MAX_LISTEN_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut request)];
    let count = match rustix::net::recvmsg(socket, &mut parts, &mut control, process::RECV_FLAGS) {
        Ok(message) => message.bytes,
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return GuardRequest::Nothing,
        Err(_) => 0,
    };
    if count == 0 {
        return GuardRequest::Closed;
    }
    let mut fds: Vec<OwnedFd> = Vec::with_capacity(KEEPER_FDS + MAX_LISTEN_FDS);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    fds.iter().for_each(|fd| process::close_on_exec(fd.as_fd()));
    let (run, handed) = decode_request(request);
    let sockets = fds.split_off(fds.len().min(KEEPER_FDS));
    match <[OwnedFd; KEEPER_FDS]>::try_from(fds) {
        Ok([line, stdout, stderr]) if sockets.len() == handed => {
            GuardRequest::Keep(run, KeeperFds { line: line.into(), stdout, stderr, sockets })
        }
        Ok(_) | Err(_) => GuardRequest::Incomplete(run),
    }
}
