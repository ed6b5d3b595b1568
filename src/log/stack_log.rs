use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex::bytes::Regex;
use tokio::sync::{oneshot, watch};

use super::capture::{LinePatterns, LogCapture, RawChunk};
use super::format::{LogOutput, LogStyle, PrintQueue, ServicePalette, escape_filter, log_printer};
use super::log_origin::LogOrigin;
use super::log_warnings::LogWarnings;
use super::read::{LineFilter, LogReader};
use super::status_line::{StatusLine, StatusText};
use super::store::{
    IndexEntry, LogChunk, LogDir, LogWriter, RetentionLimits, ServiceLog, StorageCounts,
};
use super::{line_split, lock_unpoisoned};
use crate::model::{LabelColor, LogRetention, Message, MessageClass, Name, OutputStream, RunId};

/// The log of a stack: captures, stores and prints the output of its services, and serves readers.
/// Cheap to clone. Ends with the last clone; [`StackLog::finish`] waits for the output.
#[derive(Clone)]
pub struct StackLog {
    pub(super) inner: Arc<StackLogInner>,
    _end: Arc<EndOnDrop>,
}

pub(crate) struct StackLogInner {
    dir: Option<Arc<LogDir>>,
    limits: Arc<RetentionLimits>,
    lanes: Mutex<BTreeMap<Name, Arc<ServiceLog>>>,
    /// What devstack itself reports.
    own: Arc<ServiceLog>,
    pub queue: PrintQueue,
    /// Writes the files.
    pub writer: Arc<LogWriter>,
    pub notes: Arc<LogWarnings>,
    /// Changes whenever something is stored or the log ends; waiting readers subscribe.
    version: watch::Sender<u64>,
    ended: AtomicBool,
    /// The `errno` that ended the output, if it is gone.
    gone: watch::Sender<Option<i32>>,
}

impl Drop for StackLogInner {
    fn drop(&mut self) {
        self.writer.end();
    }
}

/// Ends the printer when the last clone is dropped.
struct EndOnDrop(Arc<StackLogInner>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.queue.end();
    }
}

impl StackLog {
    /// Starts a log with files in `dir`; a previous one gets the suffix `.1`. Never fails: without
    /// a directory the last lines are kept in memory, see [`StackLog::take_warnings`].
    pub fn open(dir: &Path, style: LogStyle, output: LogOutput) -> StackLog {
        let notes = Arc::new(LogWarnings::default());
        let directory = LogDir::create(dir).map(Arc::new);
        if let Err(error) = &directory {
            notes.disk_error(&format!("the log directory {}", dir.display()), error);
        }
        let shown = !matches!(output, LogOutput::None);
        let directory = directory.ok();
        let limits = Arc::new(RetentionLimits::new(LogRetention::default()));
        let inner = Arc::new(StackLogInner {
            own: Arc::new(ServiceLog::new(LogOrigin::Devstack, directory.clone(), limits.clone())),
            dir: directory,
            limits,
            lanes: Mutex::default(),
            queue: PrintQueue::new(shown),
            writer: Arc::default(),
            notes,
            version: watch::Sender::new(0),
            ended: AtomicBool::new(false),
            gone: watch::Sender::new(None),
        });
        inner.writer.start(inner.notes.clone());
        if shown && let Err(error) = log_printer::start(inner.clone(), style, output) {
            inner.queue.close();
            let text = format!("cannot show the log: cannot start a thread: {error}");
            inner
                .notes
                .tell(Message::new(MessageClass::Limit, text).help("use `devstack logs -f`"));
        }
        StackLog { _end: Arc::new(EndOnDrop(inner.clone())), inner }
    }

    /// Sets how much is kept on disk from now on.
    pub fn set_retention(&self, limits: LogRetention) {
        self.inner.limits.set(limits);
    }

    /// Sets the services and the colors the user chose; called again after a reload.
    pub fn set_services(&self, list: &[(Name, Option<LabelColor>)]) {
        self.inner.queue.state().table = Arc::new(ServicePalette::new(list));
    }

    /// Starts capturing the output of a run. Each receiver gets the first line that matches its
    /// pattern, without line end and escape sequences; only the first 64 KiB of a longer line are
    /// matched. It fails when the run ends without a match.
    pub fn capture(
        &self,
        service: &Name,
        run: RunId,
        patterns: Vec<Regex>,
    ) -> (LogCapture, Vec<oneshot::Receiver<String>>) {
        let (patterns, found) = LinePatterns::new(patterns);
        let lane = self.inner.service_log(service);
        let carries = Default::default();
        (LogCapture { inner: self.inner.clone(), service_log: lane, run, patterns, carries }, found)
    }

    /// Prints a line of devstack itself, in order with the services, and stores it for readers.
    pub fn write_status(&self, line: StatusText) {
        self.inner.write_status(&line);
    }

    /// Returns at most `n` last lines of the last run of a service, as plain text for messages.
    /// Reads no file. There may be fewer than 100 lines if these are long.
    pub fn tail(&self, service: &Name, n: usize) -> Vec<String> {
        let Some(service_log) = lock_unpoisoned(&self.inner.lanes).get(service).cloned() else {
            return Vec::new();
        };
        last_lines(&service_log.recent(), n)
    }

