use std::sync::Arc;

use bytes::Bytes;

use super::amount::LogSize;
use super::batch::IndexEntry;
use super::segment::NextSegment;
use super::volume::LogFile;

/// What a service log has at a position.
pub(super) enum SegmentLookup {
    /// Nothing yet.
    Nothing,
    /// The segment is complete and has no more entries.
    Next(NextSegment),
    /// The index has entries up to this number.
    Indexed(Arc<LogFile>, u64),
    /// Entries that the index does not have yet.
    Pending(Arc<LogFile>, Vec<IndexEntry>),
    /// Entries in memory, after `gone` evicted ones with the total at the end of these.
    Held { gone: u64, upto: LogSize, batches: Vec<(IndexEntry, Bytes)> },
}
