//! Reading the log, of the running stack and of one that ended.

mod item_encoder;
mod line_filter;
mod line_joiner;
mod log_cursor;
mod log_items;
mod log_reader;
mod service_log_cursor;
mod stored_log_reader;
mod tail_walk;

pub(crate) use item_encoder::ItemEncoder;
pub use line_filter::{LineFilter, StatusMode, StoredForm};
pub(crate) use line_joiner::LineJoiner;
pub(crate) use log_cursor::{LogCursor, ReadFrom};
pub use log_items::LogItems;
pub use log_reader::LogReader;
pub use stored_log_reader::{StoredFrom, StoredLogReader};
