use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::Batch;
use super::lane::{Extent, Lane};
use super::lock;
use super::segment::{Files, Kind, Segment};
use crate::model::{Name, Run};

/// Where somebody reads in the lanes of a stack: gives what is stored in the order of its numbers.
/// Holds little memory, however far behind it is.
#[derive(Default)]
pub(super) struct Cursor {
    tracks: BTreeMap<Name, Track>,
}

/// Where somebody reads in one lane.
struct Track {
    lane: Arc<Lane>,
    segment: Arc<Segment>,
    /// The number of the next batch in the segment.
    at: u64,
    /// How many lines were taken from this segment, if it is in memory: tells what was lost.
    passed: u64,
    /// Batches that were looked up and not given yet.
    ahead: VecDeque<(Batch, Source)>,
    /// Lines that are lost before the next batch and not told yet.
    lost: u64,
    /// There was nothing more in this step.
    quiet: bool,
    /// Lines before this number are left out.
    from: u64,
    /// Only lines of this run count.
    run: Option<Run>,
}

/// Where the bytes of a batch are.
enum Source {
    Disk(Arc<Files>),
    Memory(Bytes),
}

/// Where to start reading.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// At the line with this number.
    Seq(u64),
    /// So many lines before the end.
    Last(usize),
    /// So many lines before the end, of the last run only.
    LastOfRun(usize),
}

/// A batch with its bytes.
pub(super) struct Chunk {
    pub service: Name,
    pub batch: Batch,
    pub bytes: Bytes,
}

/// What one step gives.
#[derive(Default)]
pub(super) struct Step {
    pub chunks: Vec<Chunk>,
    /// How many lines are lost that should have come before these.
    pub missed: u64,
}

/// How many batches are looked up at once.
const AHEAD: u64 = 256;

impl Cursor {
    /// Follows one more lane, if it does not yet.
    pub fn add(&mut self, lane: &Arc<Lane>, from: From) {
        if !self.tracks.contains_key(&lane.name) {
            self.tracks.insert(lane.name.clone(), Track::start(lane, from));
        }
    }

    /// The next chunks whose lines have numbers below `before`, until they have `bytes` bytes or
    /// no more are there. Every batch below `before` must be stored, or be in a lane that is being written.
    pub fn step(&mut self, before: u64, bytes: usize) -> Step {
        let mut step = Step::default();
        let mut len = 0;
        self.tracks.values_mut().for_each(|track| track.quiet = false);
        while len < bytes {
            for track in self.tracks.values_mut().filter(|t| !t.quiet && t.ahead.is_empty()) {
                step.missed += std::mem::take(&mut track.lost) + track.look_up();
                // All below `before` is there already: nothing later in this step changes that.
                track.quiet = track.ahead.is_empty();
            }
            let first = |track: &&mut Track| track.ahead.front().map(|(batch, _)| batch.seq);
            let tracks = self.tracks.values_mut().filter(|track| !track.ahead.is_empty());
            let Some(track) = tracks.min_by_key(first) else { break };
            if track.ahead.front().is_some_and(|(batch, _)| batch.seq >= before) {
                break;
            }
            match track.take() {
                Ok(Some(chunk)) => {
                    len += chunk.bytes.len();
                    step.chunks.push(chunk);
                }
                Ok(None) => {}
                Err(lost) => step.missed += lost,
            }
        }
        step
    }
}

impl Track {
    fn start(lane: &Arc<Lane>, from: From) -> Track {
        let extent = lane.extent();
        let mut track = Track {
            lane: lane.clone(),
            segment: extent.base.clone(),
            at: 0,
            passed: 0,
            ahead: VecDeque::new(),
            lost: 0,
            quiet: false,
            from: 0,
            run: None,
        };
        match from {
            From::Seq(seq) => track.seek_seq(seq, &extent),
            From::Last(usize::MAX) => track.lost = extent.forgotten,
            From::Last(lines) => track.seek_last(lines as u64, &extent),
            From::LastOfRun(lines) => {
                track.run = extent.run;
                track.seek_last(lines as u64, &extent);
            }
        }
        track
    }

