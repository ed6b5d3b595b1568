use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cursor::{Chunk, Cursor, From, Step};
use super::logs::Inner;
use super::missed::Missed;
use super::spoken::Spoken;
use super::voice::Voice;
use super::wanted::Wanted;
use super::{lines, record::Record};
use crate::model::Name;

/// Reads the log in order and at its own speed, without slowing anything down.
pub struct Reader {
    inner: Arc<Inner>,
    services: Option<Vec<Name>>,
    last: usize,
    wanted: Arc<Wanted>,
    /// Filter for status lines; `None`: not wanted.
    said: Option<Arc<Wanted>>,
    /// Reads up to the line with this number; `None`: until the log ends.
    until: Option<u64>,
    changes: watch::Receiver<u64>,
    /// `None` while `job` has it.
    cursor: Option<Cursor>,
    /// A step that reads files on a blocking thread; kept here to survive a dropped call of `next`.
    job: Option<JoinHandle<(Cursor, Step, bool)>>,
    /// Services added from now on are read from their beginning.
    begun: bool,
}

/// Some lines of the log, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Lines of services.
    pub records: Vec<Record>,
    /// Status lines between them.
    pub said: Vec<Spoken>,
    /// What was lost before these, wanted or not.
    pub missed: Missed,
}

/// An item of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// A line of a service.
    Line(Record),
    /// A status line.
    Said(Spoken),
}

/// Bytes that a reader takes at once.
const PAGE: usize = 256 * 1024;

impl Reader {
    pub(super) fn new(
        inner: Arc<Inner>,
        services: Option<Vec<Name>>,
        last: usize,
        follow: bool,
        wanted: Wanted,
    ) -> Reader {
        let changes = inner.changes();
        let until = (!follow).then(|| inner.queue.state().next_seq);
        let wanted = Arc::new(wanted);
        let said = wanted.of_said(services.as_deref()).map(Arc::new);
        let cursor = Some(Cursor::of(wanted.clone()));
        let (job, begun) = (None, false);
        let mut reader =
            Reader { inner, services, last, wanted, said, until, changes, cursor, job, begun };
        reader.add_lanes();
        reader
    }

    /// Returns the next page, which is never empty; `None` at the end.
    pub async fn next(&mut self) -> Option<Page> {
        loop {
            let (step, last) = self.step().await;
            if !step.chunks.is_empty() || !step.missed.is_empty() {
                let page = page(step, &self.wanted, self.said.as_deref());
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
    pub fn end_here(&mut self) {
        self.until = Some(self.inner.queue.state().next_seq);
    }

    /// Runs the next step. Also returns whether an empty step means the end: only if the end was
    /// known when the step started, because an earlier one may not have seen the last lines.
    async fn step(&mut self) -> (Step, bool) {
        if self.job.is_none() {
            self.add_lanes();
            let mut cursor = self.cursor.take().unwrap_or_else(|| Cursor::of(self.wanted.clone()));
            // Read before the step: whatever is stored from here on wakes this reader again, and a
            // step that knows of the end sees everything stored before it.
            let last = self.until.is_some() || self.inner.is_ended();
            self.changes.borrow_and_update();
            let before = self.until.unwrap_or_else(|| self.inner.queue.state().next_seq);
            self.job = Some(tokio::task::spawn_blocking(move || {
                let step = cursor.step(before, PAGE);
                (cursor, step, last)
            }));
        }
        let Some(job) = &mut self.job else { return (Step::default(), true) };
        let done = job.await;
        self.job = None;
        match done {
            Ok((cursor, step, last)) => {
                self.cursor = Some(cursor);
                (step, last)
            }
            // Only when the runtime shuts down, which ends this reader too.
            Err(_) => (Step::default(), true),
        }
    }

    /// Follows services that are new since the last call.
    fn add_lanes(&mut self) {
        let from = if self.begun { From::Last(usize::MAX) } else { From::Last(self.last) };
        self.begun = true;
        let Some(cursor) = &mut self.cursor else { return };
        for lane in self.inner.all_lanes() {
            let wanted = match &lane.voice {
                Voice::Devstack => self.said.as_ref(),
                Voice::Service(name) => {
                    let named = self.services.as_ref().is_none_or(|names| names.contains(name));
                    (named && self.wanted.has_lines()).then_some(&self.wanted)
                }
            };
            if let Some(wanted) = wanted {
                cursor.add_wanted(&lane, from, wanted);
            }
        }
    }
}

impl Page {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.said.is_empty() && self.missed.is_empty()
    }

    /// Returns all lines in order.
    pub fn items(self) -> Vec<Item> {
        let mut said = self.said.into_iter().peekable();
        let mut items = Vec::with_capacity(self.records.len() + said.len());
        for record in self.records {
            while let Some(before) = said.next_if(|said| said.seq < Some(record.seq)) {
                items.push(Item::Said(before));
            }
            items.push(Item::Line(record));
        }
        items.extend(said.map(Item::Said));
        items
    }
}

/// Returns the wanted lines of a step.
pub(super) fn page(step: Step, wanted: &Wanted, said_wanted: Option<&Wanted>) -> Page {
    let (mut records, mut said) = (Vec::new(), Vec::new());
    for chunk in &step.chunks {
        match &chunk.voice {
            Voice::Service(name) => {
                records.extend(self::records(name, chunk).filter(|one| wanted.takes(&one.line)));
            }
            Voice::Devstack => said.extend(spoken(chunk, said_wanted.unwrap_or(wanted))),
        }
    }
    Page { records, said, missed: step.missed }
}

fn records<'a>(service: &'a Name, chunk: &'a Chunk) -> impl Iterator<Item = Record> + 'a {
    let last = chunk.batch.lines.saturating_sub(1) as usize;
    lines::lines(&chunk.bytes).enumerate().map(move |(at, line)| Record {
        service: service.clone(),
        run: chunk.batch.run,
        stream: chunk.batch.stream,
        at: chunk.batch.at,
        seq: chunk.batch.seq + at as u64,
        line: lines::content(line).to_vec(),
        continues: at == 0 && chunk.batch.continues,
        open: at == last && chunk.batch.open,
    })
}

fn spoken<'a>(chunk: &'a Chunk, wanted: &'a Wanted) -> impl Iterator<Item = Spoken> + 'a {
    let lines = lines::lines(&chunk.bytes).enumerate().filter(|(_, line)| wanted.takes(line));
    lines.filter_map(|(at, line)| Spoken::read(line, chunk.batch.seq + at as u64))
}
