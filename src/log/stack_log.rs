use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use regex::bytes::Regex;
use tokio::sync::{Semaphore, oneshot, watch};

use super::capture::{LinePatterns, LogCapture};
use super::format::{LogOutput, LogStyle, PrintQueue, ServicePalette, log_printer};
use super::last_lines::last_lines;
use super::lock_unpoisoned;
use super::log_origin::LogOrigin;
use super::log_warnings::LogWarnings;
use super::read::{LineFilter, LogReader, SharedLines};
use super::status_line::{StatusLine, StatusText};
use super::store::{IndexEntry, LogChunk, LogDir, LogWriter, ServiceLog, StorageCounts};
use crate::model::{
    DirMove, LabelColor, LogRetention, Message, MessageClass, Name, OutputStream, RunId,
};

/// The log of a stack: captures, stores and prints the output of its services, and serves readers.
/// Cheap to clone. Ends with the last clone; [`StackLog::finish`] waits for the output.
#[derive(Clone)]
pub struct StackLog {
    pub(super) inner: Arc<StackLogInner>,
    _end: Arc<EndOnDrop>,
}

/// Readers that read files at the same time.
const READING: usize = 4;

pub(crate) struct StackLogInner {
    dir: Option<Arc<LogDir>>,
    limits: Arc<Mutex<LogRetention>>,
    lanes: Mutex<BTreeMap<Name, Arc<ServiceLog>>>,
    /// What devstack itself reports.
    own: Arc<ServiceLog>,
    style: LogStyle,
    pub queue: PrintQueue,
    /// Writes the files.
    pub writer: Arc<LogWriter>,
    /// Limits how many readers read files at the same time. More would not be faster: each needs a
    /// thread and memory, which many clients at once would leave behind.
    pub reading: Arc<Semaphore>,
    /// Held by the reader that joins the pieces of a long line.
    pub joining: Arc<Semaphore>,
    pub long_lines: SharedLines,
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
        let limits = Arc::<Mutex<LogRetention>>::default();
        let inner = Arc::new(StackLogInner {
            own: Arc::new(ServiceLog::new(LogOrigin::Devstack, directory.clone(), limits.clone())),
            dir: directory,
            limits,
            lanes: Mutex::default(),
            style,
            queue: PrintQueue::new(shown),
            writer: Arc::default(),
            reading: Arc::new(Semaphore::new(READING)),
            joining: Arc::new(Semaphore::new(1)),
            long_lines: SharedLines::default(),
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

    /// Notes that the project directory was moved, and the log with it.
    pub fn relocate(&self, moved: &DirMove) {
        if let Some(dir) = &self.inner.dir {
            dir.relocate(moved);
        }
    }

    /// Sets how much is kept on disk from now on.
    pub fn set_retention(&self, limits: LogRetention) {
        *lock_unpoisoned(&self.inner.limits) = limits;
    }

    /// Sets the services and the colors the user chose; called again after a reload.
    pub fn set_services(&self, list: &[(Name, Option<LabelColor>)]) {
        self.inner.queue.state().table = Arc::new(ServicePalette::new(list));
    }

    /// How many columns the start of a printed line takes: time, name and marker.
    pub fn indent(&self) -> usize {
        self.inner.style.indent(&self.inner.queue.state().table)
    }

    /// Starts capturing the output of a run. Each receiver gets the first line that matches its
    /// pattern, without line end and escape sequences; at most 16 MiB of a line are matched. It
    /// fails when the run ends without a match.
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

    /// Reports how the current run of a service turned out, after its output so far: output of
    /// crashes that repeats is not printed again.
    pub fn judge_run(&self, service: &Name, crashed: bool) {
        self.inner.queue.judge(service.clone(), crashed);
    }

    /// Returns at most `n` last lines of the last run of a service, as plain text for messages and
    /// without empty ones. Reads no file. There may be fewer than 100 lines if these are long.
    pub fn tail(&self, service: &Name, n: usize) -> Vec<String> {
        last_lines(&self.recent(service).1, n)
    }

    /// Like [`StackLog::tail`] for this run, if no later one has printed anything.
    pub fn tail_of(&self, service: &Name, run: RunId, n: usize) -> Vec<String> {
        let (newest, text) = self.recent(service);
        if newest == Some(run) { last_lines(&text, n) } else { Vec::new() }
    }

    fn recent(&self, service: &Name) -> (Option<RunId>, Vec<u8>) {
        let service_log = lock_unpoisoned(&self.inner.lanes).get(service).cloned();
        service_log.map_or_else(Default::default, |log| log.recent())
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

    /// Waits until everything so far is printed, for at most `limit`. Blocks.
    pub fn wait_printed(&self, limit: Duration) {
        self.inner.queue.wait_printed(limit);
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

    /// Stores lines and passes them to the printer and to readers.
    pub fn store(&self, service_log: &Arc<ServiceLog>, entry: IndexEntry, bytes: Bytes) {
        let number = |batch: &IndexEntry| {
            let (origin, bytes) = (service_log.origin.clone(), bytes.clone());
            self.queue.push(LogChunk { origin, batch: *batch, bytes })
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
        self.queue.push(LogChunk { origin: service_log.origin.clone(), batch, bytes });
        self.stored();
    }

    fn write_status(&self, status: &StatusText) {
        let at = now();
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
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
