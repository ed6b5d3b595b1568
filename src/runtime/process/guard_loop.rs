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

use super::handed::MAX_HANDED;
use super::keeper::{self, Ends};
use super::platform::{self, Signals};
use super::reap::{Reaped, bury, next_dead};
use super::tree::kill_children;
use super::wire::{ENDS, REQUEST, Report, Stage, asked};
use crate::model::ProcessExit;

/// How long keepers may take to end their trees once the supervisor is gone.
const ENDING_GRACE: Duration = Duration::from_millis(700);
/// When the guard gives up on processes that survive SIGKILL because they are stuck in the kernel.
const ENDING_LIMIT: Duration = Duration::from_secs(10);
/// How often to check while killing.
const KILL_AGAIN: Duration = Duration::from_millis(10);

pub(super) fn run(socket: UnixStream) -> ! {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        std::panic::set_hook(Box::new(|_| {}));
        set_up(&socket)
            .and_then(|signals| Guard::new(socket, signals))
            .map(|mut guard| guard.serve())
    }));
    match outcome {
        Ok(Ok(true)) => leave(0),
        Ok(Ok(false)) => leave(1),
        Ok(Err(_)) | Err(_) => {
            sweep_at_last();
            leave(1)
        }
    }
}

/// Ends a forked process without running the parent's exit handlers.
fn leave(code: i32) -> ! {
    // SAFETY: ends the process, so nothing is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Kills everything below after a panic, as far as it can be reached.
fn sweep_at_last() {
    let limit = Instant::now() + ENDING_LIMIT;
    while Instant::now() < limit {
        kill_children(|_| false);
        match next_dead() {
            Reaped::Dead(pid) => {
                bury(pid);
            }
            #[expect(clippy::disallowed_methods, reason = "the guard's loop is gone")]
            Reaped::NoneDead => std::thread::sleep(KILL_AGAIN),
            Reaped::NoChildren => return,
        }
    }
}

/// Detaches from the user's terminal, directory and files: a guard that held the user's stdout
/// would keep `devstack up | head` waiting.
fn set_up(socket: &UnixStream) -> io::Result<Signals> {
    platform::name_self(c"ds-guard");
    rustix::process::setsid()?;
    platform::adopt_orphans()?;
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    platform::close_all_but(socket.as_raw_fd());
    let signals = Signals::new()?;
    #[expect(clippy::disallowed_methods, reason = "own process with one thread")]
    std::env::set_current_dir("/")?;
    Ok(signals)
}

struct Guard {
    socket: UnixStream,
    signals: Signals,
    /// Keepers see a hang-up here when the guard, sole holder of `liveness_write`, exits.
    alive: PipeReader,
    pulse: PipeWriter,
    /// Run by the pid of its keeper.
    keepers: BTreeMap<u32, u64>,
    /// Runs whose keeper died and whose orphans are being killed.
    lost: Vec<u64>,
    /// When the supervisor went away.
    ending: Option<Instant>,
}

enum Request {
    /// Start a keeper for this run.
    Keep(u64, Ends),
    /// The descriptors of the request did not arrive.
    Torn(u64),
    /// Interrupted; there is no request.
    Nothing,
    Gone,
}

impl Guard {
    fn new(socket: UnixStream, signals: Signals) -> io::Result<Guard> {
        let (alive, pulse) = io::pipe()?;
        let (keepers, lost, ending) = (BTreeMap::new(), Vec::new(), None);
        Ok(Guard { socket, signals, alive, pulse, keepers, lost, ending })
    }

    /// Runs until the supervisor is gone and all keepers have exited. True when no process is left.
    fn serve(&mut self) -> bool {
        loop {
            let empty = self.reap();
            self.sweep_after_lost();
            match self.ending {
                Some(_) if empty => return true,
                Some(since) if since.elapsed() >= ENDING_LIMIT => return false,
                Some(since) if since.elapsed() >= ENDING_GRACE => {
                    kill_children(|_| false);
                }
                Some(_) | None => {}
            }
            self.listen();
        }
    }

    /// Reaps exited children. True when no child is left.
    fn reap(&mut self) -> bool {
        loop {
            match next_dead() {
                Reaped::Dead(pid) => {
                    let exit = bury(pid);
                    if let Some(run) = self.keepers.remove(&pid)
                        && exit != Some(ProcessExit::Code(0))
                    {
                        self.lost.push(run);
                    }
                }
                Reaped::NoneDead => return false,
                Reaped::NoChildren => return true,
            }
        }
    }

    /// The tree of a dead keeper now belongs to the guard: it is every child that is not a keeper.
    fn sweep_after_lost(&mut self) {
        if !self.lost.is_empty() && kill_children(|pid| self.keepers.contains_key(&pid)) == 0 {
            for run in std::mem::take(&mut self.lost) {
                self.tell_lost(run);
            }
        }
    }

    fn tell_lost(&self, run: u64) {
        // Fails only when the supervisor is gone, which then needs no report.
        let _ = rustix::net::send(&self.socket, &run.to_le_bytes(), SendFlags::empty());
    }

    fn listen(&mut self) {
        let timeout = match self.ending {
            _ if !self.lost.is_empty() => Some(KILL_AGAIN),
            Some(since) => Some(ENDING_GRACE.saturating_sub(since.elapsed()).max(KILL_AGAIN)),
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
                Request::Keep(run, ends) => self.fork(run, ends),
                Request::Torn(run) => self.tell_lost(run),
                Request::Nothing => {}
                Request::Gone => self.ending = Some(Instant::now()),
            }
        }
    }

    fn fork(&mut self, run: u64, ends: Ends) {
        // SAFETY: this process has one thread, so the child may do anything.
        match unsafe { libc::fork() } {
            -1 => {
                let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN);
                let mut frame = Vec::new();
                Report::Failed { stage: Stage::Fork, errno }.encode(&mut frame);
                // Fails only when the supervisor is gone.
                let _ = rustix::net::send(&ends.line, &frame, SendFlags::empty());
            }
            0 => self.become_keeper(ends),
            pid => {
                self.keepers.insert(pid.cast_unsigned(), run);
            }
        }
    }

    /// Runs in the forked child. Closes the guard's own descriptors at once: a keeper that held
    /// them would hide the guard's exit from the other keepers.
    fn become_keeper(&mut self, ends: Ends) -> ! {
        // SAFETY: the originals belong to the guard; this process never uses or closes these copies
        // again, because it exits without dropping anything.
        unsafe {
            libc::close(self.pulse.as_raw_fd());
            libc::close(self.socket.as_raw_fd());
        }
        let kept = catch_unwind(AssertUnwindSafe(|| {
            self.signals.after_fork().is_ok_and(|()| {
                keeper::keep(ends, self.alive.as_fd(), &self.signals);
                true
            })
        }));
        if !matches!(kept, Ok(true)) {
            sweep_at_last();
            leave(1);
        }
        leave(0)
    }
}

fn receive(socket: &UnixStream) -> Request {
    let mut request = [0; REQUEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ENDS + MAX_HANDED))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut request)];
    let count = match rustix::net::recvmsg(socket, &mut parts, &mut control, platform::RECV_FLAGS) {
        Ok(message) => message.bytes,
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Request::Nothing,
        Err(_) => 0,
    };
    if count == 0 {
        return Request::Gone;
    }
    let mut fds: Vec<OwnedFd> = Vec::with_capacity(ENDS + MAX_HANDED);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    fds.iter().for_each(|fd| platform::close_on_exec(fd.as_fd()));
    let (run, handed) = asked(request);
    let sockets = fds.split_off(fds.len().min(ENDS));
    match <[OwnedFd; ENDS]>::try_from(fds) {
        Ok([line, stdout, stderr]) if sockets.len() == handed => {
            Request::Keep(run, Ends { line: line.into(), stdout, stderr, sockets })
        }
        Ok(_) | Err(_) => Request::Torn(run),
    }
}
