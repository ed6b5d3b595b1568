//! From the bytes of a pipe to whole lines.

mod line_patterns;
mod log_capture;

pub(crate) use line_patterns::LinePatterns;
pub use log_capture::LogCapture;
