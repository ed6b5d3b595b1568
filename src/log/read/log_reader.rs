use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::line_filter::LineFilter;
use super::log_cursor::{LogCursor, ReadFrom, ReadStep};
use crate::log::line_split;
use crate::log::log_item::LogItem;
use crate::log::log_line::LogLine;
use crate::log::log_origin::LogOrigin;
use crate::log::missed_lines::MissedLines;
use crate::log::stack_log::StackLogInner;
use crate::log::status_line::StatusLine;
use crate::log::store::LogChunk;
use crate::model::Name;

/// Reads the log in order and at its own speed, without slowing anything down.
pub struct LogReader {
    inner: Arc<StackLogInner>,
    services: Option<Vec<Name>>,
    last: usize,
    wanted: Arc<LineFilter>,
    /// Filter for status lines; `None`: not wanted.
    status: Option<Arc<LineFilter>>,
    /// Reads up to the line with this number; `None`: until the log ends.
    until: Option<u64>,
    changes: watch::Receiver<u64>,
    /// `None` while `job` has it.
    cursor: Option<LogCursor>,
    /// A step that reads files on a blocking thread; kept here to survive a dropped call of `next`.
    job: Option<JoinHandle<(LogCursor, ReadStep, bool)>>,
    /// Services added from now on are read from their beginning.
    begun: bool,
}

/// Some lines of the log, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPage {
    /// Lines of services.
    pub records: Vec<LogLine>,
    /// Status lines between them.
    pub status: Vec<StatusLine>,
    /// What was lost before these, wanted or not.
    pub missed: MissedLines,
}

/// Bytes that a reader takes at once.
const PAGE_SIZE: usize = 256 * 1024;

impl LogReader {
    pub(crate) fn new(
        inner: Arc<StackLogInner>,
        services: Option<Vec<Name>>,
        last: usize,
        follow: bool,
        wanted: LineFilter,
    ) -> LogReader {
        let changes = inner.changes();
        let until = (!follow).then(|| inner.queue.state().next_seq);
        let wanted = Arc::new(wanted);
        let status = wanted.for_status_lines(services.as_deref()).map(Arc::new);
        let cursor = Some(LogCursor::filtered(wanted.clone()));
        let (job, begun) = (None, false);
        let mut reader =
            LogReader { inner, services, last, wanted, status, until, changes, cursor, job, begun };
        reader.add_lanes();
        reader
    }

    /// Returns the next page, which is never empty; `None` at the end.
    pub async fn next(&mut self) -> Option<LogPage> {
        loop {
            let (step, last) = self.step().await;
            if !step.chunks.is_empty() || !step.missed.is_empty() {
                let mut page = page(step, &self.wanted, self.status.as_deref());
                if let Some(until) = self.until {
                    // The writer may have joined later lines to the last entry.
                    page.records.retain(|line| line.seq < until);
                    page.status.retain(|line| line.seq < Some(until));
                }
                if page.is_empty() {
                    continue;
                }
                return Some(page);
            }
            if last {
                return None;
            }
            if self.until.is_some() {
                // `stop_at_end` was called while the step was running.
                continue;
            }
            self.changes.changed().await.ok()?;
        }
    }

    /// Ends this reader after what is stored now.
    pub fn stop_at_end(&mut self) {
        self.until = Some(self.inner.queue.state().next_seq);
    }

    /// Runs the next step. Also returns whether an empty step means the end: only if the end was
    /// known when the step started, because an earlier one may not have seen the last lines.
    async fn step(&mut self) -> (ReadStep, bool) {
        if self.job.is_none() {
            self.add_lanes();
            let mut cursor =
                self.cursor.take().unwrap_or_else(|| LogCursor::filtered(self.wanted.clone()));
            // Read before the step: whatever is stored from here on wakes this reader again, and a
            // step that knows of the end sees everything stored before it.
            let last = self.until.is_some() || self.inner.is_ended();
            self.changes.borrow_and_update();
            let before = self.until.unwrap_or_else(|| self.inner.queue.state().next_seq);
            self.job = Some(tokio::task::spawn_blocking(move || {
                let step = cursor.step(before, PAGE_SIZE);
                (cursor, step, last)
            }));
        }
        let Some(job) = &mut self.job else { return (ReadStep::default(), true) };
        let done = job.await;
        self.job = None;
        match done {
            Ok((cursor, step, last)) => {
                self.cursor = Some(cursor);
                (step, last)
            }
            // Only when the runtime shuts down, which ends this reader too.
            Err(_) => (ReadStep::default(), true),
        }
    }

    /// Follows services that are new since the last call.
    fn add_lanes(&mut self) {
        let from = if self.begun { ReadFrom::Last(usize::MAX) } else { ReadFrom::Last(self.last) };
        self.begun = true;
        let Some(cursor) = &mut self.cursor else { return };
        for service_log in self.inner.all_lanes() {
            let wanted = match &service_log.origin {
                LogOrigin::Devstack => self.status.as_ref(),
                LogOrigin::Service(name) => {
                    let named = self.services.as_ref().is_none_or(|names| names.contains(name));
                    (named && self.wanted.has_lines()).then_some(&self.wanted)
                }
            };
            if let Some(wanted) = wanted {
                cursor.add_wanted(&service_log, from, wanted);
            }
        }
    }
}

impl LogPage {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.status.is_empty() && self.missed.is_empty()
    }

    /// Returns what was missed, then all lines in order.
    pub fn items(self) -> Vec<LogItem> {
        let missed = self.missed.iter().map(|(service, lost)| LogItem::Missed {
            service: service.cloned(),
            missed: lost.lines,
            bytes: lost.bytes,
        });
        let mut items: Vec<LogItem> = missed.collect();
        items.reserve(self.records.len() + self.status.len());
        let mut status = self.status.into_iter().peekable();
        for record in self.records {
            while let Some(before) = status.next_if(|status| status.seq < Some(record.seq)) {
                items.push(LogItem::Status(before));
            }
            items.push(LogItem::Line(record));
        }
        items.extend(status.map(LogItem::Status));
        items
    }
}

/// Returns the wanted lines of a step.
pub(super) fn page(
    step: ReadStep,
    wanted: &LineFilter,
    said_wanted: Option<&LineFilter>,
) -> LogPage {
    let (mut records, mut status) = (Vec::new(), Vec::new());
    for chunk in &step.chunks {
        match &chunk.origin {
            LogOrigin::Service(name) => {
                records.extend(chunk.lines(name).filter(|one| wanted.accepts(&one.line)));
            }
            LogOrigin::Devstack => status.extend(spoken(chunk, said_wanted.unwrap_or(wanted))),
        }
    }
    LogPage { records, status, missed: step.missed }
}

fn spoken<'a>(
    chunk: &'a LogChunk,
    wanted: &'a LineFilter,
) -> impl Iterator<Item = StatusLine> + 'a {
    let lines =
        line_split::lines(&chunk.bytes).enumerate().filter(|(_, line)| wanted.accepts(line));
    lines.filter_map(|(at, line)| StatusLine::decode(line, chunk.batch.seq + at as u64))
}
