//! Reading the log, of the running stack and of one that ended.

mod line_filter;
mod log_cursor;
mod log_reader;
mod service_log_cursor;
mod stored_log_reader;

pub use line_filter::{LineFilter, StatusMode};
pub(crate) use log_cursor::{LogCursor, ReadFrom};
pub use log_reader::{LogPage, LogReader};
pub use stored_log_reader::StoredLogReader;