    /// Returns a reader that starts `last` lines before the end of each service (`usize::MAX`:
    /// all). `services` restricts it to these. With `follow` it continues until
    /// [`StackLog::finish`].
    pub fn reader(&self, services: Option<Vec<Name>>, last: usize, follow: bool) -> LogReader {
        self.search(services, last, follow, LineFilter::default())
    }

    /// Like [`StackLog::reader`], for matching lines only; `last` counts these.
    pub fn search(
        &self,
        services: Option<Vec<Name>>,
        last: usize,
        follow: bool,
        wanted: LineFilter,
    ) -> LogReader {
        LogReader::new(self.inner.clone(), services, last, follow, wanted)
    }

    /// Returns the number of readers.
    #[cfg(test)]
    pub(crate) fn reader_count(&self) -> usize {
        self.inner.version.receiver_count()
    }

    /// Returns what went wrong with the log since the last call.
    pub fn take_warnings(&self) -> Vec<Message> {
        self.inner.notes.take()
    }

    /// Waits until [`StackLog::take_warnings`] has something to return.
    pub async fn has_warnings(&self) {
        self.inner.notes.available().await;
    }

    /// Returns how many bytes of a service came in and where they are.
    pub fn counts(&self, service: &Name) -> StorageCounts {
        lock_unpoisoned(&self.inner.lanes)
            .get(service)
            .map(|service_log| service_log.counts())
            .unwrap_or_default()
    }

    /// Returns whether nothing is printed: the terminal is gone, the pipe was closed, or there was
    /// no output to begin with. The log is still stored.
    pub fn is_closed(&self) -> bool {
        self.inner.queue.is_closed()
    }

    /// Waits until the output is gone, perhaps forever, and returns the `errno`: EPIPE if the pipe
    /// has no reader, EIO if the terminal was closed, ENOSPC if the disk is full.
    pub fn closed(&self) -> impl Future<Output = i32> + Send + use<> {
        let mut gone = self.inner.gone.subscribe();
        async move {
            let why = gone.wait_for(Option::is_some).await.map(|why| *why);
            match why {
                Ok(Some(errno)) => errno,
                // The log has ended, and its output lasted to the end.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Waits until everything is printed and stored, and ends the readers; blocks the thread.
    /// Returns `false` if the output or the disk accepts nothing for `patience`. Later output is
    /// only stored.
    pub fn finish(&self, patience: Duration) -> bool {
        self.inner.queue.end();
        let shown = self.inner.queue.wait_closed(patience);
        self.inner.queue.close();
        let stored = self.inner.writer.wait_idle(patience);
        self.inner.ended.store(true, Ordering::SeqCst);
        self.inner.version.send_modify(|version| *version += 1);
        shown && stored
    }
}

/// Longest line of `tail` in characters: it goes into a message.
const TAIL_LINE: usize = 500;

/// Returns at most `n` last lines of `bytes`, as plain text for messages.
pub(crate) fn last_lines(bytes: &[u8], n: usize) -> Vec<String> {
    let all: Vec<&[u8]> = line_split::lines(bytes).collect();
    let last = &all[all.len().saturating_sub(n)..];
    last.iter().map(|line| shorten(line_split::trim_line_end(line))).collect()
}

fn shorten(line: &[u8]) -> String {
    // A character has at most four bytes; the rest is room for escape sequences.
    let text = escape_filter::strip(&line[..line.len().min(TAIL_LINE * 8)]);
    match text.char_indices().nth(TAIL_LINE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl StackLogInner {
    fn service_log(&self, service: &Name) -> Arc<ServiceLog> {
        let origin = || LogOrigin::Service(service.clone());
        let make = || Arc::new(ServiceLog::new(origin(), self.dir.clone(), self.limits.clone()));
        lock_unpoisoned(&self.lanes).entry(service.clone()).or_insert_with(make).clone()
    }

    pub fn log_of(&self, origin: &LogOrigin) -> Arc<ServiceLog> {
        origin.service().map_or_else(|| self.own.clone(), |name| self.service_log(name))
    }

    /// Returns the logs of all current services, and last that of devstack itself.
    pub fn all_lanes(&self) -> Vec<Arc<ServiceLog>> {
        lock_unpoisoned(&self.lanes).values().chain([&self.own]).cloned().collect()
    }

    /// Stores a chunk and passes it to the printer and to readers.
    pub fn store(&self, service_log: &Arc<ServiceLog>, piece: &RawChunk<'_>) {
        let bytes = piece.joined();
        let chunk = |batch: &IndexEntry| LogChunk {
            origin: service_log.origin.clone(),
            batch: *batch,
            bytes: bytes.clone(),
        };
        let number = |batch: &IndexEntry| self.queue.push(chunk(batch));
        if service_log.push(piece.entry(), bytes.clone(), number) {
            self.writer.add(service_log.clone(), &self.notes);
        }
        self.stored();
    }

    fn write_status(&self, status: &StatusText) {
        let at = now();
        let line = StatusLine::encode(status, at);
        let (run, stream) = (RunId(0), OutputStream::Stdout);
        let piece =
            RawChunk { run, stream, continues: false, open: false, at, parts: [&line, &[]] };
        self.store(&self.own, &piece);
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
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
