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

/// Reads what the services printed, in order, at its own speed: it never slows anything.
pub struct Reader {
    inner: Arc<Inner>,
    services: Option<Vec<Name>>,
    last: usize,
    wanted: Arc<Wanted>,
    /// What is wanted of that which devstack says; `None`: nothing.
    said: Option<Arc<Wanted>>,
    /// `None`: go on until everything has ended. Else: up to the line with this number.
    until: Option<u64>,
    changes: watch::Receiver<u64>,
    /// `None` while `job` has it.
    cursor: Option<Cursor>,
    /// A step that reads files, away from the threads that must not wait for a disk. Kept here, so
    /// that a call of `next` that is dropped loses nothing.
    job: Option<JoinHandle<(Cursor, Step, bool)>>,
    /// New services start at their beginning once the first step is done.
    begun: bool,
}

/// Some lines, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub records: Vec<Record>,
    /// What devstack said between them.
    pub said: Vec<Spoken>,
    /// What is lost that should have come before these, wanted or not.
    pub missed: Missed,
}

/// One thing in a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// A line of a service.
    Line(Record),
    /// What devstack said.
    Said(Spoken),
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
        let said = wanted.of_said(services.as_deref()).map(Arc::new);
        let cursor = Some(Cursor::of(wanted.clone()));
        let (job, begun) = (None, false);
        let mut reader =
            Reader { inner, services, last, wanted, said, until, changes, cursor, job, begun };
        reader.add_lanes();
        reader
    }

    /// The next lines, some at least; `None` when there are no more.
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
                // It was told to end while the step was under way.
                continue;
            }
            self.changes.changed().await.ok()?;
        }
    }

    /// From now on it ends after what there is now.
    pub fn end_here(&mut self) {
        self.until = Some(self.inner.queue.state().next_seq);
    }

    /// The next step, and whether nothing comes after one that finds nothing: it began when the end was known. One that
    /// was under way before may not have seen what was stored last.
    async fn step(&mut self) -> (Step, bool) {
        if self.job.is_none() {
            self.add_lanes();
            let mut cursor = self.cursor.take().unwrap_or_else(|| Cursor::of(self.wanted.clone()));
            // Before the step: what is stored from here on wakes this reader again, and what is stored before the end is
            // sure to be seen by a step that knows of the end.
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
            // Only when the runtime ends: then this reader does, too.
            Err(_) => (Step::default(), true),
        }
    }

    /// Follows services that were not there before.
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
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.said.is_empty() && self.missed.is_empty()
    }

    /// All that is in it, in order.
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

/// The wanted lines of a step, and what devstack said between them.
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
