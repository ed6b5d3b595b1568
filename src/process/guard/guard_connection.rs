use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc, watch};

use crate::model::RunId;
use crate::process::cleanup::{RecordWriter, adopted_orphans};
use crate::process::keeper::{KeeperOrder, KeeperReport, OUTPUT_FDS, RequestHead, RunMessage};
use crate::process::run::RunPids;
use crate::sync::lock_unpoisoned;
use crate::sys::async_fd::{receive, register};
use crate::sys::fd_passing::send_with_fds;
use crate::sys::signal;

/// Used when the guard's socket or the system's limit of descriptors in flight is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// How many orders of a run may wait: a client that repeats an order in a loop must not fill the
/// memory while the guard is stuck. Further orders but the first to kill would change nothing.
const MAX_QUEUED_ORDERS: usize = 200;

/// The connection to the guard, and the runs that it keeps.
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
    outbox: GuardOutbox,
    /// The guard is about to be reaped, so it must not be signalled any more.
    closed: bool,
}

#[derive(Debug)]
struct RunEntry {
    reports: mpsc::UnboundedSender<KeeperReport>,
    pids: Arc<RunPids>,
    killed: bool,
    /// How many orders were queued in this round of the outbox.
    queued: (u64, usize),
}

/// What is not sent yet, in order.
#[derive(Debug, Default)]
struct GuardOutbox {
    parts: VecDeque<OutboxPart>,
    /// How often it has become empty.
    round: u64,
}

#[derive(Debug)]
enum OutboxPart {
    /// The head of a start, whose descriptors go along with it.
    Start([u8; RequestHead::LENGTH], Vec<OwnedFd>),
    /// The body of a start, sent up to this offset.
    Body(Vec<u8>, usize),
    /// Orders, sent up to this offset.
    Orders(Vec<u8>, usize),
}

/// What the guard needs to start a run.
#[derive(Debug)]
pub(crate) struct RunStart {
    pub mark: u64,
    /// An encoded spawn request.
    pub parcel: Vec<u8>,
    /// Stdout, stderr, and the sockets for the service.
    pub fds: Vec<OwnedFd>,
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

    /// Requests a run. Its reports end without a last one when the guard is gone. `None` when it
    /// already is.
    pub fn start(
        &self,
        run: RunId,
        start: RunStart,
        pids: Arc<RunPids>,
    ) -> Option<mpsc::UnboundedReceiver<KeeperReport>> {
        if *self.gone.borrow() {
            return None;
        }
        let RunStart { mark, parcel, fds } = start;
        let sockets = fds.len().saturating_sub(OUTPUT_FDS) as u8;
        let length = u32::try_from(parcel.len()).expect("a request is shorter than 16 MiB");
        let head = RequestHead::Start { run: run.0, mark, sockets, length };
        let (tell, reports) = mpsc::unbounded_channel();
        let mut state = self.lock();
        state.runs.insert(run, RunEntry { reports: tell, pids, killed: false, queued: (0, 0) });
        self.alive.send_replace(state.runs.len());
        state.outbox.parts.push_back(OutboxPart::Start(head.encode(), fds));
        state.outbox.parts.push_back(OutboxPart::Body(parcel, 0));
        self.flush_or_notify(&mut state);
        Some(reports)
    }

    /// Tells the guard what to do once this process was killed and all runs are over; empty: nothing.
    pub fn set_last_act(&self, act: &[u8]) {
        let length = u32::try_from(act.len()).expect("a few addresses");
        let head = RequestHead::LastAct { length }.encode();
        let mut state = self.lock();
        state.outbox.parts.push_back(OutboxPart::Body([&head[..], act].concat(), 0));
        self.flush_or_notify(&mut state);
    }

    /// Sends an order after everything queued, together with others of the same moment. Does nothing
    /// once the run has ended.
    pub fn order(&self, run: RunId, order: KeeperOrder) {
        let mut state = self.lock();
        let round = state.outbox.round;
        let Some(entry) = state.runs.get_mut(&run) else { return };
        if entry.queued.0 != round {
            entry.queued = (round, 0);
        }
        let full = entry.queued.1 >= MAX_QUEUED_ORDERS;
        let is_first_kill = order == KeeperOrder::Kill && !entry.killed;
        entry.killed |= order == KeeperOrder::Kill;
        if !full || is_first_kill {
            entry.queued.1 += 1;
            let head = RequestHead::Order { run: run.0, order };
            state.outbox.push_order(head);
            self.waiting.notify_one();
        }
    }

    fn flush_or_notify(&self, state: &mut ConnectionState) {
        if !self.flush(state) {
            self.waiting.notify_one();
        }
    }

