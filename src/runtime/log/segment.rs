use std::sync::{Arc, Mutex, OnceLock};

use super::amount::Amount;
use super::ring::Ring;
use super::volume::Volume;

/// Where batches of a service are, one after the other. A service starts with an empty segment;
/// each time the place changes (a file is made or is full, the disk is full, the disk is back) there is a next one.
pub(super) struct Segment {
    /// Where.
    pub kind: Kind,
    /// Set when it is complete.
    pub next: OnceLock<Next>,
}

/// What follows a segment.
#[derive(Clone)]
pub(super) struct Next {
    /// How many batches the segment has; in a file, all from its beginning.
    pub total: u64,
    /// How much the service had printed at its end.
    pub upto: Amount,
    /// What follows.
    pub segment: Arc<Segment>,
    /// Where in it to go on: batches before this one are known already.
    pub first: u64,
}

/// Where the batches of a segment are.
pub(super) enum Kind {
    /// In files.
    Disk(Arc<Volume>),
    /// In memory.
    Memory(Mutex<Ring>),
}

impl Segment {
    /// A segment without a successor.
    pub fn new(kind: Kind) -> Arc<Segment> {
        Arc::new(Segment { kind, next: OnceLock::new() })
    }

    /// A segment in memory.
    pub fn memory(ring: Ring) -> Arc<Segment> {
        Segment::new(Kind::Memory(Mutex::new(ring)))
    }

    /// A whole volume, and what follows it.
    pub fn complete(volume: Arc<Volume>, next: Next) -> Arc<Segment> {
        Arc::new(Segment { kind: Kind::Disk(volume), next: OnceLock::from(next) })
    }
}

impl Drop for Segment {
    /// One after the other: a reader that slept through many files holds a chain that is too long for recursion.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(last) = next {
            next = Arc::into_inner(last.segment).and_then(|mut segment| segment.next.take());
        }
    }
}
