use std::sync::{Arc, Mutex, OnceLock};

use super::amount::Amount;
use super::ring::Ring;
use super::volume::Volume;

/// A place with entries of a service. A service log starts with an empty segment; another one
/// follows whenever the place changes: a file is created or full, the disk fails or works again.
pub(super) struct Segment {
    pub kind: Kind,
    /// Set once the segment is complete.
    pub next: OnceLock<Next>,
}

#[derive(Clone)]
pub(super) struct Next {
    /// Number of entries in the segment; in a file, all from its beginning.
    pub total: u64,
    /// How much the service had printed by its end.
    pub upto: Amount,
    pub segment: Arc<Segment>,
    /// Number of the first entry to read there: earlier ones are already known.
    pub first: u64,
}

pub(super) enum Kind {
    Disk(Arc<Volume>),
    Memory(Mutex<Ring>),
}

impl Segment {
    pub fn new(kind: Kind) -> Arc<Segment> {
        Arc::new(Segment { kind, next: OnceLock::new() })
    }

    pub fn memory(ring: Ring) -> Arc<Segment> {
        Segment::new(Kind::Memory(Mutex::new(ring)))
    }

    /// Creates a segment for a whole file, with its successor.
    pub fn complete(volume: Arc<Volume>, next: Next) -> Arc<Segment> {
        Arc::new(Segment { kind: Kind::Disk(volume), next: OnceLock::from(next) })
    }
}

impl Drop for Segment {
    /// In a loop: the chain of a reader that slept through many files is too long for recursion.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(last) = next {
            next = Arc::into_inner(last.segment).and_then(|mut segment| segment.next.take());
        }
    }
}
