use std::sync::Arc;

use super::amount::Amount;
use super::batch::Batch;
use super::lock;
use super::segment::{Kind, Next, Segment};
use super::volume::Volume;
use crate::model::Run;

/// What somebody who wants to read from a lane starts with.
pub(super) struct Extent {
    /// Files that were put away, oldest first.
    pub kept: Vec<Kept>,
    /// What follows them.
    pub base: Arc<Segment>,
    /// Where batches go now.
    pub segment: Arc<Segment>,
    /// How many batches the index of the newest file has.
    pub written: u64,
    /// The batches behind them.
    pub pending: Vec<Batch>,
    /// How many batches `segment` has.
    pub end: u64,
    /// How much came in.
    pub total: Amount,
    /// The run that printed last.
    pub run: Option<Run>,
}

/// A file that was put away.
#[derive(Clone)]
pub(super) struct Kept {
    pub volume: Arc<Volume>,
    /// How many batches are in its index.
    pub written: u64,
}

impl Extent {
    /// The files, newest first: each with its number from 0 for `chain`, how many batches are in its index, and
    /// how much the service had printed at the end of these.
    pub fn volumes(&self) -> impl Iterator<Item = (usize, &Arc<Volume>, u64, Amount)> {
        let newest = match &self.base.kind {
            Kind::Disk(volume) => Some((self.kept.len(), volume, self.written, self.indexed())),
            Kind::Memory(_) => None,
        };
        let kept = self.kept.iter().enumerate().rev();
        let kept = kept.map(|(at, kept)| (at, &kept.volume, kept.written, self.before(at + 1)));
        newest.into_iter().chain(kept)
    }

    /// The segments from the file with this number on, and how much the service had printed before.
    pub fn chain(&self, from: usize) -> (Arc<Segment>, Amount) {
        let kept = self.kept.iter().enumerate().skip(from).rev();
        let chain = kept.fold(self.base.clone(), |segment, (at, kept)| {
            let upto = self.before(at + 1);
            let next = Next { total: kept.written, upto, segment, first: 0 };
            Segment::complete(kept.volume.clone(), next)
        });
        (chain, self.before(from))
    }

    /// How much the service had printed before the file with this number.
    fn before(&self, number: usize) -> Amount {
        match (self.kept.get(number), &self.base.kind) {
            (Some(kept), _) => kept.volume.before,
            (None, Kind::Disk(volume)) => volume.before,
            (None, Kind::Memory(ring)) => lock(ring).start(),
        }
    }

    /// How much the service had printed at the end of what is in the index.
    fn indexed(&self) -> Amount {
        match &self.segment.kind {
            Kind::Memory(ring) => lock(ring).start(),
            Kind::Disk(_) => {
                let mut total = self.total;
                self.pending.iter().for_each(|batch| total -= batch.amount());
                total
            }
        }
    }
}
