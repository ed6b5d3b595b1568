use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::item_encoder::ItemEncoder;
use super::line_filter::LineFilter;
use super::line_joiner::LineJoiner;
use super::log_cursor::{LogCursor, ReadStep};
use super::log_items::LogItems;
use crate::log::log_source::LogSource;
use crate::log::shared::SharedLog;
use crate::log::store::LogChunk;
use crate::model::{Name, OutputStream, StartId};

/// Reads the log in order and at its own speed, without slowing anything down.
pub struct LogReader {
    inner: Arc<SharedLog>,
    services: Option<Vec<Name>>,
    last: usize,
    /// Whether lines after the requested start may have been removed.
    is_too_late: bool,
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
    joiner: LineJoiner,
    /// Which starts of lines were returned: their times and lengths.
    unfinished: BTreeMap<(Name, OutputStream), (i64, usize)>,
}

/// Bytes that a reader takes at once, and holds while a client does not read.
const PAGE_SIZE: usize = 64 * 1024;

impl LogReader {
    pub(crate) fn new(
        inner: Arc<SharedLog>,
        services: Option<Vec<Name>>,
        last: usize,
        follow: bool,
        wanted: LineFilter,
    ) -> LogReader {
        let end = || inner.queue.state().next_seq;
        let until = match wanted.before {
            Some(before) => Some(before.min(end())),
            None => (!follow).then(end),
        };
        let wanted = Arc::new(wanted);
        let status = wanted.for_status_lines(services.as_deref()).map(Arc::new);
        let mut reader = LogReader {
            changes: inner.changes(),
            inner,
            services,
            last,
            is_too_late: false,
            cursor: Some(LogCursor::default()),
            wanted,
            status,
            until,
            job: None,
            begun: false,
            joiner: LineJoiner::default(),
            unfinished: BTreeMap::new(),
        };
        reader.add_service_logs();
        reader
    }

    /// Returns what the next step found, of which nothing may be wanted; `None` at the end.
    pub async fn next(&mut self) -> Option<LogItems> {
        let mut turn = None;
        loop {
            if turn.is_none() && self.joiner.held() > PAGE_SIZE {
                // One at a time, so that others find its line instead of joining it beside it. Fails
                // only when it is closed, which it never is.
                turn = self.inner.joining.clone().acquire_owned().await.ok();
            }
            let (step, last) = self.step().await;
            let found = !step.is_empty();
            self.is_too_late |= step.is_too_late;
            let ended = last && !found;
            let mut step = step.joined(&mut self.joiner, ended);
            if !step.is_empty() {
                step.chunks =
                    step.chunks.into_iter().map(|one| self.inner.long_lines.share(one)).collect();
                let status = self.status.as_ref();
                return Some(LogItems::of(step, &self.wanted, status, self.until));
            }
            if found {
                // The pieces of a line whose end follows.
                continue;
            }
            if self.wanted.unfinished
                && self.until.is_none()
                && self.changes.has_changed().is_ok_and(|new| new)
            {
                // Lines that were completed meanwhile come before the starts of others.
                continue;
            }
            let unfinished = self.new_unfinished();
            if !unfinished.is_empty() {
                let step = ReadStep { chunks: unfinished, ..ReadStep::default() };
                return Some(LogItems::of(step, &self.wanted, None, None));
            }
            if ended {
                return None;
            }
            if self.until.is_some() {
                // `stop_at_end` was called while the step was running.
                continue;
            }
            drop(turn.take());
            self.changes.changed().await.ok()?;
        }
    }

    /// Returns the starts of lines that are wanted and were not returned yet.
    fn new_unfinished(&mut self) -> Vec<LogChunk> {
        let mut chunks = Vec::new();
        if !self.wanted.unfinished {
            return chunks;
        }
        for log in self.inner.service_logs() {
            let Some(name) = log.source.service().filter(|name| self.is_read(name)) else {
                continue;
            };
            for mut chunk in log.unfinished() {
                let is_wanted = self.wanted.accepts_entry(&chunk.batch);
                let (key, mark) =
                    ((name.clone(), chunk.batch.stream), (chunk.batch.at, chunk.bytes.len()));
                if is_wanted
                    && self.wanted.accepts(&chunk.bytes)
                    && self.unfinished.insert(key, mark) != Some(mark)
                {
                    chunk.batch.seq = self.inner.queue.state().next_seq;
                    chunks.push(chunk);
                }
            }
        }
        chunks
    }

    fn is_read(&self, name: &Name) -> bool {
        let named = self.services.as_ref().is_none_or(|names| names.contains(name));
        named && self.wanted.has_lines()
    }

    /// Returns an encoder of what a step found. Readers that get the same lines share their JSON.
    pub(crate) fn encoder(&self, items: LogItems) -> ItemEncoder {
        ItemEncoder::new(items, self.inner.clone())
    }

    /// Whether lines after the requested start may have been removed; known with the first items.
    pub fn is_too_late(&self) -> bool {
        self.is_too_late
    }

    /// The start of the stack whose log it reads.
    pub fn start_id(&self) -> &StartId {
        &self.inner.start
    }

    /// Returns the number of the line after those that it reads.
    pub fn end(&self) -> u64 {
        self.until.unwrap_or_else(|| self.inner.queue.state().next_seq)
    }

    /// Ends this reader after what is stored now.
    pub fn stop_at_end(&mut self) {
        self.until = Some(self.inner.queue.state().next_seq);
    }

    /// Runs the next step. Also returns whether an empty step means the end: only if the end was
    /// known when the step started, because an earlier one may not have seen the last lines.
    async fn step(&mut self) -> (ReadStep, bool) {
        if self.job.is_none() {
            // Fails only when it is closed, which it never is.
            let turn = self.inner.reading.clone().acquire_owned().await.ok();
            self.add_service_logs();
            let mut cursor = self.cursor.take().unwrap_or_default();
            // Read before the step: whatever is stored from here on wakes this reader again, and a
            // step that knows of the end sees everything stored before it.
            let last = self.until.is_some() || self.inner.is_ended();
            self.changes.borrow_and_update();
            let before = self.until.unwrap_or_else(|| self.inner.queue.state().next_seq);
            self.job = Some(tokio::task::spawn_blocking(move || {
                let step = cursor.step(before, PAGE_SIZE);
                drop(turn);
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
    fn add_service_logs(&mut self) {
        let from = self.wanted.start(if self.begun { usize::MAX } else { self.last });
        self.begun = true;
        for service_log in self.inner.service_logs() {
            let wanted = match &service_log.source {
                LogSource::Devstack => self.status.as_ref(),
                LogSource::Service(name) => self.is_read(name).then_some(&self.wanted),
            };
            if let (Some(cursor), Some(wanted)) = (&mut self.cursor, wanted) {
                cursor.add(&service_log, from, wanted);
            }
        }
    }
}
