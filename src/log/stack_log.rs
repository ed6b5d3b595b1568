use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::sync::oneshot;

use super::capture::{LinePatterns, LogCapture};
use super::format::{LogOutput, LogStyle, log_printer};
use super::last_lines::last_lines;
use super::lock_unpoisoned;
use super::log_warnings::LogWarnings;
use super::read::{LineFilter, LogReader};
use super::service_palette::ServicePalette;
use super::shared::SharedLog;
use super::status_line::StatusText;
use super::store::{LogDir, StorageCounts};
use crate::model::{
    DirMove, LabelColor, LogRetention, Message, MessageClass, Name, RunId, StartId,
};

/// The log of a stack: captures, stores and prints the output of its services, and serves readers.
/// Cheap to clone. Ends with the last clone; [`StackLog::finish`] waits for the output.
#[derive(Clone)]
pub struct StackLog {
    pub(super) inner: Arc<SharedLog>,
    style: LogStyle,
    _end: Arc<EndOnDrop>,
}

/// Ends the printer when the last clone is dropped.
struct EndOnDrop(Arc<SharedLog>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.queue.end();
    }
}

/// Holds the output of a log back while it lives, see [`StackLog::hold_output`].
pub struct OutputHold(Arc<SharedLog>);

impl Drop for OutputHold {
    fn drop(&mut self) {
        self.0.queue.release();
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
        let inner = Arc::new(SharedLog::new(directory.ok(), notes, shown));
        inner.writer.start(inner.notes.clone());
        if shown && let Err(error) = log_printer::start(inner.clone(), style, output) {
            inner.queue.close();
            let text = format!("cannot show the log: cannot start a thread: {error}");
            inner
                .notes
                .tell(Message::new(MessageClass::Limit, text).help("use `devstack logs -f`"));
        }
        StackLog { _end: Arc::new(EndOnDrop(inner.clone())), inner, style }
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
        self.style.indent(&self.inner.queue.state().table)
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
        let log = self.inner.service_log(service);
        let carries = Default::default();
        (LogCapture { inner: self.inner.clone(), service_log: log, run, patterns, carries }, found)
    }

    /// Searches the output of a run that has already started, from its first line on, as
    /// [`StackLog::capture`] does for a new one. A receiver fails when the log ends without a
    /// match. Must be called within a tokio runtime.
    pub fn await_lines(
        &self,
        service: &Name,
        run: RunId,
        patterns: Vec<Regex>,
    ) -> Vec<oneshot::Receiver<String>> {
        let (patterns, found) = LinePatterns::new(patterns);
        let reader = self.reader(Some(vec![service.clone()]), usize::MAX, true);
        tokio::spawn(patterns.search_run(reader, run));
        found
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
        let service_log = lock_unpoisoned(&self.inner.logs).get(service).cloned();
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

    /// Returns the id of this start of the stack, which cursors contain.
    pub fn start_id(&self) -> &StartId {
        &self.inner.start
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
        lock_unpoisoned(&self.inner.logs)
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

    /// Prints nothing until the returned value is dropped: the terminal shows something else. What
    /// was printed meanwhile follows then, at most 10,000 lines of it.
    pub fn hold_output(&self) -> OutputHold {
        self.inner.queue.hold();
        OutputHold(self.inner.clone())
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
