//! From the bytes of a pipe to whole lines.

mod line_patterns;
mod log_capture;
mod raw_chunk;

pub(crate) use line_patterns::LinePatterns;
pub use log_capture::LogCapture;
pub(crate) use raw_chunk::RawChunk;
