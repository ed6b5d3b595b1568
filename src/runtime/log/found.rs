use std::sync::Arc;

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;
use super::segment::Next;
use super::volume::Volume;

/// What a service log has at a position.
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// The segment is complete and has no more entries.
    Next(Next),
    /// The index has entries up to this number.
    Indexed(Arc<Volume>, u64),
    /// Entries that the index does not have yet.
    Pending(Arc<Volume>, Vec<Batch>),
    /// Entries in memory, after `gone` evicted ones with the total at the end of these.
    Held { gone: u64, upto: Amount, batches: Vec<(Batch, Bytes)> },
}
