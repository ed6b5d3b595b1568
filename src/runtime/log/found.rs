use std::sync::Arc;

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;
use super::segment::Next;
use super::volume::Volume;

/// What a lane has at a place.
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// The segment is complete and there is no more in it.
    Next(Next),
    /// The index has batches up to this number.
    Indexed(Arc<Volume>, u64),
    /// The index does not have them yet.
    Pending(Arc<Volume>, Vec<Batch>),
    /// They are in memory; those before `gone` no longer, at whose end the service had printed `upto`.
    Held { gone: u64, upto: Amount, batches: Vec<(Batch, Bytes)> },
}
