use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::net::SendFlags;
use tokio::sync::Notify;

use super::keeper_protocol::KeeperOrder;
use crate::sync::lock_unpoisoned;

/// The supervisor's end of a run's socket, for writing. The run's task sends what did not fit.
#[derive(Debug)]
pub(crate) struct KeeperConnection {
    outbox: Mutex<OrderQueue>,
    pub waiting: Notify,
}

#[derive(Debug)]
struct OrderQueue {
    /// `None` once the run has ended.
    socket: Option<Arc<UnixStream>>,
    unsent: Vec<u8>,
}

/// Bytes of orders that may wait: a client that repeats an order in a loop must not fill the memory
/// while a keeper is stopped. Further orders would change nothing.
const MAX_QUEUED: usize = 4096;

impl KeeperConnection {
    pub fn new(socket: Arc<UnixStream>) -> KeeperConnection {
        let outbox = OrderQueue { socket: Some(socket), unsent: Vec::new() };
        KeeperConnection { outbox: Mutex::new(outbox), waiting: Notify::new() }
    }

    /// Sends the spawn request, which is first on every connection.
    pub fn send_request(&self, parcel: Vec<u8>) {
        let mut outbox = self.lock();
        outbox.unsent = parcel;
        self.flush_or_notify(&mut outbox);
    }

    /// Sends an order after everything queued. Does nothing once the run has ended.
    pub fn send_order(&self, order: KeeperOrder) {
        let mut outbox = self.lock();
        if outbox.socket.is_some()
            && (outbox.unsent.len() < MAX_QUEUED || order == KeeperOrder::Kill)
        {
            outbox.unsent.extend(order.encode());
            self.flush_or_notify(&mut outbox);
        }
    }

    /// Sends what the socket takes. True when the queue is empty.
    pub fn flush(&self) -> bool {
        self.lock().flush()
    }

    /// Drops the queue and all later orders: the run has ended.
    pub fn close(&self) {
        let mut outbox = self.lock();
        outbox.socket = None;
        outbox.unsent = Vec::new();
    }

    fn flush_or_notify(&self, outbox: &mut OrderQueue) {
        if !outbox.flush() {
            self.waiting.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, OrderQueue> {
        lock_unpoisoned(&self.outbox)
    }
}

impl OrderQueue {
    fn flush(&mut self) -> bool {
        let Some(socket) = &self.socket else { return true };
        while !self.unsent.is_empty() {
            match rustix::net::send(socket, &self.unsent, SendFlags::DONTWAIT)
                .map_err(io::Error::from)
            {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The keeper is gone; the run's task notices too and reports it.
                Err(_) => self.unsent.clear(),
            }
        }
        true
    }
}
