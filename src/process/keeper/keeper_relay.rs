//! Keepers: one small process for each run, the parent of its main process, on systems that cannot
//! mark processes. The guard passes requests on to them, and their reports back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::Rlimit;

use super::keeper_loop::{KeeperLoop, KeeperRole, end_with};
use super::keeper_protocol::{KeeperOrder, KeeperReport, RequestHead, RunMessage};
use crate::model::ProcessExit;
use crate::process::process_tree::kill_children;
use crate::process::spawn::SpawnRequest;
use crate::sys::fd_passing::send_with_fds;
use crate::sys::fork::{ForkResult, fork};
use crate::sys::fork_exec::{ExecFds, StartFailure, StartStage};
use crate::sys::process::ChildSignals;
use crate::sys::wait::reap;
use crate::sys::{process, signal};

#[derive(Debug)]
struct RunKeeper {
    pid: u32,
    run: u64,
    /// `None` at its end of file.
    socket: Option<UnixStream>,
    /// The beginning of a report.
    inbox: Vec<u8>,
    /// How it ended, once it has.
    exit: Option<Option<ProcessExit>>,
}

#[derive(Debug, Default)]
pub(super) struct KeeperRelay {
    keepers: Vec<RunKeeper>,
    /// Runs whose keeper died and whose orphans are being killed.
    lost: Vec<u64>,
}

impl KeeperRelay {
    /// Forks a keeper for a run.
    pub fn start(
        &mut self,
        run: u64,
        mark: u64,
        request: SpawnRequest,
        fds: ExecFds,
        open_files: &Rlimit,
    ) -> Result<(), StartFailure> {
        let failed = |error: io::Error| StartFailure::new(StartStage::Fork, &error);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        match fork().map_err(failed)? {
            ForkResult::Child => {
                // Nothing else of the guard is used from here on.
                process::close_fds_except(theirs.as_raw_fd());
                end_with(|| become_keeper(theirs, *open_files))
            }
            ForkResult::Parent(pid) => {
                if send_start(&ours, run, mark, &request, &fds).is_err() {
                    // Reported as lost.
                    signal::kill(pid, libc::SIGKILL);
                }
                let (socket, inbox) = (Some(ours), Vec::new());
                self.keepers.push(RunKeeper { pid, run, socket, inbox, exit: None });
                Ok(())
            }
        }
    }

    pub fn order(&self, run: u64, order: KeeperOrder) {
        let keeper = self.keepers.iter().find(|keeper| keeper.run == run);
        if let Some(RunKeeper { pid, socket: Some(socket), .. }) = keeper {
            let (pid, request) = (*pid, RequestHead::Order { run, order }.encode());
            let sent = rustix::net::send(socket, &request, SendFlags::DONTWAIT);
            if sent.is_err() && order == KeeperOrder::Kill {
                // It reads nothing; its tree is killed once it is dead.
                signal::kill(pid, libc::SIGKILL);
            }
        }
    }

    /// The keepers see an end of file, and end their trees.
    pub fn abandon(&mut self) {
        for socket in self.keepers.iter().filter_map(|keeper| keeper.socket.as_ref()) {
            // Fails only when it is closed already.
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
    }

    pub fn is_keeper(&self, pid: u32) -> bool {
        self.keepers.iter().any(|keeper| keeper.pid == pid && keeper.exit.is_none())
    }

    /// Reaps a keeper that has exited, and passes on its last reports.
    pub fn reap(&mut self, pid: u32, outbox: &mut Vec<u8>) {
        if let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.pid == pid) {
            // All that it sent is there.
            while keeper.receive(outbox) {}
            keeper.socket = None;
            keeper.exit = Some(reap(pid));
        }
        self.remove_ended();
    }

    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.keepers.iter().filter_map(|keeper| keeper.socket.as_ref()).map(AsFd::as_fd)
    }

    /// Passes on the reports of those keepers whose socket is `ready`, in the order of `sockets`.
    pub fn receive(&mut self, ready: &[bool], outbox: &mut Vec<u8>) {
        let open = self.keepers.iter_mut().filter(|keeper| keeper.socket.is_some());
        for (keeper, _) in open.zip(ready).filter(|(_, ready)| **ready) {
            keeper.receive(outbox);
        }
        self.remove_ended();
    }

    /// Removes keepers that are reaped and whose reports are read.
    fn remove_ended(&mut self) {
        let ended = |keeper: &mut RunKeeper| keeper.exit.is_some() && keeper.socket.is_none();
        for keeper in self.keepers.extract_if(.., ended) {
            if keeper.exit != Some(Some(ProcessExit::Code(0))) {
                self.lost.push(keeper.run);
            }
        }
    }

    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The tree of a dead keeper now belongs to this process: it is every child that is no keeper.
    pub fn kill_orphans_of_lost(&mut self, outbox: &mut Vec<u8>) {
        if self.has_lost() && kill_children(|pid| self.is_keeper(pid)) == 0 {
            for run in std::mem::take(&mut self.lost) {
                RunMessage { run, report: KeeperReport::Lost }.encode(outbox);
            }
        }
    }
}

impl RunKeeper {
    /// Passes on what has arrived. Whether there was anything.
    fn receive(&mut self, outbox: &mut Vec<u8>) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut bytes = [0; 4096];
        match rustix::net::recv(socket, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((_, count @ 1..)) => self.inbox.extend(&bytes[..count]),
            Err(Errno::INTR | Errno::AGAIN) => return false,
            Ok(_) | Err(_) => {
                self.socket = None;
                return false;
            }
        }
        while let Ok(Some((mut message, used))) = RunMessage::decode(&self.inbox) {
            self.inbox.drain(..used);
            if let KeeperReport::Spawned { keeper, .. } = &mut message.report {
                *keeper = Some(self.pid);
            }
            message.encode(outbox);
        }
        true
    }
}

/// Moves to a group of its own in the guard's session, so that no terminal and no group signal
/// reaches the keeper (a session of its own would make the kernel set up a scheduling group too),
/// and becomes a subreaper.
fn become_keeper(socket: UnixStream, open_files: Rlimit) -> io::Result<bool> {
    process::set_process_name(c"ds-keep");
    rustix::process::setpgid(None, None)?;
    process::become_subreaper()?;
    let signals = ChildSignals::new()?;
    Ok(KeeperLoop::new(socket, signals, KeeperRole::OneRun, open_files).serve())
}

/// Sends the start of a run. May block: the keeper reads at once.
fn send_start(
    socket: &UnixStream,
    run: u64,
    mark: u64,
    SpawnRequest(body): &SpawnRequest,
    fds: &ExecFds,
) -> Result<(), Errno> {
    let head = RequestHead::Start {
        run,
        mark,
        sockets: fds.sockets.len() as u8,
        length: body.len() as u32,
    };
    let outputs = [fds.stdout.as_fd(), fds.stderr.as_fd()];
    let rights: Vec<BorrowedFd<'_>> =
        outputs.into_iter().chain(fds.sockets.iter().map(AsFd::as_fd)).collect();
    // The system takes all of a head or nothing.
    send_with_fds(socket, &head.encode(), &rights, SendFlags::empty())?;
    send_all(socket, body)
}

/// Sends everything. May block.
pub(super) fn send_all(socket: &UnixStream, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::net::send(socket, bytes, SendFlags::empty()) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
