use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use super::{EncodedChunks, PrintQueue, SharedLines};
use crate::log::lock_unpoisoned;
use crate::log::log_source::LogSource;
use crate::log::log_warnings::LogWarnings;
use crate::log::status_line::{StatusLine, StatusText};
use crate::log::store::{IndexEntry, LogChunk, LogDir, LogWriter, ServiceLog};
use crate::model::{LogRetention, Name, OutputStream, RunId, StartId};

/// Readers that read files at the same time.
const READING: usize = 4;

/// What captures write and the printer and readers take: the logs of all services, and the queue of
/// the printer.
pub(crate) struct SharedLog {
    pub start: StartId,
    pub dir: Option<Arc<LogDir>>,
    pub limits: Arc<Mutex<LogRetention>>,
    pub logs: Mutex<BTreeMap<Name, Arc<ServiceLog>>>,
    /// What devstack itself reports.
    own: Arc<ServiceLog>,
    pub queue: PrintQueue,
    /// Writes the files.
    pub writer: Arc<LogWriter>,
    /// Limits how many readers read files at the same time. More would not be faster: each needs a
    /// thread and memory, which many clients at once would leave behind.
    pub reading: Arc<Semaphore>,
    /// Held by the reader that joins the pieces of a long line.
    pub joining: Arc<Semaphore>,
    pub long_lines: SharedLines,
    pub encoded: EncodedChunks,
    pub notes: Arc<LogWarnings>,
    /// Changes whenever something is stored or the log ends; waiting readers subscribe.
    pub version: watch::Sender<u64>,
    pub ended: AtomicBool,
    /// The `errno` that ended the output, if it is gone.
    pub gone: watch::Sender<Option<i32>>,
}

impl Drop for SharedLog {
    fn drop(&mut self) {
        self.writer.end();
    }
}

impl SharedLog {
    /// `shown`: a printer takes chunks from the queue.
    pub fn new(dir: Option<Arc<LogDir>>, notes: Arc<LogWarnings>, shown: bool) -> SharedLog {
        let limits = Arc::<Mutex<LogRetention>>::default();
        let start = StartId::at(u64::try_from(unix_millis()).unwrap_or_default());
        if let Some(Err(error)) = dir.as_ref().map(|dir| dir.write_start(&start)) {
            // Only cursors are of less use once the stack has stopped.
            tracing::debug!("cannot write the id of this start: {error}");
        }
        SharedLog {
            start,
            own: Arc::new(ServiceLog::new(LogSource::Devstack, dir.clone(), limits.clone())),
            dir,
            limits,
            logs: Mutex::default(),
            queue: PrintQueue::new(shown),
            writer: Arc::default(),
            reading: Arc::new(Semaphore::new(READING)),
            joining: Arc::new(Semaphore::new(1)),
            long_lines: SharedLines::default(),
            encoded: EncodedChunks::default(),
            notes,
            version: watch::Sender::new(0),
            ended: AtomicBool::new(false),
            gone: watch::Sender::new(None),
        }
    }

    pub fn service_log(&self, service: &Name) -> Arc<ServiceLog> {
        let source = || LogSource::Service(service.clone());
        let make = || Arc::new(ServiceLog::new(source(), self.dir.clone(), self.limits.clone()));
        lock_unpoisoned(&self.logs).entry(service.clone()).or_insert_with(make).clone()
    }

    pub fn log_of(&self, source: &LogSource) -> Arc<ServiceLog> {
        source.service().map_or_else(|| self.own.clone(), |name| self.service_log(name))
    }

    /// Returns the logs of all current services, and last that of devstack itself.
    pub fn service_logs(&self) -> Vec<Arc<ServiceLog>> {
        lock_unpoisoned(&self.logs).values().chain([&self.own]).cloned().collect()
    }

    /// Stores lines and passes them to the printer and to readers.
    pub fn store(&self, service_log: &Arc<ServiceLog>, entry: IndexEntry, bytes: Bytes) {
        let number = |batch: &IndexEntry| {
            let (source, bytes) = (service_log.source.clone(), bytes.clone());
            self.queue.push(LogChunk { source, batch: *batch, bytes })
        };
        if service_log.push(entry, bytes.clone(), number) {
            self.writer.add(service_log.clone(), &self.notes);
        }
        self.stored();
    }

    /// Shows the start of a line; its whole line is stored later.
    pub fn show_unfinished(&self, service_log: &Arc<ServiceLog>, start: IndexEntry, bytes: Bytes) {
        let batch = IndexEntry { lines: 0, ..start };
        service_log.set_unfinished(batch, bytes.clone());
        self.queue.push(LogChunk { source: service_log.source.clone(), batch, bytes });
        self.stored();
    }

    pub fn write_status(&self, status: &StatusText) {
        let at = unix_millis();
        let line = Bytes::from(StatusLine::encode(status, at));
        let entry = IndexEntry::captured(RunId(0), OutputStream::Stdout, at, &line);
        self.store(&self.own, entry, line);
    }

    fn stored(&self) {
        if self.version.receiver_count() > 0 {
            self.version.send_modify(|version| *version += 1);
        }
    }

    pub fn output_is_gone(&self, why: &std::io::Error) {
        self.gone.send_replace(Some(why.raw_os_error().unwrap_or(libc::EIO)));
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Returns a receiver that changes when something is stored or the log ends.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// Returns the milliseconds since the Unix epoch, or 0 if the clock is set before it.
pub(crate) fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
