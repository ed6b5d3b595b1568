use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::SendFlags;
use tokio::sync::Notify;

use super::wire::Order;

/// The supervisor's end of a run's socket, for writing. Orders are sent at once when the socket takes
/// them, and else by the run's task.
#[derive(Debug)]
pub(super) struct Line {
    outbox: Mutex<Outbox>,
    /// Rings when something could not be sent at once.
    pub waiting: Notify,
}

#[derive(Debug)]
struct Outbox {
    /// `None` when the run is over.
    socket: Option<Arc<UnixStream>>,
    unsent: Vec<u8>,
}

/// The most bytes that wait besides a launch: a face that repeats an order in a loop must not fill the
/// memory while a keeper is stopped. Orders beyond it would change nothing.
const MAX_ORDERS: usize = 4096;

impl Line {
    pub fn new(socket: Arc<UnixStream>) -> Line {
        let outbox = Outbox { socket: Some(socket), unsent: Vec::new() };
        Line { outbox: Mutex::new(outbox), waiting: Notify::new() }
    }

    /// Sends the launch, the first thing on every line.
    pub fn launch(&self, parcel: Vec<u8>) {
        let mut outbox = self.lock();
        outbox.unsent = parcel;
        self.push_on(&mut outbox);
    }

    /// Sends an order after everything that waits. Nothing happens when the run is over.
    pub fn order(&self, order: Order) {
        let mut outbox = self.lock();
        if outbox.socket.is_some() && (outbox.unsent.len() < MAX_ORDERS || order == Order::Kill) {
            outbox.unsent.extend(order.encode());
            self.push_on(&mut outbox);
        }
    }

    /// Sends what waits, as much as the socket takes. Whether nothing waits any more.
    pub fn flush(&self) -> bool {
        self.lock().flush()
    }

    /// The run is over: what is ordered from now on is not sent.
    pub fn close(&self) {
        let mut outbox = self.lock();
        outbox.socket = None;
        outbox.unsent = Vec::new();
    }

    fn push_on(&self, outbox: &mut Outbox) {
        if !outbox.flush() {
            self.waiting.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        // Bytes and a descriptor: true whatever the holder was doing.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    fn flush(&mut self) -> bool {
        let Some(socket) = &self.socket else { return true };
        while !self.unsent.is_empty() {
            match rustix::net::send(socket, &self.unsent, SendFlags::DONTWAIT)
                .map_err(io::Error::from)
            {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The keeper is gone: the run's task sees the same and reports it.
                Err(_) => self.unsent.clear(),
            }
        }
        true
    }
}
