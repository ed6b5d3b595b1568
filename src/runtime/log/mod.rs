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

pub use amount::Amount;
pub use capture::Capture;
pub use lines::LINE_MAX;
pub(super) use logs::last_lines;
pub use logs::{Counts, Logs};
pub use look::{Escapes, Look};
pub use missed::Missed;
pub use narration::Narration;
pub use output::Output;
pub use painter::Painter;
pub use palette::Table;
pub use qr_code::qr_code;
pub use reader::{Item, Page, Reader};
pub use reader_gone::reader_gone;
pub use record::Record;
pub use said::{Said, Tone};
pub use spoken::Spoken;
pub use stored::Stored;
pub use summary::{reach, summary};
pub use wanted::Wanted;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks and ignores poisoning: every holder leaves the data consistent, even when it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
