use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cursor::{Chunk, Cursor, From, Step};
use super::logs::Inner;
use super::missed::Missed;
use super::wanted::Wanted;
use super::{lines, record::Record};
use crate::model::Name;

/// Reads what the services printed, in order, at its own speed: it never slows anything.
pub struct Reader {
    inner: Arc<Inner>,
    services: Option<Vec<Name>>,
    last: usize,
    wanted: Arc<Wanted>,
    /// `None`: go on until everything has ended. Else: up to the line with this number.
    until: Option<u64>,
    changes: watch::Receiver<u64>,
    /// `None` while `job` has it.
    cursor: Option<Cursor>,
    /// A step that reads files, away from the threads that must not wait for a disk. Kept here, so
    /// that a call of `next` that is dropped loses nothing.
    job: Option<JoinHandle<(Cursor, Step)>>,
    /// New services start at their beginning once the first step is done.
    begun: bool,
}

/// Some lines, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub records: Vec<Record>,
    /// What is lost that should have come before these, wanted or not.
    pub missed: Missed,
}

/// What a reader takes at once, in bytes.
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
        let cursor = Some(Cursor::of(wanted.clone()));
        let (job, begun) = (None, false);
        let mut reader =
            Reader { inner, services, last, wanted, until, changes, cursor, job, begun };
        reader.add_lanes();
        reader
    }

    /// The next lines, some at least; `None` when there are no more.
    pub async fn next(&mut self) -> Option<Page> {
        loop {
            // Before the step: what is stored before the end is then sure to be seen by it.
            let ended = self.inner.is_ended();
            self.changes.borrow_and_update();
            let step = self.step().await;
            if !step.chunks.is_empty() || !step.missed.is_empty() {
                let page = page(step, &self.wanted);
                if page.is_empty() {
                    continue;
                }
                return Some(page);
            }
            if ended || self.until.is_some() {
                return None;
            }
            self.changes.changed().await.ok()?;
        }
    }

    async fn step(&mut self) -> Step {
        if self.job.is_none() {
            self.add_lanes();
            let mut cursor = self.cursor.take().unwrap_or_else(|| Cursor::of(self.wanted.clone()));
            let before = self.until.unwrap_or_else(|| self.inner.queue.state().next_seq);
            self.job = Some(tokio::task::spawn_blocking(move || {
                let step = cursor.step(before, PAGE);
                (cursor, step)
            }));
        }
        let Some(job) = &mut self.job else { return Step::default() };
        let done = job.await;
        self.job = None;
        match done {
            Ok((cursor, step)) => {
                self.cursor = Some(cursor);
                step
            }
            // Only when the runtime ends: then this reader does, too.
            Err(_) => Step::default(),
        }
    }

    /// Follows services that were not there before.
    fn add_lanes(&mut self) {
        let from = if self.begun { From::Last(usize::MAX) } else { From::Last(self.last) };
        self.begun = true;
        let Some(cursor) = &mut self.cursor else { return };
        for lane in self.inner.all_lanes() {
            if self.services.as_ref().is_none_or(|names| names.contains(&lane.name)) {
                cursor.add(&lane, from);
            }
        }
    }
}

impl Page {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.missed.is_empty()
    }
}

/// The wanted lines of a step.
pub(super) fn page(step: Step, wanted: &Wanted) -> Page {
    let records = step.chunks.iter().flat_map(records);
    let records = records.filter(|record| wanted.takes(&record.line)).collect();
    Page { records, missed: step.missed }
}

fn records(chunk: &Chunk) -> impl Iterator<Item = Record> {
    let last = chunk.batch.lines.saturating_sub(1) as usize;
    lines::lines(&chunk.bytes).enumerate().map(move |(at, line)| Record {
        service: chunk.service.clone(),
        run: chunk.batch.run,
        stream: chunk.batch.stream,
        at: chunk.batch.at,
        seq: chunk.batch.seq + at as u64,
        line: lines::content(line).to_vec(),
        continues: at == 0 && chunk.batch.continues,
        open: at == last && chunk.batch.open,
    })
}