    /// Sends what the socket takes. True when the queue is empty.
    fn flush(&self, state: &mut ConnectionState) -> bool {
        let sent = state.outbox.flush(&self.socket);
        // It may have been stopped, by a debugger or by accident.
        if !state.closed {
            signal::kill(self.guard, libc::SIGCONT);
        }
        sent
    }

    /// Records runs from now on.
    pub fn set_record_writer(&self, ledger: Arc<RecordWriter>) {
        // Only the first writer is kept.
        let _ = self.ledger.set(ledger);
    }

    pub fn ledger(&self) -> Option<&RecordWriter> {
        self.ledger.get().map(Arc::as_ref)
    }

    pub fn remove(&self, run: RunId) {
        if let Some(ledger) = self.ledger() {
            ledger.run_ended(run.0);
        }
        let mut state = self.lock();
        state.runs.remove(&run);
        self.alive.send_replace(state.runs.len());
    }

    pub fn kill_all(&self) {
        let runs: Vec<RunId> = self.lock().runs.keys().copied().collect();
        runs.into_iter().for_each(|run| self.order(run, KeeperOrder::Kill));
    }

    /// Whether the run with this pid is still kept by its own keeper.
    pub fn is_keeper(&self, pid: u32) -> bool {
        self.lock().runs.values().any(|entry| entry.pids.keeper() == Some(pid))
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

    /// Makes no more requests: the guard exits when all trees are empty.
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
        let mut stuck = false;
        loop {
            tokio::select! {
                biased;
                _ = socket.readable() => {
                    if !self.read_reports(&socket, &mut inbox) {
                        break;
                    }
                }
                () = self.waiting.notified() => stuck = !self.flush(&mut self.lock()),
                () = tokio::time::sleep(RETRY_INTERVAL), if stuck => {
                    stuck = !self.flush(&mut self.lock());
                }
            }
        }
        self.lock().closed = true;
        // The guard's orphans become ours only when it is reaped.
        adopted_orphans::reap_guard(self.guard).await;
        self.gone.send_replace(true);
        let mut state = self.lock();
        state.outbox = GuardOutbox::default();
        // Their tasks see the end of the reports.
        for entry in state.runs.values_mut() {
            entry.reports = mpsc::unbounded_channel().0;
        }
    }

    /// Passes reports to the tasks of their runs. False at end of file.
    fn read_reports(&self, socket: &AsyncFd<Arc<UnixStream>>, inbox: &mut Vec<u8>) -> bool {
        let mut open = receive(socket, inbox);
        let mut read = 0;
        let mut state = self.lock();
        loop {
            match RunMessage::decode(&inbox[read..]) {
                Ok(Some((RunMessage { run, report }, used))) => {
                    read += used;
                    if let Some(entry) = state.runs.get_mut(&RunId(run)) {
                        // Fails only when the run's task has ended.
                        let _ = entry.reports.send(report);
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    open = false;
                    break;
                }
            }
        }
        inbox.drain(..read);
        open
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        lock_unpoisoned(&self.state)
    }
}

impl GuardOutbox {
    fn push_order(&mut self, head: RequestHead) {
        let bytes = head.encode();
        match self.parts.back_mut() {
            Some(OutboxPart::Orders(orders, _)) => orders.extend(bytes),
            _ => self.parts.push_back(OutboxPart::Orders(bytes.to_vec(), 0)),
        }
    }

    /// Sends what the socket takes. True when nothing is left.
    fn flush(&mut self, socket: &UnixStream) -> bool {
        while let Some(part) = self.parts.front_mut() {
            match part.send(socket) {
                Ok(true) => {
                    self.parts.pop_front();
                }
                Ok(false) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS) => return false,
                // The guard is gone: `serve` tells the runs.
                Err(_) => self.parts.clear(),
            }
        }
        self.round += 1;
        true
    }
}

impl OutboxPart {
    /// Sends some of it. True when it is sent whole.
    fn send(&mut self, socket: &UnixStream) -> Result<bool, Errno> {
        let (bytes, sent) = match self {
            OutboxPart::Start(head, fds) => {
                let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
                let count = send_with_fds(socket, head, &fds, SendFlags::DONTWAIT)?;
                // The descriptors go with the first byte.
                if count < head.len() {
                    *self = OutboxPart::Body(head.to_vec(), count);
                    return Ok(false);
                }
                return Ok(true);
            }
            OutboxPart::Body(bytes, sent) | OutboxPart::Orders(bytes, sent) => (&bytes[..], sent),
        };
        *sent += rustix::net::send(socket, &bytes[*sent..], SendFlags::DONTWAIT)?;
        Ok(*sent == bytes.len())
    }
}
