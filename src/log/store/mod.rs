//! Where lines are kept: one log per service, in files with an index.

mod index_entry;
mod log_chunk;
mod log_dir;
mod log_extent;
mod log_file;
mod log_segment;
mod log_view;
mod log_writer;
mod memory_ring;
mod recent_lines;
mod service_log;
mod service_log_state;
mod storage_counts;

pub(crate) use index_entry::IndexEntry;
pub(crate) use log_chunk::LogChunk;
pub(crate) use log_dir::LogDir;
pub(crate) use log_extent::{LogExtent, RotatedFile, SegmentLookup};
pub(crate) use log_file::{IndexHeader, LogFile, LogFilePair};
#[cfg(test)]
pub(crate) use log_segment::NextSegment;
pub(crate) use log_segment::{LogSegment, SegmentKind};
pub(crate) use log_writer::LogWriter;
pub(crate) use service_log::{MAX_UNINDEXED_BYTES, NewestFile, ServiceLog};
pub use storage_counts::StorageCounts;
