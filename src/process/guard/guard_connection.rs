use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot, watch};

use super::guard_protocol::{KEEPER_FDS, encode_request};
use crate::model::RunId;
use crate::process::cleanup::{RecordWriter, adopted_orphans};
use crate::process::keeper::{KeeperConnection, KeeperOrder};
use crate::process::run::RunPids;
use crate::process::spawn::MAX_LISTEN_FDS;
use crate::sync::lock_unpoisoned;
use crate::sys::async_fd::register;

/// Used when the guard's socket or the system's limit of descriptors in flight is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// The connection to the guard, and the runs that have a keeper.
#[derive(Debug)]
pub(crate) struct GuardConnection {
    socket: Arc<UnixStream>,
    guard: u32,
    state: Mutex<ConnectionState>,
    /// Notified when a request could not be sent at once.
    waiting: Notify,
    /// True once the guard is gone.
    gone: watch::Sender<bool>,
    alive: watch::Sender<usize>,
    /// Writes runs to the record on disk.
    ledger: OnceLock<Arc<RecordWriter>>,
}

#[derive(Debug, Default)]
struct ConnectionState {
    runs: BTreeMap<RunId, RunEntry>,
    requests: VecDeque<KeeperRequest>,
}

#[derive(Debug)]
struct RunEntry {
    /// Sent when the keeper died and its orphans are dead; dropped when the guard is gone.
    lost: Option<oneshot::Sender<()>>,
    line: Arc<KeeperConnection>,
    pids: Arc<RunPids>,
}

#[derive(Debug)]
struct KeeperRequest {
    run: RunId,
    ends: Vec<OwnedFd>,
}

impl GuardConnection {
    pub fn new(socket: UnixStream, guard: u32) -> GuardConnection {
        GuardConnection {
            socket: Arc::new(socket),
            guard,
            state: Mutex::default(),
            waiting: Notify::new(),
            gone: watch::Sender::new(false),
            alive: watch::Sender::new(0),
            ledger: OnceLock::new(),
        }
    }

    /// Requests a keeper with these descriptors: its connection, stdout, stderr, and the sockets
    /// for the service. `None` when the guard is gone.
    pub fn request(
        &self,
        run: RunId,
        ends: Vec<OwnedFd>,
        line: Arc<KeeperConnection>,
        pids: Arc<RunPids>,
    ) -> Option<oneshot::Receiver<()>> {
        if *self.gone.borrow() {
            return None;
        }
        let (tell, lost) = oneshot::channel();
        let mut state = self.lock();
        state.runs.insert(run, RunEntry { lost: Some(tell), line, pids });
        self.alive.send_replace(state.runs.len());
        state.requests.push_back(KeeperRequest { run, ends });
        if !self.send_requests(&mut state) {
            self.waiting.notify_one();
        }
        Some(lost)
    }

    /// Records runs from now on.
    pub fn set_record_writer(&self, ledger: Arc<RecordWriter>) {
        // Only the first writer is kept.
        let _ = self.ledger.set(ledger);
    }

    pub fn ledger(&self) -> Option<&RecordWriter> {
        self.ledger.get().map(Arc::as_ref)
    }

    /// Removes a run that has ended.
    pub fn remove(&self, run: RunId) {
        if let Some(ledger) = self.ledger() {
            ledger.run_ended(run.0);
        }
        let mut state = self.lock();
        state.runs.remove(&run);
        self.alive.send_replace(state.runs.len());
    }

    pub fn kill_all(&self) {
        for entry in self.lock().runs.values() {
            entry.line.send_order(KeeperOrder::Kill);
        }
    }

    pub fn is_keeper(&self, pid: u32) -> bool {
        self.lock().runs.values().any(|entry| entry.pids.keeper.load(Ordering::Relaxed) == pid)
    }

    /// Turns true when the guard is gone.
    pub fn closed(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    pub fn alive(&self) -> watch::Receiver<usize> {
        self.alive.subscribe()
    }

    pub fn guard(&self) -> u32 {
        self.guard
    }

    /// Makes no more requests: the guard exits when its keepers have.
    pub fn close(&self) {
        // Fails only when the guard is gone already.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Registers the socket with the runtime; must be called only once.
    pub fn listen(&self) -> io::Result<AsyncFd<Arc<UnixStream>>> {
        register(self.socket.clone(), Interest::READABLE)
    }

    /// Serves the connection until the guard is gone.
    pub async fn serve(self: Arc<GuardConnection>, socket: AsyncFd<Arc<UnixStream>>) {
        let mut inbox = Vec::new();
        loop {
            tokio::select! {
                _ = socket.readable() => {
                    if !self.read_lost_keepers(&socket, &mut inbox) {
                        break;
                    }
                }
                () = self.waiting.notified() => self.send_waiting().await,
            }
        }
        // The guard's orphans become ours only when it is reaped.
        adopted_orphans::reap_guard(self.guard).await;
        let mut state = self.lock();
        state.requests.clear();
        state.runs.values_mut().for_each(|entry| entry.lost = None);
        drop(state);
        self.gone.send_replace(true);
    }

    async fn send_waiting(&self) {
        while !self.send_requests(&mut self.lock()) {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Reads the numbers of runs that lost their keeper. False at end of file.
    fn read_lost_keepers(&self, socket: &AsyncFd<Arc<UnixStream>>, inbox: &mut Vec<u8>) -> bool {
        loop {
            let mut bytes = [0; 512];
            let read = |socket: &Arc<UnixStream>| {
                Ok(rustix::net::recv(socket, &mut bytes[..], RecvFlags::DONTWAIT)?.1)
            };
            match socket.try_io(Interest::READABLE, read) {
                Ok(0) => return false,
                Ok(count) => inbox.extend(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            while let Some((number, rest)) = inbox.split_first_chunk() {
                let run = RunId(u64::from_le_bytes(*number));
                *inbox = rest.to_vec();
                if let Some(lost) = self.lock().runs.get_mut(&run).and_then(|e| e.lost.take()) {
                    // Fails only when the run's task has ended.
                    let _ = lost.send(());
                }
            }
        }
    }

    /// Sends queued requests. False when the socket is full.
    fn send_requests(&self, state: &mut ConnectionState) -> bool {
        while let Some(request) = state.requests.front() {
            match send(&self.socket, request) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS) => return false,
                // The guard is gone: `serve` notifies the waiting runs.
                Err(_) => {}
            }
            state.requests.pop_front();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        lock_unpoisoned(&self.state)
    }
}

fn send(socket: &UnixStream, request: &KeeperRequest) -> Result<(), Errno> {
    let rights: Vec<BorrowedFd<'_>> = request.ends.iter().map(AsFd::as_fd).collect();
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(KEEPER_FDS + MAX_LISTEN_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&rights));
    let handed = request.ends.len().saturating_sub(KEEPER_FDS) as u8;
    let text = encode_request(request.run.0, handed);
    rustix::net::sendmsg(socket, &[IoSlice::new(&text)], &mut control, SendFlags::DONTWAIT)?;
    Ok(())
}