    /// Skips what is indexed and lies before `seq`; the rest is left out while reading.
    fn seek_seq(&mut self, seq: u64, extent: &Extent) {
        self.from = seq;
        let Kind::Disk(files) = &extent.base.kind else { return };
        let (mut low, mut high) = (0, extent.written);
        while low < high {
            let middle = low + (high - low) / 2;
            let batch = files.batches(middle, middle + 1).unwrap_or_default();
            if batch.first().is_some_and(|batch| batch.seq_end() <= seq) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.at = low;
    }

    /// Walks back from the end until there are `lines` lines, of `self.run` if it is set.
    fn seek_last(&mut self, lines: u64, extent: &Extent) {
        let mut walk = Walk { lines, found: 0, run: self.run, from: None };
        if let Kind::Memory(ring) = &extent.segment.kind {
            let ring = lock(ring);
            ring.batches().rev().all(|(batch, _)| walk.back(batch));
        }
        let mut done = !extent.pending.iter().rev().all(|batch| walk.back(batch));
        let mut high = extent.written;
        if let Kind::Disk(files) = &extent.base.kind {
            while high > 0 && !done {
                let low = high.saturating_sub(AHEAD);
                let batches = files.batches(low, high).unwrap_or_default();
                done = !batches.iter().rev().all(|batch| walk.back(batch));
                high = low;
            }
        }
        self.at = high;
        self.from = walk.from.unwrap_or(u64::MAX);
        if walk.found == 0 {
            self.skip_all(extent);
        }
    }

    /// Starts at the end: nothing that is stored counts.
    fn skip_all(&mut self, extent: &Extent) {
        self.from = 0;
        self.segment = extent.segment.clone();
        (self.at, self.passed) = match &extent.segment.kind {
            Kind::Disk(_) => (extent.written + extent.pending.len() as u64, 0),
            Kind::Memory(ring) => {
                let ring = lock(ring);
                (ring.count(), ring.gone().1 + ring.lines())
            }
        };
    }

    /// Looks up the next batches. Gives the number of lines that are lost before them.
    fn look_up(&mut self) -> u64 {
        loop {
            let found = self.lane.find(&self.segment, self.at, AHEAD);
            match found {
                Found::Nothing => return 0,
                Found::Next(total, segment) => {
                    // Above the total if what was pending moved on into the next segment.
                    self.at = segment.first + self.at.saturating_sub(total);
                    (self.segment, self.passed) = (segment, 0);
                }
                Found::Indexed(files, to) => {
                    let batches = files.batches(self.at, to).unwrap_or_default();
                    let lost = to - self.at - batches.len() as u64;
                    self.at = to;
                    self.ahead.extend(
                        batches.into_iter().map(|batch| (batch, Source::Disk(files.clone()))),
                    );
                    return lost;
                }
                Found::Pending(files, batches) => {
                    self.at += batches.len() as u64;
                    self.ahead.extend(
                        batches.into_iter().map(|batch| (batch, Source::Disk(files.clone()))),
                    );
                    return 0;
                }
                Found::Held { gone, gone_lines, batches } => {
                    let behind = self.at < gone;
                    let mut lost = if behind { gone_lines.saturating_sub(self.passed) } else { 0 };
                    self.passed += lost;
                    if batches.first().is_some_and(|(batch, _)| batch.seq <= self.from) {
                        // What is gone lies before what was asked for.
                        lost = 0;
                    }
                    self.at = self.at.max(gone) + batches.len() as u64;
                    for (batch, bytes) in batches {
                        self.passed += u64::from(batch.lines);
                        self.ahead.push_back((batch, Source::Memory(bytes)));
                    }
                    return lost;
                }
            }
        }
    }

    /// Takes the next batch with its bytes; `Ok(None)` when it does not count, `Err` with the number
    /// of its lines when its bytes are lost.
    fn take(&mut self) -> Result<Option<Chunk>, u64> {
        let Some((mut batch, source)) = self.ahead.pop_front() else { return Ok(None) };
        if batch.seq_end() <= self.from || self.run.is_some_and(|run| run != batch.run) {
            return Ok(None);
        }
        let mut bytes = match source {
            Source::Memory(bytes) => bytes,
            Source::Disk(files) => files.bytes(&batch).map_err(|_| u64::from(batch.lines))?,
        };
        let skip = self.from.saturating_sub(batch.seq) as usize;
        if skip > 0 {
            let at =
                memchr::memchr_iter(b'\n', &bytes).nth(skip - 1).map_or(bytes.len(), |at| at + 1);
            bytes = bytes.slice(at..);
            batch.seq += skip as u64;
            batch.lines -= skip as u32;
            batch.continues = false;
        }
        let service = self.lane.name.clone();
        Ok((!bytes.is_empty()).then_some(Chunk { service, batch, bytes }))
    }
}

/// A walk back over batches, counting lines.
struct Walk {
    lines: u64,
    found: u64,
    run: Option<Run>,
    /// The number of the first line that counts.
    from: Option<u64>,
}

impl Walk {
    /// Counts a batch; whether to walk on.
    fn back(&mut self, batch: &Batch) -> bool {
        if self.found >= self.lines || self.run.is_some_and(|run| run != batch.run) {
            return false;
        }
        let wanted = u64::from(batch.lines).min(self.lines - self.found);
        self.found += wanted;
        self.from = Some(batch.seq_end() - wanted);
        self.found < self.lines
    }
}

/// What a lane has at a place.
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// The segment is complete with so many batches; this is the next.
    Next(u64, Arc<Segment>),
    /// The index has batches up to this number.
    Indexed(Arc<Files>, u64),
    /// The index does not have them yet.
    Pending(Arc<Files>, Vec<Batch>),
    /// They are in memory, those before them no longer.
    Held { gone: u64, gone_lines: u64, batches: Vec<(Batch, Bytes)> },
}
