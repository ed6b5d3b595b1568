use std::sync::Arc;

use super::amount::Amount;
use super::batch::Batch;
use super::lock;
use super::segment::{Kind, Next, Segment};
use super::volume::Volume;
use crate::model::RunId;

/// State of a service log from which a reader finds its starting point.
pub(super) struct Extent {
    /// Rotated files, oldest first.
    pub kept: Vec<Kept>,
    /// The segment after them.
    pub base: Arc<Segment>,
    /// The segment that is written now.
    pub segment: Arc<Segment>,
    /// Number of entries in the index of the newest file.
    pub written: u64,
    /// Entries that the index does not have yet.
    pub pending: Vec<Batch>,
    /// Number of entries in `segment`.
    pub end: u64,
    /// Everything the service has printed.
    pub total: Amount,
    /// The run that printed last.
    pub run: Option<RunId>,
}

#[derive(Clone)]
pub(super) struct Kept {
    pub volume: Arc<Volume>,
    /// Number of entries in its index.
    pub written: u64,
}

impl Extent {
    /// Returns the files, newest first: their numbers for `segments_from`, their indexed entries,
    /// and how much the service had printed by the end of these.
    pub fn volumes(&self) -> impl Iterator<Item = (usize, &Arc<Volume>, u64, Amount)> {
        let newest = match &self.base.kind {
            Kind::Disk(volume) => Some((self.kept.len(), volume, self.written, self.indexed())),
            Kind::Memory(_) => None,
        };
        let kept = self.kept.iter().enumerate().rev();
        let kept = kept.map(|(at, kept)| (at, &kept.volume, kept.written, self.before(at + 1)));
        newest.into_iter().chain(kept)
    }

    /// Returns the segments from this file on, and how much the service had printed before it.
    pub fn chain(&self, from: usize) -> (Arc<Segment>, Amount) {
        let kept = self.kept.iter().enumerate().skip(from).rev();
        let chain = kept.fold(self.base.clone(), |segment, (at, kept)| {
            let upto = self.before(at + 1);
            let next = Next { total: kept.written, upto, segment, first: 0 };
            Segment::complete(kept.volume.clone(), next)
        });
        (chain, self.before(from))
    }

    /// Returns how much the service had printed before this file.
    fn before(&self, number: usize) -> Amount {
        match (self.kept.get(number), &self.base.kind) {
            (Some(kept), _) => kept.volume.before,
            (None, Kind::Disk(volume)) => volume.before,
            (None, Kind::Memory(ring)) => lock(ring).start(),
        }
    }

    /// Returns how much the service had printed by the end of the index.
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
