use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;
use super::cursor::{Chunk, From};
use super::extent::Extent;
use super::found::Found;
use super::lane::Lane;
use super::lines;
use super::lock;
use super::segment::{Kind, Segment};
use super::volume::{Files, Volume};
use super::wanted::Wanted;
use crate::model::Run;

/// Where somebody reads in one lane.
pub(super) struct Track {
    lane: Arc<Lane>,
    segment: Arc<Segment>,
    /// The number of the next batch in the segment.
    at: u64,
    /// How much the service had printed before that: tells what is lost when something is gone.
    passed: Amount,
    /// Batches that were looked up and not given yet.
    ahead: VecDeque<(Batch, Source)>,
    /// What is lost before the next batch and not told yet.
    lost: Amount,
    /// There was nothing more in this step.
    quiet: bool,
    /// Lines before this number are left out.
    from: u64,
    /// Only lines of this run count.
    run: Option<Run>,
    wanted: Arc<Wanted>,
    /// The volume that is being read, in this step.
    open: Option<(u64, Arc<Files>)>,
}

/// Where the bytes of a batch are.
enum Source {
    Disk(Arc<Volume>),
    Memory(Bytes),
}

/// How many batches are looked up at once.
const AHEAD: u64 = 256;

impl Track {
    /// Starts to read in a lane.
    pub fn start(lane: &Arc<Lane>, from: From, wanted: Arc<Wanted>) -> Track {
        let extent = lane.extent();
        let (segment, before) = extent.chain(0);
        let mut track = Track {
            lane: lane.clone(),
            segment,
            at: 0,
            passed: before,
            ahead: VecDeque::new(),
            lost: Amount::ZERO,
            quiet: false,
            from: 0,
            run: None,
            wanted,
            open: None,
        };
        match from {
            From::Seq(seq) => track.seek_seq(seq, &extent),
            From::Last(usize::MAX) if reaches_back(&extent, &track.wanted) => track.lost = before,
            From::Last(usize::MAX) => {}
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
        for (number, volume, written, _) in extent.volumes() {
            let is_before = |at| {
                let batch = self.batches(volume, at, at + 1).ok().and_then(|mut one| one.pop());
                batch.is_some_and(|batch| batch.seq_end() <= seq)
            };
            let (mut low, mut high) = (0, written);
            while low < high {
                let middle = low + (high - low) / 2;
                if is_before(middle) { low = middle + 1 } else { high = middle }
            }
            (self.segment, self.passed) = extent.chain(number);
            self.at = low;
            if low > 0 {
                return;
            }
        }
    }

    /// Walks back from the end until there are `lines` wanted lines, of `self.run` if it is set.
    fn seek_last(&mut self, lines: u64, extent: &Extent) {
        let wanted = &self.wanted.clone();
        let mut walk = Walk { lines, found: 0, run: self.run, from: None, wanted };
        let mut done = self.walk_unindexed(&mut walk, extent);
        for (number, volume, written, upto) in extent.volumes() {
            let (mut high, mut passed) = (written, upto);
            while high > 0 && !done {
                let low = high.saturating_sub(AHEAD);
                let batches = self.batches(volume, low, high).unwrap_or_default();
                let bytes = |batch: &Batch| self.bytes(volume, batch);
                done = !batches.iter().rev().all(|batch| walk.back(batch, bytes));
                batches.iter().for_each(|batch| passed -= batch.amount());
                high = low;
            }
            let (segment, before) = extent.chain(number);
            (self.segment, self.at) = (segment, high);
            self.passed = if high == 0 { before } else { passed };
            if done {
                break;
            }
        }
        self.from = walk.from.unwrap_or(u64::MAX);
        if walk.found == 0 {
            self.skip_all(extent);
        }
    }

    /// The same in what is in memory and what the index does not have; whether that is enough.
    fn walk_unindexed(&self, walk: &mut Walk<'_>, extent: &Extent) -> bool {
        if let Kind::Memory(ring) = &extent.segment.kind {
            let ring = lock(ring);
            let mut all = ring.batches().rev();
            if !all.all(|(batch, bytes)| walk.back(batch, |_| Some(bytes.clone()))) {
                return true;
            }
        }
        let Kind::Disk(volume) = &extent.base.kind else { return false };
        let bytes = |batch: &Batch| self.bytes(volume, batch);
        !extent.pending.iter().rev().all(|batch| walk.back(batch, bytes))
    }

    /// Starts at the end: nothing that is stored counts.
    fn skip_all(&mut self, extent: &Extent) {
        (self.from, self.passed) = (0, extent.total);
        (self.segment, self.at) = (extent.segment.clone(), extent.end);
    }

    /// The number of the next line.
    pub fn first(&self) -> Option<u64> {
        self.ahead.front().map(|(batch, _)| batch.seq)
    }

    /// Looks up the next batches, unless there are some or there were none in this step. Gives what is
    /// lost before them.
    pub fn fill(&mut self) -> Amount {
        if self.quiet || !self.ahead.is_empty() {
            return Amount::ZERO;
        }
        let lost = std::mem::take(&mut self.lost) + self.look_up();
        // All that the step may give is there already: nothing later in it changes that.
        self.quiet = self.ahead.is_empty();
        lost
    }

    /// The end of a step. No file stays open: who stands still must not keep what was removed on the disk.
    pub fn rest(&mut self) {
        (self.quiet, self.open) = (false, None);
    }

    fn look_up(&mut self) -> Amount {
        let mut lost = Amount::ZERO;
        while self.ahead.is_empty() {
            match self.lane.find(&self.segment, self.at, AHEAD) {
                Found::Nothing => return lost,
                Found::Next(next) => {
                    lost += self.skip_to(next.upto);
                    // Above the total if what was pending moved on into the next segment.
                    self.at = next.first + self.at.saturating_sub(next.total);
                    self.segment = next.segment;
                }
                Found::Indexed(volume, to) => lost += self.look_in_index(&volume, to),
                Found::Pending(volume, batches) => self.add(batches, &volume),
                Found::Held { gone, upto, batches } => {
                    if self.at < gone {
                        lost += self.skip_to(upto);
                    }
                    if batches.first().is_some_and(|(batch, _)| batch.seq <= self.from) {
                        // What is gone lies before what was asked for.
                        lost = Amount::ZERO;
                    }
                    self.at = self.at.max(gone) + batches.len() as u64;
                    for (batch, bytes) in batches {
                        self.passed += batch.amount();
                        self.ahead.push_back((batch, Source::Memory(bytes)));
                    }
                }
            }
        }
        lost
    }

    fn look_in_index(&mut self, volume: &Arc<Volume>, to: u64) -> Amount {
        let batches = self.open(volume).and_then(|files| files.batches(self.at, to));
        let batches = batches.unwrap_or_default();
        let short = to - self.at - batches.len() as u64;
        self.add(batches, volume);
        self.at += short;
        match (short, self.segment.next.get()) {
            (0, _) => Amount::ZERO,
            // The file was removed. What is lost with it is known at its end.
            (_, Some(next)) => {
                self.at = next.total;
                Amount::ZERO
            }
            // Somebody has damaged the index; nobody knows how much it said.
            (short, None) => {
                let lost = Amount { lines: short, bytes: 0 };
                self.passed += lost;
                lost
            }
        }
    }

    fn add(&mut self, batches: Vec<Batch>, volume: &Arc<Volume>) {
        self.at += batches.len() as u64;
        for batch in batches {
            self.passed += batch.amount();
            self.ahead.push_back((batch, Source::Disk(volume.clone())));
        }
    }

    /// Everything before this is passed; what was not, is lost.
    fn skip_to(&mut self, upto: Amount) -> Amount {
        let lost = upto.since(self.passed);
        self.passed += lost;
        lost
    }

    /// Takes the next batch with its bytes; `Ok(None)` when it does not count, `Err` with how much it is
    /// when its bytes are lost.
    pub fn take(&mut self) -> Result<Option<Chunk>, Amount> {
        let Some((mut batch, source)) = self.ahead.pop_front() else { return Ok(None) };
        if batch.seq_end() <= self.from || self.run.is_some_and(|run| run != batch.run) {
            return Ok(None);
        }
        if batch.lost {
            return Err(batch.amount());
        }
        if !self.wanted.may_have(&batch) {
            return Ok(None);
        }
        let mut bytes = match source {
            Source::Memory(bytes) => bytes,
            Source::Disk(volume) => {
                let bytes = self.open(&volume).and_then(|files| files.bytes(&batch));
                bytes.map_err(|_| batch.amount())?
            }
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
        let voice = self.lane.voice.clone();
        Ok((!bytes.is_empty()).then_some(Chunk { voice, batch, bytes }))
    }

    fn open(&mut self, volume: &Volume) -> io::Result<Arc<Files>> {
        match &self.open {
            Some((number, files)) if *number == volume.number => Ok(files.clone()),
            Some(_) | None => {
                let files = volume.files()?;
                self.open = Some((volume.number, files.clone()));
                Ok(files)
            }
        }
    }

    fn batches(&self, volume: &Volume, from: u64, to: u64) -> io::Result<Vec<Batch>> {
        volume.files()?.batches(from, to)
    }

    fn bytes(&self, volume: &Volume, batch: &Batch) -> Option<Bytes> {
        volume.files().and_then(|files| files.bytes(batch)).ok()
    }
}

/// Whether somebody who wants all of these wants lines that are older than all that is there.
fn reaches_back(extent: &Extent, wanted: &Wanted) -> bool {
    let Some(since) = wanted.since else { return true };
    let oldest = match extent.volumes().last() {
        Some((_, volume, _, _)) => {
            let first = volume.files().and_then(|files| files.batches(0, 1));
            first.ok().and_then(|mut first| first.pop())
        }
        None => None,
    };
    oldest.is_none_or(|oldest| oldest.at >= since)
}

/// A walk back over batches, counting lines.
struct Walk<'a> {
    lines: u64,
    found: u64,
    run: Option<Run>,
    /// The number of the first line that counts.
    from: Option<u64>,
    wanted: &'a Wanted,
}

impl Walk<'_> {
    /// Counts a batch; whether to walk on.
    fn back(&mut self, batch: &Batch, bytes: impl FnOnce(&Batch) -> Option<Bytes>) -> bool {
        if self.found >= self.lines || self.run.is_some_and(|run| run != batch.run) {
            return false;
        }
        if batch.lost || !self.wanted.may_have(batch) {
            return true;
        }
        if self.wanted.takes_all() {
            let wanted = u64::from(batch.lines).min(self.lines - self.found);
            self.found += wanted;
            self.from = Some(batch.seq_end() - wanted);
        } else if let Some(bytes) = bytes(batch) {
            self.count(batch, &bytes);
        }
        self.found < self.lines
    }

    fn count(&mut self, batch: &Batch, bytes: &[u8]) {
        let lines = lines::lines(bytes).enumerate();
        let hits: Vec<usize> =
            lines.filter(|(_, line)| self.wanted.takes(line)).map(|(at, _)| at).collect();
        let missing = usize::try_from(self.lines - self.found).unwrap_or(usize::MAX);
        let hits = &hits[hits.len().saturating_sub(missing)..];
        self.found += hits.len() as u64;
        if let Some(first) = hits.first() {
            self.from = Some(batch.seq + *first as u64);
        }
    }
}
