//! Output of services: captured, stored, printed.
//!
//! ```text
//!  pipe ─► LogCapture ─► ServiceLog (NAME.log, .idx) ─► LogCursor ─► LogReader, StoredLogReader
//!             │              └ full: NAME.1.log, NAME.2.log …, of which the newest are kept
//!             └─────► PrintQueue ─► printer thread ─► terminal
//!                         └ full: the printer reads with a LogCursor until it has caught up
//! ```
//!
//! A capture cuts a stream into chunks of whole lines, appends each to the file of its service and
//! adds an entry to the index. A full file is rotated: it is renamed to its number, and a new one
//! begins. The terminal has its own thread, fed by a queue that is bounded in bytes. When the queue
//! is full, chunks are only stored, and the printer reads them back later. So nothing waits for the
//! terminal, memory is bounded, and every line still kept is printed; missed lines are counted.
//!
//! The directory of the previous start is `logs.1`.
//!
//! devstack itself is an origin like any service: it has a log and line numbers, but no run. Its
//! lines are stored as the JSON objects that readers get.
//!
//! Lines are ordered by `seq`, their number within the stack; clocks only label them.

mod amount;
mod batch;
mod capture;
mod cursor;
mod extent;
mod filter;
mod find;
mod folder;
mod found;
mod json;
mod lane;
mod limits;
mod lines;
mod logs;
mod look;
mod missed;
pub mod narrate;
mod narration;
mod notes;
mod output;
mod painter;
mod palette;
mod pattern;
mod piece;
mod printer;
mod qr_code;
mod queue;
mod reader;
mod reader_gone;
mod record;
mod ring;
mod said;
mod segment;
mod spoken;
mod stored;
mod summary;
#[cfg(test)]
mod tests;
mod track;
mod voice;
mod volume;
mod wanted;

pub use amount::LogSize;
pub use capture::LogCapture;
pub use lines::MAX_LINE;
pub(super) use logs::last_lines;
pub use logs::{StackLog, StorageCounts};
pub use look::{EscapeMode, LogStyle};
pub use missed::MissedLines;
pub use narration::StatusMode;
pub use output::LogOutput;
pub use painter::LineFormatter;
pub use palette::ServicePalette;
pub use qr_code::qr_code;
pub use reader::{LogPage, LogReader, PageItem};
pub use reader_gone::reader_closed;
pub use record::LogLine;
pub use said::{StatusText, StatusTone};
pub use spoken::StatusLine;
pub use stored::StoredLogReader;
pub use summary::{network_lines, startup_summary};
pub use wanted::LineFilter;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks and ignores poisoning: every holder leaves the data consistent, even when it panics.
fn lock_unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
