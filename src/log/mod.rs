//! Output of services: captured, stored, printed.
//!
//! ```text
//!  pipe ─► LogCapture ─► ServiceLog ─► LogWriter thread ─► NAME.log, .idx
//!             │             │  │ └ full: the pipe is not read     └ full: NAME.1.log …
//!             │             │  └─► LogCursor ─► LogReader; from files only: StoredLogReader
//!             └─► PrintQueue ─► LogPrinter thread ─► terminal
//!                     └ full: the printer reads with a LogCursor until it has caught up
//! ```
//!
//! A capture cuts a stream into chunks of whole lines. The writer appends each to the file of its
//! service and adds an entry to the index; until then, readers get it from memory. A full file is
//! rotated: it is renamed to its number, and a new one begins. When the disk is too slow, the pipes
//! of that service are not read for a while. The terminal has its own thread, fed by a queue that is
//! bounded in bytes. When the queue is full, chunks are only stored, and the printer reads them back
//! later. So the loop waits neither for disk nor terminal, memory is bounded, and every line still
//! kept is printed; missed lines are counted.
//!
//! The directory of the previous start is `logs.1`.
//!
//! devstack itself is a source like any service: it has a log and line numbers, but no run. Its
//! lines are stored as the JSON objects that readers get.
//!
//! Lines are ordered by `seq`, their number within the stack; clocks only label them.

pub(crate) mod capture;
pub(crate) mod escape_filter;
pub(crate) mod escape_parser;
pub(crate) mod format;
mod last_lines;
mod line_split;
mod log_item;
mod log_line;
mod log_size;
mod log_source;
mod log_warnings;
mod missed_lines;
pub(crate) mod read;
mod service_palette;
pub(crate) mod shared;
mod stack_log;
mod status_line;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub use crate::sys::reader_closed::reader_closed;
pub use capture::LogCapture;
pub use format::{LineFormatter, LogOutput, LogStyle, PassedOutput};
pub(crate) use last_lines::last_lines;
pub use line_split::MAX_LINE;
pub use log_item::LogItem;
pub use log_line::LogLine;
pub use log_size::LogSize;
pub use missed_lines::MissedLines;
pub(crate) use read::ItemEncoder;
pub use read::{
    LineFilter, LogItems, LogReader, StatusMode, StoredForm, StoredFrom, StoredLogReader,
};
pub use service_palette::ServicePalette;
pub use stack_log::{OutputHold, StackLog};
pub(crate) use status_line::EXCERPT;
pub use status_line::{StatusLine, StatusText, StatusTone};
pub use store::StorageCounts;

use crate::sync::lock_unpoisoned;
