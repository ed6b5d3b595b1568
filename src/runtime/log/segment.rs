use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;

use super::batch::Batch;
use super::ring::Ring;

/// The two files of a service.
pub(super) struct Files {
    /// What the service wrote, byte for byte.
    pub log: File,
    /// [`MAGIC`], then one [`Batch`] after the other.
    pub index: File,
}

/// What an index starts with; the digit is the version of its form.
pub(super) const MAGIC: &[u8; 8] = b"dslogix1";

impl Files {
    /// Where a batch stands in the index.
    pub fn place(number: u64) -> u64 {
        MAGIC.len() as u64 + number * Batch::SIZE as u64
    }

    /// The batches `from..to` of the index, up to the first that is none.
    pub fn batches(&self, from: u64, to: u64) -> io::Result<Vec<Batch>> {
        let mut bytes = vec![0; (to - from) as usize * Batch::SIZE];
        self.index.read_exact_at(&mut bytes, Self::place(from))?;
        let (records, _) = bytes.as_chunks::<{ Batch::SIZE }>();
        Ok(records.iter().map_while(Batch::decode).collect())
    }

    /// The bytes of a batch.
    pub fn bytes(&self, batch: &Batch) -> io::Result<Bytes> {
        let mut bytes = vec![0; batch.len as usize];
        self.log.read_exact_at(&mut bytes, batch.offset)?;
        Ok(bytes.into())
    }
}

/// Where batches of a service are, one after the other. A service starts with an empty segment;
/// each time the place changes (a file is made, the disk is full, the disk is back) there is a next one.
pub(super) struct Segment {
    /// Where.
    pub kind: Kind,
    /// The number of its first batch: those before it in the file are known from the segment before.
    pub first: u64,
    /// Set when it is complete: how many batches it has (from 0, not from `first`), and what follows.
    pub next: OnceLock<(u64, Arc<Segment>)>,
}

/// Where the batches of a segment are.
pub(super) enum Kind {
    /// In files.
    Disk(Arc<Files>),
    /// In memory.
    Memory(Mutex<Ring>),
}

impl Segment {
    /// A segment without a successor.
    pub fn new(kind: Kind, first: u64) -> Arc<Segment> {
        Arc::new(Segment { kind, first, next: OnceLock::new() })
    }

    /// An empty segment in memory.
    pub fn memory() -> Arc<Segment> {
        Segment::new(Kind::Memory(Mutex::default()), 0)
    }
}
